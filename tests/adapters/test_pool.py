"""Rules in several processes: the same answers, whatever happens to the processes."""

import concurrent.futures
import contextlib
import importlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from selfplay.adapters import HostedGame, failures, host, pool
from selfplay.adapters.origin import Origin, origin_of
from selfplay.adapters.pool import Pool, wanted_processes
from selfplay.adapters.rows import HostRows
from selfplay.adapters.tree import HostTree
from selfplay.errors import ConfigError, GameContractError
from selfplay.registry import make, python_rules
from tests.games.matches import play_randomly

STORM = Path(__file__).with_name("python_storm.py")
PLIES = 4


def rows_of(file: Path) -> tuple[HostRows, Origin]:
    """Rules out of a file, and how other processes make them."""
    rules = python_rules(str(file), {"stones": 9})
    origin = origin_of(rules, "selfplay.registry:python_rules", [str(file), {"stones": 9}])
    assert origin is not None
    return HostRows(HostTree(rules, 1 << 12)), origin


@pytest.fixture(scope="module")
def storm() -> tuple[HostRows, Origin]:
    return rows_of(STORM)


@contextlib.contextmanager
def helped(rows: HostRows, origin: Origin, processes: int) -> Iterator[Pool]:
    shared = Pool(rows, origin, processes=processes, patience=0.0)
    try:
        yield shared
    finally:
        shared.close()


def questions(rows: HostRows, count: int) -> list[tuple[str, list[np.ndarray]]]:
    """Everything that is asked during random matches of which a few are over early."""
    draw = np.random.default_rng(0)
    starts = np.arange(count, dtype=np.uint32)
    lengths = np.zeros(count, np.int32)
    moves = np.zeros((count, 2 * PLIES + 3), rows.tree.dtype)
    asked: list[tuple[str, list[np.ndarray]]] = [("init", [starts])]
    for _ in range(PLIES):
        entries = draw.choice([0, 2], count).astype(np.int32)
        meant = draw.random(count) < 0.9
        asked.append(("step", [starts, lengths, moves, entries, meant]))
        moves, lengths = grown(moves, lengths, entries, meant)
        asked.append(("observe", [starts, lengths, moves, np.zeros(count, np.uint8)]))
        asked.append(("chance", [starts, lengths, moves, np.ones(count, np.bool_)]))
        entries = draw.integers(0, 3, count).astype(np.int32)
        drawn = rows.ask("resolve", starts, lengths, moves, entries, meant)[0]
        asked.append(("resolve", [starts, lengths, moves, entries, meant]))
        moves, lengths = grown(moves, lengths, entries, drawn)
    return asked


