"""Beginning with another run's weights: those and nothing else, once, and only where they fit."""

import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.arena.stored import load_network
from selfplay.errors import CheckpointError, RunError, SelfplayError
from selfplay.game import Game
from selfplay.learner import TrainState
from selfplay.reports.rerun import rerun
from selfplay.reports.status import run_status
from selfplay.run import RunDirectory, clone_run, is_run
from selfplay.training.cursor import Cursor
from selfplay.training.session import Session, open_session
from tests.training.runs import SETTINGS, SPEC, Listener, make_run, tiny_components, train_all

ASKED = {section: values for section, values in SETTINGS.items() if section != "network"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a run with checkpoints 8 and 16; not to be changed."""
    run, components = make_run(
        tmp_path_factory.mktemp("source") / "old", tiny_components(), updates=16
    )
    train_all(run, components)
    return run.path


def begin(place: Path, source: Path | str | None, **sections: dict[str, Any]) -> Session:
    """Makes or resumes a run of tic-tac-toe that asks for no network of its own."""
    settings = {**ASKED, **sections}
    init_from = None if source is None else str(source)
    return open_session(place, SPEC, SPEC.make(), settings, init_from=init_from)


def files(path: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def train_state(run: RunDirectory | Path, update: int, session: Session) -> TrainState:
    run = run if isinstance(run, RunDirectory) else RunDirectory.open(run)
    state: TrainState = run.checkpoints.load(
        update, "train_state", session.components.learner.like()
    )
    return state


def assert_equal(left: Any, right: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(left), jax.device_get(right))


def test_a_run_begins_with_the_weights_alone(source: Path, tmp_path: Path) -> None:
    before = files(source)
    session = begin(tmp_path / "new", f"{source}@8")
    run = session.run
    assert (session.update, session.elapsed_seconds) == (0, 0.0)
    assert session.beginning == f"begins with the weights of {source}@8"
    assert run.config.to_dict()["network"] == RunDirectory.open(source).config.to_dict()["network"]
    old, new = train_state(source, 8, session), train_state(run, 0, session)
    assert_equal(new.weights, old.weights)
    assert_equal(new.average, old.average)
    assert_equal(run.checkpoints.load(0, "weights"), dict(old.average))
    assert int(new.update) == 0
    assert_equal(new.optimizer, session.components.learner.init(key=jax.random.key(5)).optimizer)
    assert any(np.any(leaf) for leaf in jax.tree.leaves(old.optimizer))
    assert run.checkpoints.metadata(0)["cursor"] == Cursor().to_json()
    assert run.matches.entries() == []
    # Where it came from is told, as a clone does.
    origin = run.document["origin"]
    written = RunDirectory.open(source)
    assert (origin["run"], origin["update"]) == (str(source), 8)
    assert origin["created"] == written.created
    assert origin["checkpoint_time"] == written.checkpoints.metadata(8)["time"]
    assert origin["checkpoint_sha256"] in (source / "checkpoints/8/manifest.json").read_text()
    assert run_status(run.path)["origin"] == origin
    # It trains to its own plan, and is made again from its records and those weights.
    listener = Listener()
    trainer = train_all(run, session.components, listener)
    assert "checkpoint 0 holds no matches in progress: new ones begin" in listener.messages
    assert trainer.update == SETTINGS["trainer"]["updates"]
    assert 0 in run.checkpoints.updates()
    assert_equal(rerun(run, trainer.update).state, train_state(run, trainer.update, session))
    # A copy has all of that but for the weights it began with.
    copy = clone_run(run.path, tmp_path / "copy", with_matches=True).run
    with pytest.raises(RunError, match="is a copy of a run that began with weights from elsewhere"):
        rerun(copy, trainer.update)
    assert files(source) == before


def test_a_larger_network_predicts_what_the_weights_did(source: Path, tmp_path: Path) -> None:
    session = begin(tmp_path / "new", f"{source}@8", network={"channels": 12, "blocks": 2})
    assert session.beginning == f"begins with the weights of {source}@8, grown from 1x8 to 2x12"
    assert session.run.document["origin"]["grown"] == "from 1x8 to 2x12"
    old, game = load_network(f"{source}@8"), SPEC.make()
    new = load_network(str(session.run.path))
    states = jax.vmap(game.init)(jax.random.split(jax.random.key(0), 2))
    seen = jax.vmap(game.observe)(jax.vmap(game.step)(states, jnp.array([4, 0])))
    before, after = (one.network.apply(one.weights, seen) for one in (old, new))
    np.testing.assert_allclose(after.policy_logits, before.policy_logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(after.value, before.value, rtol=1e-4, atol=1e-5)
    assert np.ptp(before.policy_logits) > 1e-3
    # The same after a kill before the first checkpoint, and the run is one like any other.
    first = train_state(session.run, 0, session)
    assert_equal(begin(tmp_path / "new", None).run.checkpoints.load(0, "weights"), first.average)
    shutil.rmtree(tmp_path / "new/checkpoints")
    session = begin(tmp_path / "new", None)
    assert_equal(train_state(session.run, 0, session), first)
    assert train_all(session.run, session.components).update == SETTINGS["trainer"]["updates"]


def test_the_same_command_goes_on(source: Path, tmp_path: Path) -> None:
    session = begin(tmp_path / "new", source)
    first = train_state(session.run, 0, session)
    assert session.run.document["origin"]["update"] == 16
    # Killed before its first checkpoint was there: the next one brings it, whatever is asked.
    for init_from in (source, None, f"{source}@16"):
        shutil.rmtree(tmp_path / "new/checkpoints")
        session = begin(tmp_path / "new", init_from)
        assert session.update == 0
        assert_equal(train_state(session.run, 0, session), first)
    # Weights may be handed on again; where they came from stays known.
    third = begin(tmp_path / "third", tmp_path / "new")
    assert third.run.document["origin"]["origin"] == session.run.document["origin"]
    # And later the source may be gone.
    old = shutil.copytree(source, tmp_path / "old")
    begin(tmp_path / "other", old)
    shutil.rmtree(old)
    assert begin(tmp_path / "other", old).update == 0
    shutil.rmtree(tmp_path / "other/checkpoints")
    with pytest.raises(RunError, match="old does not exist"):
        begin(tmp_path / "other", None)


def test_the_newest_weights_are_kept_beside_many_checkpoints(source: Path, tmp_path: Path) -> None:
    trainer = {**SETTINGS["trainer"], "keep_checkpoints": 1, "spread_checkpoints": 0}
    session = begin(tmp_path / "new", source, trainer=trainer)
    train_all(session.run, session.components)
    assert session.run.checkpoints.updates() == [0, 24]


def test_a_run_that_is_there_is_refused(source: Path, tmp_path: Path) -> None:
    begin(tmp_path / "scratch", None)
    begin(tmp_path / "warm", f"{source}@8")
    for place, init_from in (("scratch", source), ("warm", f"{source}@16"), ("warm", "other")):
        before = files(tmp_path / place)
        with pytest.raises(RunError, match=f"{place} is a run already, which did not begin") as one:
            begin(tmp_path / place, init_from)
        assert "--init-from" in one.value.hint
        assert files(tmp_path / place) == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match="holds files that are not a selfplay run"):
        begin(tmp_path / "full", source)


def test_the_extra_heads_of_the_weights_are_taken_over(tmp_path: Path) -> None:
    heads = {**SETTINGS["learner"], "short_term_value_weight": 0.3}
    old = begin(tmp_path / "old", None, learner=heads, network=SETTINGS["network"])
    train_all(old.run, old.components)
    new = begin(tmp_path / "new", tmp_path / "old")
    assert new.components.config.learner.short_term_value_weight == 0.3
    without = {**SETTINGS["learner"], "short_term_value_weight": 0.0}
    with pytest.raises(CheckpointError, match="short_term") as caught:
        begin(tmp_path / "other", tmp_path / "old", learner=without)
    assert caught.value.hint == "take its network: --set learner.short_term_value_weight=0.3"


def test_weights_that_do_not_fit_are_refused(source: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"

    def refused(kind: type[SelfplayError], init_from: Path | str, **sections: Any) -> SelfplayError:
        with pytest.raises(kind) as caught:
            begin(new, init_from, **sections)
        assert caught.value.hint
        assert not is_run(new)
        return caught.value

    error = refused(CheckpointError, source, network={"channels": 4})
    assert "@16 has " in str(error)
    assert "but the network of the new run needs float32[" in str(error)
    assert error.hint == "take its network: --set network.channels=8"
    error = refused(CheckpointError, source, network={"channels": 16, "norm": "layer"})
    assert error.hint.startswith("the new network has another network.norm; take its network: ")
    error = refused(
        CheckpointError, source, learner={**SETTINGS["learner"], "next_policy_weight": 0.5}
    )
    assert error.hint == "take its network: --set learner.next_policy_weight=0.0"
    refused(CheckpointError, f"{source}@9")
    refused(RunError, tmp_path / "none")

    class Other(type(SPEC.make())):  # type: ignore[misc]
        def returns(self, state: Any) -> Any:
            return -super().returns(state)

    class Renamed(type(SPEC.make())):  # type: ignore[misc]
        name = "noughts"

    def with_game(game: Game[Any]) -> SelfplayError:
        with pytest.raises(RunError) as caught:
            open_session(new, SPEC, game, ASKED, init_from=str(source))
        assert not is_run(new)
        return caught.value

    assert "with other rules or options (fingerprint " in str(with_game(Other()))
    assert "has weights for tic_tac_toe, but the game is noughts" in str(with_game(Renamed()))
    assert "leave out --init-from" in with_game(Other()).hint
