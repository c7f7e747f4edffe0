"""The gate: self-play uses the newest weights that beat the last accepted ones."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.errors import ConfigError
from selfplay.evaluation.strength import StrengthMeter
from selfplay.networks import Weights
from selfplay.run import read_evaluation_matches, read_evaluations
from selfplay.runtime.lifetime import Lifetime
from selfplay.settings.sections import TrainerConfig
from selfplay.training.gate import Gate
from selfplay.training.trainer import Trainer
from selfplay.workers.trainer_watch import load_published
from selfplay.workers.work import work
from selfplay.workers.worker import WorkerOptions
from tests.training.fixtures import MakeRun
from tests.training.runs import Listener, assert_same, everything, match_files, train_all

GATE = {"gate": 0.55, "gate_updates": 8, "gate_matches": 4}


def same(left: Weights, right: Weights) -> bool:
    return all(np.array_equal(left[name], right[name]) for name in right)


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Returns a function that sets the results of the gate's matches, by update."""

    def use(**by_update: float) -> None:
        evaluate = StrengthMeter.evaluate

        def told(self: StrengthMeter, weights: Weights, *, update: int, **more: Any) -> Any:
            found = evaluate(self, weights, update=update, **more)
            assert found is not None
            return type(found)(
                **{
                    **{name: getattr(found, name) for name in found.__dataclass_fields__},
                    "score": by_update[f"u{update}"],
                }
            )

        monkeypatch.setattr(StrengthMeter, "evaluate", told)

    return use


def test_a_worse_checkpoint_is_refused_and_a_better_one_accepted(
    new_run: MakeRun, scores: Callable[..., None]
) -> None:
    scores(u8=0.54, u16=0.55, u24=0.0)
    run, components = new_run(updates=24, **GATE)
    listener = Listener()
    trainer = train_all(run, components, listener)
    assert trainer.learning.player.update == 16
    assert [line for line in listener.messages if "scores" in line] == [
        "checkpoint 8 scores 54.0 % against 0: self-play stays with 0",
        "checkpoint 16 scores 55.0 % against 0: self-play uses it from now on",
    ]
    # The last candidate is tested when training goes on.
    assert run.checkpoints.metadata(24)["gate"] == {"accepted": 16, "tested": 16, "score": 0.55}
    assert trainer.progress().metrics["accepted_update"] == 16
    played_by = {
        match.last_checkpoint
        for file in run.matches.entries()
        for match in run.matches.get(file.worker, file.sequence)
    }
    assert played_by == {0, 16}
    # Workers get what was accepted, evaluators and players the newest.
    network = components.network
    accepted = load_published(run, 24, network, accepted=True)
    newest = load_published(run, 24, network)
    assert (accepted.update, accepted.played_update) == (24, 16)
    assert (newest.update, newest.played_update) == (24, 24)
    stored = {update: run.checkpoints.load(update, "weights") for update in (16, 24)}
    assert same(accepted.weights, stored[16]) and not same(accepted.weights, stored[24])
    assert same(newest.weights, stored[24])


def test_a_worker_follows_what_is_accepted(new_run: MakeRun, scores: Callable[..., None]) -> None:
    scores(u8=0.0, u16=0.9, u24=0.0)
    run, components = new_run(updates=17, checkpoint_updates=0, **GATE)
    train_all(run, components)

    def played(id: str) -> tuple[int, int, set[int]]:
        options = WorkerOptions(id=id, jitter_seconds=0.0)
        worker = work(str(run.path), options, Lifetime(max_matches=8))
        assert worker is not None
        matches = [
            match
            for file in run.matches.entries()
            if file.worker == id
            for match in run.matches.get(id, file.sequence)
        ]
        metrics = worker.metrics()
        return metrics["checkpoint"], metrics["update"], {m.last_checkpoint for m in matches}

    assert run.checkpoints.latest() == 17
    assert played("first") == (17, 16, {16})
    # A newer checkpoint that is refused changes nothing.
    run, components = new_run(updates=26, checkpoint_updates=0, **GATE)
    train_all(run, components)
    assert run.checkpoints.latest() == 26
    assert played("second") == (26, 16, {16})


