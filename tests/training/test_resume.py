"""2 + 2 = 4: a run that was cut anywhere goes on as if nothing had happened."""

import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from selfplay.errors import CheckpointError, ConfigError, RecordError
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.records import MatchRecord, read_matches
from selfplay.run import RunDirectory
from selfplay.runtime.components import make_components
from selfplay.runtime.stored_matches import load_matches
from selfplay.settings import Config
from selfplay.training.session import open_session
from selfplay.training.trainer import Trainer
from tests.training.fixtures import MakeRun
from tests.training.runs import (
    SETTINGS,
    SPEC,
    Listener,
    assert_same,
    everything,
    make_run,
    match_files,
    tiny_components,
    train_all,
    with_settings,
)


def test_two_and_two_are_four(new_run: MakeRun) -> None:
    whole = train_all(*new_run("whole", updates=24))
    run, components = new_run("parts", updates=24)
    for updates in (5, 8, 13, 24):
        # `updates` steers nothing here but the end, as the schedule is constant.
        run, components = new_run("parts", updates=updates)
        last = train_all(run, components)
    assert_same(everything(last), everything(whole))
    assert match_files(run) == match_files(new_run("whole")[0])


def test_methods_of_playing_are_resumed_too(tmp_path: Path) -> None:
    """With fast moves, resignation, restarts, side positions and more; else as above."""
    settings = {
        "search": {"num_simulations": 12, "max_considered_actions": 2},
        "rollout": {
            "full_search_share": 0.5,
            "fast_simulations": 2,
            "resign_share": 0.5,
            "max_false_resigns": 0.5,
            "restart_share": 0.4,
            "side_positions": True,
            "solver": "live",
            "solver_plies": 3,
        },
        "replay": {"surprise_share": 0.5, "reanalyze_share": 0.5},
        "learner": {"late_batches": 3, "tail_share": 1.0},
    }
    components = make_components(SPEC.make(), Config.from_dict(SETTINGS).updated(settings))
    whole = train_all(*make_run(tmp_path / "whole", components, updates=32))
    for updates in (13, 24, 32):
        run, parts = make_run(tmp_path / "parts", components, updates=updates)
        last = train_all(run, parts)
    assert_same(everything(last), everything(whole))
    # Each was cut between two steps of the optimiser.
    assert whole.state.optimizer.gradients == 32 % 3
    assert match_files(run) == match_files(whole.run)
    sides = whole.learning.window._sides
    assert sides is not None and sides.present.any()
    # As many positions are searched again as are new, but for the first and the last file.
    assert match_files(run, "reanalyses") == match_files(whole.run, "reanalyses")
    cursor = last.cursor
    assert 0.4 * cursor.positions < cursor.reanalysed < 1.2 * cursor.positions
    assert max(file.reanalysis for file in cursor.window) > 13
    assert last.progress().metrics["reanalysis_value_change"] is not None
    assert last.source.playing is not None and whole.source.playing is not None
    resignations = last.source.playing.resignations
    np.testing.assert_array_equal(resignations.state(), whole.source.playing.resignations.state())
    assert len(resignations.state()) > 0
    metrics = resignations.metrics()
    assert metrics.items() <= last.progress().metrics.items()
    # The trainer has asked for new files of this worker, in vain, and now asks less often.
    files = RunDirectory.open(run.path).matches
    matches = [match for entry in files.after({}, 9999) for match in files.get(*entry)]
    assert any(match.restart_ply > 0 for match in matches)
    assert any(match.fast.any() for match in matches)
    assert all(match.proven[-3:].all() and not match.proven[:-3].any() for match in matches)
    assert whole.progress().metrics["solver_agreement"] > 0
    gave_up = [match for match in matches if match.ending == "resigned"]
    # The values at the end are the solver's, whatever they thought.
    assert all(match.returns[match.players[-1]] == -1 for match in gave_up)
    # Restarts may be switched off and on in the course of a run.
    stored = run.checkpoints.load(32, "self_play")
    plain = tiny_components().player.start(key=jax.random.key(0))
    off = load_matches(run.checkpoints, 32, stored, plain)
    assert off.repeated is None
    np.testing.assert_array_equal(off.start_keys, last.source.playing.matches.start_keys)
    older, components = make_run(tmp_path / "off", tiny_components(), updates=1)
    train_all(older, components)
    stored = older.checkpoints.load(1, "self_play")
    on = load_matches(older.checkpoints, 1, stored, last.source.playing.matches)
    assert on.repeated is not None and not on.repeated.lengths.any()