def grown(
    moves: np.ndarray, lengths: np.ndarray, entries: np.ndarray, meant: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    after = moves.copy()
    after[meant, lengths[meant]] = entries[meant]
    return after, lengths + meant.astype(np.int32)


def require_the_same(rows: HostRows, shared: Pool, count: int) -> None:
    for question, arrays in questions(rows, count):
        found = shared.ask(question, *arrays)
        wanted = rows.ask(question, *arrays)
        for one, other, kind in zip(found, wanted, rows.gives[question], strict=True):
            assert one.shape == (count, *kind.shape)
            np.testing.assert_array_equal(one, other)


def gone(process: int) -> bool:
    """Whether a process has ended; a child that nobody has asked about is a zombie."""
    told = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return told == "" or told.startswith("Z")


def wait_until_gone(processes: list[int]) -> None:
    deadline = time.monotonic() + 120
    while not all(gone(process) for process in processes):
        assert time.monotonic() < deadline, f"still there: {processes}"
        time.sleep(0.1)


def test_answers_do_not_depend_on_the_processes(
    storm: tuple[HostRows, Origin],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when one of them is killed in between."""
    rows, origin = storm
    # One accelerator: each of its batches is cut into slices for all of them.
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    with helped(rows, origin, 3) as shared:
        require_the_same(rows, shared, 40)
        children = shared.children
        assert len(children) == 3
        # The last slices are empty.
        require_the_same(rows, shared, 32)
        os.kill(children[1], signal.SIGKILL)
        with caplog.at_level(logging.WARNING):
            require_the_same(rows, shared, 40)
        assert shared.children == []
        assert "rules go on in this process alone" in caplog.text
        wait_until_gone(children)


def test_each_device_has_its_own_processes(storm: tuple[HostRows, Origin]) -> None:
    """While a compiled program runs, a thread is a device: two of them under the tests."""
    assert jax.local_device_count() == 2
    rows, origin = storm
    meet = threading.Barrier(2, timeout=120)
    mine: list[int] = []

    def ask(shared: Pool) -> None:
        meet.wait()
        mine.extend(helper.process.pid for helper in shared._mine())
        require_the_same(rows, shared, 40)

    with (
        helped(rows, origin, 2) as shared,
        concurrent.futures.ThreadPoolExecutor(max_workers=2) as threads,
    ):
        for done in [threads.submit(ask, shared) for _ in range(2)]:
            done.result(timeout=240)
        assert sorted(mine) == sorted(shared.children) and len(mine) == 2


def test_a_compiled_program_is_helped(
    storm: tuple[HostRows, Origin], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(pool.VARIABLE, "2")
    arguments = [str(STORM), {"stones": 9}]
    helped_game = host(
        storm[0].tree.rules, maker="selfplay.registry:python_rules", arguments=arguments
    )
    alone = host(storm[0].tree.rules)
    answers: Any = helped_game._answers
    for one, other in zip(play_randomly(helped_game, 32), play_randomly(alone, 32), strict=True):
        jax.tree.map(np.testing.assert_array_equal, one.states, other.states)
        np.testing.assert_array_equal(one.observation, other.observation)
    assert len(answers.children) == 2
    answers.close()


def test_what_is_wrong_with_the_rules_is_said_as_in_one_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And a file that was changed since it was loaded is not played by."""
    file = tmp_path / "late.py"
    right = "taken = die if action == 1 else 1\n"
    fails = f"{right}        if stones == 5:\n            raise ValueError('five')\n"
    file.write_text(STORM.read_text().replace(right, fails))
    rows, origin = rows_of(file)
    starts, meant = np.zeros(40, np.uint32), np.ones(40, np.bool_)
    # Nine stones, of which one is taken at a time; the die lies as it lies.
    lengths, moves = np.full(40, 3, np.int32), np.full((40, 9), 2, rows.tree.dtype)
    lengths[-1] = 4
    entries = np.full(40, 2, np.int32)
    with helped(rows, origin, 2) as shared:
        with pytest.raises(GameContractError) as caught:
            shared.ask("step", starts, lengths, moves, entries, meant)
        kept = failures.take()
        assert kept is caught.value
        assert "apply(state, 2) fails: ValueError: five (late.py, line" in str(kept)
        assert kept.hint == "after the moves 2 2 2 2"
        # They go on after that.
        assert len(shared.children) == 2
        lengths[-1] = 3
        shared.ask("step", starts, lengths, moves, entries, meant)
        assert len(shared.children) == 2
    file.write_text(file.read_text() + "\n# a change\n")
    with helped(rows, origin, 2) as shared, caplog.at_level(logging.WARNING):
        assert len(shared.ask("init", starts)[0]) == 40
        assert shared.children == []
    assert "its file has changed since it was loaded" in caplog.text


PARENT = """
import sys, time
import numpy as np
from selfplay.adapters import host
from selfplay.registry import python_rules
rules = python_rules(sys.argv[1], {})
pool = host(rules, maker="selfplay.registry:python_rules", arguments=[sys.argv[1], {}])._answers
pool.ask("init", np.zeros(64, np.uint32))
print(*pool.children, flush=True)
try:
    time.sleep(600)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_children_end_with_their_parent(how: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(STORM)],
        env={**os.environ, pool.VARIABLE: "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert parent.stdout is not None
        children = [int(text) for text in parent.stdout.readline().split()]
        assert len(children) == 2 and not any(gone(child) for child in children)
        if how == "killed":
            parent.kill()
        else:
            # As the terminal does: to everybody in the foreground.
            os.killpg(parent.pid, signal.SIGINT)
        output, errors = parent.communicate(timeout=120)
        wait_until_gone(children)
    finally:
        parent.kill()
        parent.communicate()
    if how == "interrupted":
        assert output == "stopped\n" and parent.returncode == 0
    assert errors == ""


def test_nothing_is_started_for_little_work(
    storm: tuple[HostRows, Origin], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, origin = storm

    def refuse(self: Pool) -> None:
        raise AssertionError("no process was to be started")

    monkeypatch.setattr(Pool, "_start", refuse)
    few, many = np.zeros(pool.FEWEST_ROWS - 1, np.uint32), np.zeros(64, np.uint32)
    Pool(rows, origin, processes=4, patience=0.0).ask("init", few)
    Pool(rows, origin, processes=1, patience=0.0).ask("init", many)
    patient = Pool(rows, origin, processes=4, patience=1e6)
    patient.ask("init", many)
    assert patient._worked > 0 and patient._answered == 64
    # Ten seconds for a million rows: these are not worth it, more would be.
    patient._patience, patient._worked, patient._answered = 5.0, 10.0, 1_000_000
    patient.ask("init", np.zeros(49, np.uint32))
    with pytest.raises(AssertionError, match="no process was to be started"):
        patient.ask("init", np.zeros(51, np.uint32))
    with pytest.raises(AssertionError, match="no process was to be started"):
        Pool(rows, origin, processes=4, patience=0.0).ask("init", many)


def test_the_number_is_asked_for_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wanted_processes({}) is None
    assert wanted_processes({pool.VARIABLE: " 3 "}) == 3

    def hosted() -> HostedGame:
        rules = python_rules(str(STORM), {})
        return host(rules, maker="selfplay.registry:python_rules", arguments=[str(STORM), {}])

    for text, cores, kind in (
        ("0", 16, HostRows),
        ("1", 16, HostRows),
        ("2", 1, Pool),
        ("", 16, Pool),
        ("", 2, HostRows),
    ):
        monkeypatch.setenv(pool.VARIABLE, text)
        monkeypatch.setattr("selfplay.adapters.hosted.cores_in_use", lambda cores=cores: cores)
        assert type(hosted()._answers) is kind
    monkeypatch.setenv(pool.VARIABLE, "many")
    with pytest.raises(
        ConfigError, match="SELFPLAY_PYTHON_PROCESSES is 'many', but must be a number of processes"
    ):
        hosted()


def test_a_game_that_is_made_by_name_says_how_to_make_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(pool.VARIABLE, "2")
    for spec, options in (("clobber", {"rows": 2, "columns": 3}), ("open_spiel:pig", {})):
        answers = make(spec, **options)._answers  # type: ignore[attr-defined]
        assert isinstance(answers, Pool)
        maker, _, name = answers._origin.maker.partition(":")
        again = getattr(importlib.import_module(maker), name)(*answers._origin.arguments)
        assert type(again) is type(answers._rows.tree.rules)
        assert again.max_plies == answers._rows.tree.rules.max_plies


def test_rules_that_cannot_be_made_again_stay_here() -> None:
    rules = python_rules(str(STORM), {})
    assert origin_of(rules, "selfplay.registry:python_rules", [object()]) is None