def test_a_resumed_run_accepts_the_same_ones(new_run: MakeRun) -> None:
    whole = train_all(*new_run("whole", updates=30, **GATE))
    # 8 and 24 are cut between the updates and the test of what they made.
    for updates in (8, 13, 24, 30):
        run, components = new_run("parts", updates=updates, **GATE)
        last = train_all(run, components)
    assert_same(everything(last), everything(whole))
    assert match_files(run) == match_files(whole.run)
    for one in (last, Trainer(run, components, Listener())):
        gate, wanted = one.learning.gate, whole.learning.gate
        assert (gate.tested, gate.score) == (wanted.tested, wanted.score)
        assert gate.accepted is not None and wanted.accepted is not None
        assert gate.accepted.update == wanted.accepted.update
        jax.tree.map(np.testing.assert_array_equal, gate.accepted.weights, wanted.accepted.weights)
    results = {
        (row["update"], row["opponent"]): row["score"] for row in read_evaluations(run.store)
    }
    assert results == {
        (row["update"], row["opponent"]): row["score"] for row in read_evaluations(whole.run.store)
    }
    assert sorted(update for update, _ in results) == [8, 16, 24]
    # Every opening from both seats.
    matches = [m for m in read_evaluation_matches(run.store) if m["update"] == 8]
    assert sorted((m["opening"], m["seat"]) for m in matches) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_who_is_stopped_in_the_test_makes_it_again(
    new_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_all(*new_run("whole", updates=20, **GATE))
    run, components = new_run("cut", updates=20, **GATE)
    trainer = Trainer(run, components, Listener())

    def stopped(*_: Any, **__: Any) -> None:
        trainer.stop()

    with monkeypatch.context() as patch:
        patch.setattr(StrengthMeter, "evaluate", stopped)
        trainer.train()
    assert (trainer.update, trainer.learning.gate.tested) == (8, 0)
    assert_same(everything(train_all(run, components)), everything(whole))


def test_old_matches_of_accepted_weights_are_not_stale(
    new_run: MakeRun, scores: Callable[..., None]
) -> None:
    scores(u8=0.0, u16=0.0, u24=0.0)
    run, components = new_run(updates=24, **GATE)
    train_all(run, components)
    matches = [
        dataclasses.replace(match, worker="a", match_id=f"a-00000000-{index:04d}")
        for index, match in enumerate(run.matches.get("loop", 0))
    ]
    assert {match.last_checkpoint for match in matches} == {0}
    assert run.matches.put("a", 0, matches)
    run, components = new_run(updates=30, max_staleness=10, **GATE)
    trainer = train_all(run, components)
    assert trainer.cursor.next_files["a"] == 1
    assert trainer.cursor.left_out == {}


def test_without_a_gate_nothing_is_held(new_run: MakeRun) -> None:
    run, components = new_run(updates=8)
    trainer = train_all(run, components)
    assert trainer.learning.player.update == 8
    metadata = run.checkpoints.metadata(8)
    assert "gate" not in metadata and "accepted_weights" not in metadata["items"]
    assert trainer.progress().metrics["accepted_update"] is None
    # Put up later, it accepts what is there.
    run, components = new_run(updates=8, **GATE)
    assert Trainer(run, components, Listener()).learning.player.update == 8


def test_the_score_must_be_reached() -> None:
    gate = Gate(TrainerConfig(gate=0.5, gate_updates=2), 0, {"w": jnp.zeros(2)})
    assert [gate.due(update) for update in range(5)] == [False, False, True, False, True]
    assert not gate.judge(2, {"w": jnp.ones(2)}, 0.49)
    assert not gate.due(2)
    assert gate.judge(4, {"w": jnp.ones(2)}, 0.5)
    assert gate.player(9, {"w": jnp.zeros(2)}).update == 4


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"gate": 0.3}, "trainer.gate is 0.3, but must be at least 0.5 and below 1"),
        ({"gate": 1.0}, "trainer.gate is 1, but must be at least 0.5 and below 1"),
        ({"gate_updates": 0}, "trainer.gate_updates is 0, but must be at least 1"),
        ({"gate_matches": 3}, "trainer.gate_matches is 3, but must be even"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        TrainerConfig(**settings)
    assert str(error.value) == said
