"""One chunk ahead: the device plays on while the host sorts out what it played before."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from selfplay.learner import Learner
from selfplay.records import MatchRecord
from selfplay.run import RunDirectory
from selfplay.runtime.lifetime import Lifetime
from selfplay.runtime.playing import Playing
from selfplay.training.trainer import Trainer
from selfplay.workers.work import work
from selfplay.workers.worker import WorkerOptions
from tests.training.fixtures import MakeRun
from tests.training.runs import (
    Listener,
    assert_same,
    everything,
    make_run,
    match_files,
    tiny_components,
    train_all,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Returns a run with nothing in it."""
    return make_run(tmp_path_factory.mktemp("playing") / "run", tiny_components())[0]


def begin(run: RunDirectory) -> Playing:
    components = tiny_components()
    return Playing(
        components,
        components.provenance(run, "w"),
        start_key=jax.random.key(1),
        play_key=jax.random.key(2),
    )


def weights() -> Any:
    return tiny_components().learner.init(key=jax.random.key(0)).weights


def moves(matches: list[MatchRecord]) -> list[tuple[int, ...]]:
    return [tuple(match.actions.tolist()) for match in matches]


def test_the_next_chunk_is_begun_before_the_last_one_is_looked_at(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    playing = begin(run)
    seen: list[str] = []
    begins, looks = playing.begin, playing.collector.add

    def begun(*args: Any, **keywords: Any) -> Any:
        seen.append(f"begin {playing.iteration}")
        return begins(*args, **keywords)

    def looked(plies: Any, *, checkpoint: int, sequence: int) -> list[MatchRecord]:
        seen.append(f"look {checkpoint}")
        assert isinstance(plies.actions, np.ndarray)
        return looks(plies, checkpoint=checkpoint, sequence=sequence)

    monkeypatch.setattr(playing, "begin", begun)
    monkeypatch.setattr(playing.collector, "add", looked)
    for number in range(3):
        playing.chunk(weights(), update=number, sequence=number)
    assert seen == ["begin 0", "begin 1", "look 0", "begin 2", "look 1"]


def test_the_same_matches_are_played_one_chunk_later(run: RunDirectory) -> None:
    usual, ahead = begin(run), begin(run)

    def at_once(number: int) -> list[tuple[int, ...]]:
        plies = usual.play(weights(), version=0)
        return moves(usual.collector.add(plies, checkpoint=0, sequence=number))

    wanted = [at_once(number) for number in range(5)]
    found = [moves(ahead.chunk(weights(), update=0, sequence=n)) for n in range(5)]
    assert found == [[], *wanted[:4]]
    assert sum(map(len, wanted)) > 8
    # Nothing is lost where it pauses, and it goes on from there.
    assert moves(ahead.rest(sequence=5)) == wanted[4]
    assert ahead.rest(sequence=5) == []
    following = at_once(5)
    assert ahead.chunk(weights(), update=0, sequence=5) == []
    assert moves(ahead.rest(sequence=6)) == following


def test_records_say_which_weights_played_them(run: RunDirectory) -> None:
    playing = begin(run)
    for update in range(6):
        for match in playing.chunk(weights(), update=update, sequence=update):
            # What is returned with update n was played with n - 1, and ended then.
            assert match.last_checkpoint == update - 1
            assert match.first_checkpoint >= 0


@pytest.fixture
def accelerated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every loop make several updates a call, as on an accelerator."""
    monkeypatch.setattr(Learner, "most_updates", lambda self, samples: 4)


@pytest.mark.usefixtures("accelerated")
def test_two_and_two_are_four_on_an_accelerator(new_run: MakeRun) -> None:
    whole = train_all(*new_run("whole", updates=24))
    run, components = new_run("parts", updates=24)
    for updates in (5, 13, 24):
        run, components = new_run("parts", updates=updates)
        last = train_all(run, components)
    assert_same(everything(last), everything(whole))
    assert match_files(run) == match_files(new_run("whole")[0])
    assert whole.cursor.iteration == last.cursor.iteration


def test_a_chunk_that_was_begun_is_in_the_checkpoint(new_run: MakeRun) -> None:
    run, components = new_run(updates=8)
    trainer = train_all(run, components)
    again = Trainer(run, components, Listener())
    assert trainer.source.playing is not None
    assert again.source.playing is not None
    wanted = moves(trainer.source.playing.rest(sequence=99))
    assert moves(again.source.playing.rest(sequence=99)) == wanted
    # Saved again before anything is played, it is still there.
    other = Trainer(run, components, Listener())
    assert other.source.playing is not None
    held, first = other.source.playing.items()["self_play"], run.checkpoints.load(8, "self_play")
    jax.tree.map(np.testing.assert_array_equal, held, first)
    assert "begun" in held


def test_a_worker_stores_the_chunk_it_had_begun(tmp_path: Path) -> None:
    train_all(*make_run(tmp_path / "run", tiny_components(), updates=4, checkpoint_updates=4))
    options = WorkerOptions(id="w", seed=3, jitter_seconds=0.0)
    worker = work(str(tmp_path / "run"), options, Lifetime(max_matches=20))
    assert worker is not None
    found = RunDirectory.open(tmp_path / "run").matches
    stored = sum(len(found.get("w", number)) for number in range(found.next_sequence("w")))
    # Every chunk that was played was stored: what ended in the last one as well.
    assert worker.lifetime.matches == stored >= 20
    assert worker.playing.rest(sequence=0) == []
