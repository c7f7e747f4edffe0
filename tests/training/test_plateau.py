"""A run ends where its loss has stopped falling, if that is wanted."""

import dataclasses
from pathlib import Path

from selfplay.training.session import open_session
from selfplay.training.trainer import Trainer
from tests.training.runs import (
    SPEC,
    Listener,
    assert_same,
    everything,
    make_run,
    tiny_components,
    train_all,
)


def test_it_stops_at_a_plateau_and_a_resumed_one_at_the_same(tmp_path: Path) -> None:
    components = tiny_components()
    learner = dataclasses.replace(components.config.learner, plateau_updates=3)
    components = dataclasses.replace(
        components, config=dataclasses.replace(components.config, learner=learner)
    )

    def begin(name: str, updates: int) -> Trainer:
        run, parts = make_run(tmp_path / name, components, updates=updates, stop_at_plateau=2)
        return train_all(run, parts, listener)

    listener = Listener()
    whole = begin("whole", 0)
    assert whole.cursor.plateau.count >= 2
    assert whole.saved == whole.update > 6
    # The "auto" schedule follows the loss, too.
    assert whole.cursor.stall.updates == whole.update
    assert "trainer.stop_at_plateau ends training" in listener.messages[-1]
    begin("parts", 5)
    last = begin("parts", 0)
    assert_same(everything(last), everything(whole))
    session = open_session(
        last.run.path, SPEC, components.game, {"trainer": {"updates": 0, "stop_at_plateau": 2}}
    )
    assert session.fulfilled.startswith("until the loss stopped falling, ")
    assert session.next_plan == f"--set trainer.stop_at_plateau={whole.cursor.plateau.count + 1}"