def test_a_new_session_finds_everything_as_it_was(new_run: MakeRun) -> None:
    run, components = new_run(updates=60)
    trainer = train_all(run, components)
    # The window has forgotten matches by now, and others are in progress.
    assert trainer.cursor.positions > trainer.config.replay.max_window
    assert len(trainer.cursor.window) < trainer.cursor.sequence
    assert trainer.source.playing is not None
    assert len(trainer.source.playing.collector.state()["checkpoints"]) > 0
    again = Trainer(run, components, Listener())
    assert_same(everything(again), everything(trainer))
    assert again.elapsed >= run.checkpoints.metadata(60)["cursor"]["elapsed_seconds"] > 0


def test_a_window_by_matches_is_restored_too(tmp_path: Path) -> None:
    components = with_settings(tiny_components(), {"replay": {"max_matches": 12}})
    run, components = make_run(tmp_path / "run", components)
    trainer = train_all(run, components)
    again = Trainer(run, components, Listener())
    assert again.learning.window.size == trainer.learning.window.size < 150
    assert_same(everything(again), everything(trainer))


def test_a_larger_window_after_a_restart_offers_only_what_was_read(tmp_path: Path) -> None:
    run, components = make_run(tmp_path / "run", tiny_components(), updates=60)
    trainer = train_all(run, components)
    wide = with_settings(components, {"replay": {"min_window": 5000, "max_window": 5000}})
    again = Trainer(run, wide, Listener())
    held = sum(file.positions for file in trainer.cursor.window)
    assert again.learning.window.size == held < trainer.cursor.positions
    # No row of zeros: every position has its policy.
    samples = again.learning.window.sample(2000, seed=0, update=0)
    assert (samples.policy_probabilities.sum(axis=1) > 0.9).all()


def snapshot(path: Path) -> dict[str, tuple[int, bytes]]:
    """Returns inode and content of every file of a run that lasts."""
    return {
        str(file.relative_to(path)): (file.stat().st_ino, file.read_bytes())
        for folder in ("checkpoints", "matches", "ratings")
        for file in (path / folder).rglob("*")
        if file.is_file()
    }


def test_a_finished_run_stays_as_it_is(new_run: MakeRun) -> None:
    run, components = new_run()
    train_all(run, components)
    before = snapshot(run.path)
    trainer = train_all(run, components)
    assert trainer.update == 24
    assert snapshot(run.path) == before


def lose(run_path: Path, update: int) -> None:
    """Removes a checkpoint, as if the process had been killed before it was written."""
    shutil.rmtree(run_path / "checkpoints" / str(update))


def test_matches_beyond_the_checkpoint_are_made_again_and_not_written_again(
    new_run: MakeRun,
) -> None:
    run, components = new_run()
    trainer = train_all(run, components)
    wanted, before = everything(trainer), snapshot(run.path / "")
    lose(run.path, 24)
    lose(run.path, 16)
    again = train_all(run, components)
    assert_same(everything(again), wanted)
    after = snapshot(run.path)
    matches = {name for name in before if name.startswith("matches")}
    assert {name for name in after if name.startswith("matches")} == matches
    for name in matches:
        assert after[name] == before[name]


def test_other_matches_beyond_the_checkpoint_are_kept(new_run: MakeRun) -> None:
    run, components = new_run()
    train_all(run, components)
    before = match_files(run)
    lose(run.path, 24)
    lose(run.path, 16)
    beyond = run.checkpoints.metadata(8)["cursor"]["sequence"]
    assert beyond < len(before)
    # With another replay ratio, later matches are played by other weights.
    run, components = new_run(replay_ratio=1.0, updates=30)
    trainer = train_all(run, components)
    after = match_files(run)
    assert {name: after[name] for name in before} == before
    assert len(after) > len(before)
    stored = [m for f in sorted((run.path / "matches").rglob("*.parquet")) for m in read_matches(f)]
    assert len({match.match_id for match in stored}) == len(stored)
    # What was trained on is what the cursor counts, and the next session finds it.
    again = Trainer(run, components, Listener())
    assert_same(everything(again), everything(trainer))
    assert trainer.cursor.matches < len(stored)


def actions(matches: list[MatchRecord]) -> list[list[int]]:
    return [match.actions.tolist() for match in matches]


