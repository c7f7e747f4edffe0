"""Bad input: one clear error each, in two lines, and nothing lost."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from selfplay.registry import game_names
from tests.cli.conftest import TINY, Invoke


def refused(
    invoke: Invoke, *arguments: object, status: int, message: str, hint: str | None
) -> None:
    """Runs a command that must fail with exactly this."""
    result = invoke(*arguments)
    lines = f"error: {message}\n" + (f"\nhint: {hint}\n" if hint else "")
    assert (result.exit_code, result.stderr, result.stdout) == (status, lines, "")


def files(path: Path) -> dict[Path, bytes]:
    """Returns the content of a directory but for locks."""
    return {
        file: file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and file.name != "run.lock"
    }


def test_unknown_game(invoke: Invoke) -> None:
    refused(
        invoke,
        *("train", "conect_four"),
        status=2,
        message="'conect_four' is not a game",
        hint="did you mean connect_four? a game is a name, FILE.py:Class, package.module:Class, "
        f"pgx:ID or open_spiel:NAME; names: {', '.join(game_names())}",
    )


def test_nothing_to_evaluate(invoke: Invoke, trained: Path) -> None:
    refused(
        invoke,
        *("evaluate", trained),
        status=1,
        message=f"{trained} keeps no matches out of training",
        hint="name matches of another run: --data FILES; or train on with "
        "--set replay.holdout_share=0.05, which keeps out 5 % of the new matches",
    )
    refused(
        invoke,
        *("diagnose", trained / "nowhere"),
        status=1,
        message=f"{trained / 'nowhere'} does not exist",
        hint="name a directory made by `selfplay train`, such as runs/connect_four",
    )


def test_file_without_a_game(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "empty.py"
    file.write_text("x = 1\n")
    refused(
        invoke,
        *("bench", file),
        status=2,
        message=f"{file} holds no game",
        hint="a game is a class that subclasses selfplay.Game or selfplay.PythonGame",
    )


def test_game_option_out_of_range_and_unknown(invoke: Invoke) -> None:
    refused(
        invoke,
        *("train", "othello", "--option", "size=7"),
        status=2,
        message="othello: size is 7, but must be 4, 6, 8 or 10",
        hint=None,
    )
    refused(
        invoke,
        *("train", "othello", "--option", "sise=8"),
        status=2,
        message="othello has no option 'sise'",
        hint="did you mean size? its options: size=8",
    )


def test_a_setting_that_would_do_nothing_makes_no_run(invoke: Invoke, tmp_path: Path) -> None:
    refused(
        invoke,
        *("train", "tic_tac_toe", "--run", tmp_path / "r", "--set", "learner.history_dropout=0.1"),
        status=2,
        message="learner.history_dropout is 0.1, but tic_tac_toe has no history_planes to zero",
        hint="leave the setting out, or name the planes of observe that only repeat the past in "
        "history_planes of the game",
    )
    assert not (tmp_path / "r").exists()


def test_setting_out_of_range_makes_no_run(invoke: Invoke, tmp_path: Path) -> None:
    refused(
        invoke,
        *("train", "tic_tac_toe", "--run", tmp_path / "r", "--simulations", 1),
        status=2,
        message="search.num_simulations is 1, but must be at least 2",
        hint="one simulation only expands the root, so the policy target would equal the prior "
        "and nothing would be learnt; 0 plays the raw network",
    )
    refused(
        invoke,
        *("train", "tic_tac_toe", "--run", tmp_path / "r", "--set", "evaluation.opponents=mtcs:9"),
        status=2,
        message="agent is 'mtcs:9', but there is no such agent or run",
        hint="an agent is random, mcts:200, solver, or RUN[@UPDATE][:simulations]",
    )
    assert not (tmp_path / "r").exists()


def test_unknown_setting(invoke: Invoke) -> None:
    refused(
        invoke,
        *("train", "tic_tac_toe", "--set", "search.num_simulation=4"),
        status=2,
        message="search.num_simulation is not a setting (--set search.num_simulation=4)",
        hint="did you mean search.num_simulations?",
    )


def test_usage(invoke: Invoke) -> None:
    refused(
        invoke,
        *("train",),
        status=2,
        message="missing argument 'GAME'",
        hint="see selfplay train --help",
    )
    result = invoke("trian")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: no such command 'trian'")
    result = invoke("arena", "random", "random", "--matches", "3", "--game", "tic_tac_toe")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: num_matches is 3, but must be even\n"
        "\nhint: every opening is played twice, seats swapped\n"
    )


def test_agents_without_a_game(invoke: Invoke) -> None:
    refused(
        invoke,
        *("arena", "random", "mcts:10"),
        status=2,
        message="no run is named, so the game of random and mcts:10 is not known",
        hint="add --game connect_four, or whatever it is",
    )
    refused(
        invoke,
        *("arena", "runs/nowhere", "random"),
        status=1,
        message="runs/nowhere does not exist",
        hint="an agent is random, mcts:200, solver, or RUN[@UPDATE][:simulations]",
    )


def test_illegal_action(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    refused(
        invoke,
        *("analyze", trained, "--moves", "4 4"),
        status=1,
        message="action 4 is not legal at ply 1",
        hint="legal actions: 0 1 2 3 5 6 7 8",
    )
    (tmp_path / "file").write_text("4\n4 4\n")
    refused(
        invoke,
        *("analyze", trained, "--positions", tmp_path / "file"),
        status=1,
        message="line 2: action 4 is not legal at ply 1",
        hint="legal actions: 0 1 2 3 5 6 7 8",
    )


def test_run_of_another_game(invoke: Invoke, own_run: Path) -> None:
    before = files(own_run)
    refused(
        invoke,
        *("train", "connect_four", "--run", own_run),
        status=1,
        message=f"{own_run} belongs to tic_tac_toe, not connect_four",
        hint="choose another --run",
    )
    result = invoke("arena", own_run, "random", "--game", "connect_four")
    assert result.exit_code == 1
    message = f"error: {own_run} belongs to tic_tac_toe, not connect_four"
    assert result.stderr.startswith(message)
    assert files(own_run) == before


def test_run_with_another_network(invoke: Invoke, own_run: Path) -> None:
    refused(
        invoke,
        *("train", "tic_tac_toe", "--run", own_run, "--set", "network.channels=9"),
        status=1,
        message=f"{own_run} has network.channels = 8, but 9 was asked for",
        hint="the network of a run is fixed: leave the setting out, or choose another --run",
    )


def test_directory_with_foreign_content(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    refused(
        invoke,
        *("train", "tic_tac_toe", "--run", tmp_path),
        status=1,
        message=f"{tmp_path} holds files that are not a selfplay run, such as thesis.txt",
        hint="choose another --run; selfplay writes only into its runs and empty directories",
    )
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]
    for command in ("status", "matches", "play", "analyze", "curve"):
        result = invoke(command, tmp_path)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"error: {tmp_path} is not a selfplay run\n\nhint: ")


def test_damaged_checkpoint(invoke: Invoke, own_run: Path) -> None:
    directory = own_run / "checkpoints" / "8"
    for file in (directory / "weights").rglob("*"):
        if file.is_file() and file.stat().st_size > 100:
            file.write_bytes(b"\0" + file.read_bytes()[1:])
    before = files(own_run)
    result = invoke("analyze", own_run)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: checkpoint {directory} is damaged: weights/")
    assert f"\n\nhint: use {own_run}@UPDATE; other complete checkpoints are: " in result.stderr
    assert invoke("analyze", f"{own_run}@4").exit_code == 0
    (directory / "metadata.json").write_text("{}")
    result = invoke("train", "tic_tac_toe", "--run", own_run, "--updates", 9)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: checkpoint {directory} is damaged: metadata.json")
    status = invoke("status", own_run)
    assert status.exit_code == 0
    assert f"problem: checkpoint {directory} is damaged" in status.stdout
    changed = directory / "metadata.json"
    assert {**files(own_run), changed: b""} == {**before, changed: b""}


def test_missing_checkpoint(invoke: Invoke, trained: Path) -> None:
    result = invoke("analyze", f"{trained}@7")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {trained} has no checkpoint 7\n\nhint: ")
    assert "0, 4, 8" in result.stderr


def test_damaged_record(invoke: Invoke, own_run: Path) -> None:
    file = sorted((own_run / "matches").rglob("*.parquet"))[-1]
    file.write_bytes(file.read_bytes()[:-30])
    # A list shows what can be read, and says what cannot; training must not go on without it.
    listed = invoke("matches", own_run)
    assert listed.exit_code == 0
    assert f"{file} is damaged: " in " ".join((listed.stdout + listed.stderr).split())
    result = invoke("train", "tic_tac_toe", "--run", own_run, "--updates", 20)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {file} is damaged: ")
    hint = "hint: move the file out of the run to go on without its matches\n"
    assert result.stderr.endswith(f"\n\n{hint}")


def test_missing_match(invoke: Invoke, trained: Path) -> None:
    for name in ("loop-00009999-0000", "nonsense", "../x-0-0"):
        refused(
            invoke,
            *("matches", trained, name),
            status=1,
            message=f"{trained} has no match {name!r}",
            hint=f"selfplay matches {trained} lists the matches",
        )


def full_disk(after: int) -> Callable[[int], None]:
    """Returns an `os.fsync` for which the disk is full after so many calls."""
    calls = 0
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    return fsync


@pytest.mark.parametrize("after", [0, 40])
def test_full_disk(
    invoke: Invoke, own_run: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    before = files(own_run)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk(after))
        result = invoke("train", "tic_tac_toe", "--run", own_run, "--updates", 40)
    assert result.exit_code == 1
    error = result.stderr.splitlines()
    assert error[0].startswith("error: ") and error[0].endswith("the disk is full")
    assert error[1:] == [
        "",
        "hint: everything written before is intact; free some space and run the same command again",
    ]
    kept = {f: data for f, data in before.items() if "tensorboard" not in f.parts}
    assert kept.items() <= files(own_run).items()
    assert invoke("matches", own_run).exit_code == 0
    assert invoke("analyze", own_run).exit_code == 0
    result = invoke("train", "tic_tac_toe", "--run", own_run, "--updates", 12)
    assert result.exit_code == 0, result.stderr


def test_full_disk_at_the_start(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", full_disk(0))
    path = tmp_path / "r"
    refused(
        invoke,
        *("train", "tic_tac_toe", *TINY, "--run", path),
        status=1,
        message=f"{path / 'run.toml'} cannot be written: the disk is full",
        hint="everything written before is intact; free some space and run the same command again",
    )
