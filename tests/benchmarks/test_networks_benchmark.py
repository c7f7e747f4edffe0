"""The comparison of networks on stored matches: its arms, its turns and its table."""

from typing import Any

import numpy as np
import pytest

from benchmarks.networks import Arm, Training, parse_arm, table


def test_an_arm_has_a_name_and_settings_of_network_and_learner() -> None:
    found = parse_arm("wide, muon: network.channels=64 learner.optimizer=muon")
    assert found == Arm(
        name="wide, muon", overrides=("network.channels=64", "learner.optimizer=muon")
    )
    assert parse_arm("network.blocks=6").name == "network.blocks=6"
    assert parse_arm("as it is:").overrides == ()
    with pytest.raises(SystemExit, match=r"search.num_simulations=9 .* neither network nor"):
        parse_arm("other: search.num_simulations=9")


def test_a_turn_ends_by_its_own_clock() -> None:
    now = 0.0
    progress: list[float] = []

    class Counted(Training):
        def __init__(self) -> None:
            self.seconds, self._clock = 2.0, lambda: now
            self._state: Any = type("State", (), {"update": np.int32(0)})

        def _learn(self, share: float) -> None:
            nonlocal now
            now += 0.5
            progress.append(share)

    training = Counted()
    training.turn(4.0, 8.0)
    assert training.seconds == 4.0
    # The learning rate follows the share of the time that is over.
    assert progress == [2 / 8, 2.5 / 8, 3 / 8, 3.5 / 8]
    # What others do in between is not counted.
    now += 100
    training.turn(4.5, 8.0)
    assert training.seconds == 4.5


def test_the_table_shows_means_over_seeds_and_their_range() -> None:
    def row(name: str, losses: list[float]) -> dict[str, Any]:
        ends = [{"updates": 100, "policy": loss, "value": 0.5, "outcome": 0.75} for loss in losses]
        return {
            "arm": name,
            "weights": 1234,
            "positions_per_second": {"xla": 1000.0, "onnx": 2000.0},
            "seeds": [{"seed": seed, "measured": [end]} for seed, end in enumerate(ends)],
        }

    lines = table([row("one", [0.25]), row("two", [0.25, 0.75])]).splitlines()
    assert lines[2] == "| one | 1,234 | 2,000 (onnx) | 100 | 0.2500 | 0.5000 | 0.7500 |"
    assert "| 0.5000 ± 0.2500 | 0.5000 ± 0.0000 |" in lines[3]