@pytest.mark.parametrize(
    ("each", "message"),
    [
        pytest.param(
            3,
            "6 matches are played at once now, not 8: 6 of those in progress go on, 2 are dropped",
            marks=pytest.mark.slow,
        ),
        (6, "12 matches are played at once now, not 8: 8 of those in progress go on, 4 new ones "
         "begin"),
    ],
)  # fmt: skip
def test_matches_in_progress_go_on_where_their_number_changes(
    new_run: MakeRun, tmp_path: Path, each: int, message: str
) -> None:
    """As on another number of devices: each of them plays as many."""
    run, components = new_run("run", updates=10)
    first = train_all(run, components)
    same = Trainer(run, components, Listener())
    assert same.source.playing is not None
    ended = same.source.playing.rest(sequence=99)
    assert ended

    listener = Listener()
    run, components = make_run(
        tmp_path / "run", tiny_components(matches_per_device=each), updates=20
    )
    trainer = Trainer(run, components, listener)
    assert listener.messages == [message]
    # Nothing that was finished is lost, not even what was in play when the run was saved.
    assert actions(run.matches.get("loop", first.cursor.sequence)) == actions(ended)
    assert trainer.source.playing is not None
    kept, collector = min(2 * each, 8), trainer.source.playing.collector
    for old, new in zip(
        jax.tree.leaves(same.source.playing.matches),
        jax.tree.leaves(trainer.source.playing.matches),
        strict=True,
    ):
        assert len(new) == collector.num_matches == 2 * each
        np.testing.assert_array_equal(old[:kept], new[:kept])
    np.testing.assert_array_equal(plies_so_far(same)[:kept], plies_so_far(trainer)[:kept])
    assert plies_so_far(trainer)[:kept].any()
    assert not plies_so_far(trainer)[kept:].any()

    trainer.train()
    assert trainer.update == 20
    assert trainer.cursor.matches > first.cursor.matches
    stored = [m for f in sorted((run.path / "matches").rglob("*.parquet")) for m in read_matches(f)]
    assert len({match.match_id for match in stored}) == len(stored) == trainer.cursor.matches


def plies_so_far(trainer: Trainer) -> np.ndarray:
    """Returns how many plies of each match in progress were collected."""
    assert trainer.source.playing is not None
    state = trainer.source.playing.collector.state()
    return len(state["checkpoints"]) - state["begins"]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing"])
def test_a_damaged_newest_checkpoint_is_named(new_run: MakeRun, damage: str) -> None:
    run, components = new_run()
    train_all(run, components)
    folder = run.path / "checkpoints" / "24" / "train_state"
    file = max((f for f in folder.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    data = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    else:
        data[len(data) // 2] ^= 1
        file.write_bytes(data if damage == "flipped" else data[: len(data) // 2])
    before = snapshot(run.path)
    with pytest.raises(CheckpointError, match="24") as caught:
        train_all(run, components)
    assert "16" in caught.value.hint
    assert snapshot(run.path) == before


@pytest.mark.parametrize("damage", ["missing", "truncated", "replaced"])
def test_a_missing_or_damaged_file_of_matches_is_named(new_run: MakeRun, damage: str) -> None:
    run, components = new_run()
    trainer = train_all(run, components)
    number = trainer.cursor.window[1][1]
    file = run.path / "matches" / "loop" / f"{number:08d}.parquet"
    message = "is damaged"
    if damage == "missing":
        file.unlink()
        message = "cannot be read"
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:-5])
    else:
        others = [
            file.sequence
            for file in trainer.cursor.window
            if file[2:] != trainer.cursor.window[1][2:]
        ]
        file.write_bytes((file.parent / f"{others[0]:08d}.parquet").read_bytes())
        message = "but the checkpoint counts"
    with pytest.raises(RecordError, match=message) as caught:
        train_all(run, components)
    assert file.name in str(caught.value)
    assert run.checkpoints.updates() == [0, 8, 16, 24]


def test_seeds_make_different_runs(new_run: MakeRun) -> None:
    first, again, other = (
        train_all(*new_run(name, updates=8, seed=seed))
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert_same(everything(first), everything(again))
    one, two = (trainer.state.weights["stem/kernel"] for trainer in (first, other))
    assert (np.asarray(one) != np.asarray(two)).any()


class Repeating(TicTacToe):
    history_planes = (0,)


def test_history_dropout_needs_history_planes_where_it_is_asked_for(tmp_path: Path) -> None:
    config = Config.from_dict(SETTINGS).updated({"learner": {"history_dropout": 0.2}})
    game = SPEC.make()
    RunDirectory.create(tmp_path / "old", SPEC, game, config)
    # A run of an earlier version may have it: it does nothing there, and the run goes on.
    assert open_session(tmp_path / "old", SPEC, game, {}).run.config.learner.history_dropout == 0.2
    with pytest.raises(ConfigError, match="tic_tac_toe has no history_planes to zero"):
        open_session(tmp_path / "new", SPEC, game, config.to_dict())
    assert not (tmp_path / "new").exists()
    # The option is for games like this one.
    asked = {"learner": {"history_dropout": 0.3}}
    session = open_session(tmp_path / "new", SPEC, Repeating(), asked)
    assert session.run.config.learner.history_dropout == 0.3
