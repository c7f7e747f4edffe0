"""A run that selfplay made before (commit a96794d, 0.1.0) resumes, plays and is learnt from."""

import tarfile
from pathlib import Path

import jax
import pytest

from selfplay.arena.parsing import make_agent
from selfplay.game import start
from selfplay.records import same_content
from selfplay.replay import ReplayWindow
from selfplay.reports.match_report import match_report, newest_matches
from selfplay.run import RunDirectory
from selfplay.settings import settings_hash
from selfplay.training.trainer import Trainer
from tests.training.runs import Listener, make_run, tiny_components, train_all

ARCHIVE = Path(__file__).parents[1] / "records" / "golden" / "run-0.1.0.tar.xz"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """The run with its newest checkpoint, in the middle of matches; its settings are `SETTINGS`."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "run", filter="data")
    return RunDirectory.open(tmp_path / "run")


def test_it_resumes(run: RunDirectory) -> None:
    before = {entry: run.matches.get(*entry) for entry in run.matches.after({})}
    run, components = make_run(run.path, tiny_components(), updates=32)
    resumed = Trainer(run, components, Listener())
    assert resumed.update == 24
    playing = resumed.source.playing
    assert playing is not None
    state = playing.collector.state()
    begins, started = state["begins"], state["history_start_keys"]
    # Matches in progress at the checkpoint, by slot: the keys that they were started with.
    wanted = {
        tuple(started[begins[slot], slot].tolist())
        for slot in range(len(begins))
        if begins[slot] < len(started)
    }
    assert wanted
    trainer = train_all(run, components)
    assert trainer.update == 32
    # The trainer has asked for new files of this worker, in vain, and now asks less often.
    again = RunDirectory.open(run.path).matches
    after = {entry: again.get(*entry) for entry in again.after({})}
    assert all(same_content(after[entry], before[entry]) for entry in before)
    fresh = [match for entry in after if entry not in before for match in after[entry]]
    assert wanted <= {match.start_key for match in fresh}
    spent = components.config.search.num_simulations
    assert all((match.simulations == spent).all() for match in fresh)
    assert {match.ending for match in fresh} == {"played_out"}


def test_its_matches_are_learnt_from_and_shown(run: RunDirectory) -> None:
    window = ReplayWindow(run.make_game(), run.config.replay, run.fingerprint)
    matches = [match for entry in run.matches.after({}) for match in run.matches.get(*entry)]
    assert window.ingest(matches) == sum(match.plies for match in matches) > 100
    # Settings that it did not have change nothing as long as they are off.
    assert {match.settings_hash for match in matches} == {settings_hash(run.config)}
    row = newest_matches(run.url, limit=1)[0]
    assert (row["ending"], row["selfplay"]) == ("played_out", "0.1.0")
    report = match_report(run.url, row["match_id"])
    assert {"fast": False, "reanalysis_checkpoint": None}.items() <= report["moves"][0].items()


def test_its_checkpoint_plays(run: RunDirectory) -> None:
    game = run.make_game()
    agent = make_agent(f"{run.path}:4", game, batch_size=1)
    positions = jax.tree.map(lambda leaf: leaf[None], start(game, jax.random.key(0)))
    (analysis,) = agent.analyse(positions, key=jax.random.key(1))
    assert analysis.policy.sum() == pytest.approx(1, abs=1e-3)
    assert analysis.visits is not None and analysis.visits.sum() == 4
