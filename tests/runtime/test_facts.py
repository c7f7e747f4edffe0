"""What is measured of a game and a machine before the settings of a new run are chosen."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from selfplay.adapters import PythonGame, host
from selfplay.contract import fingerprint, random_matches
from selfplay.registry import make
from selfplay.runtime import facts
from selfplay.runtime.facts import game_facts, machine_facts, rounded_seconds


class Steps(PythonGame[int]):
    """Whoever takes the tenth step wins; matches are cut after `cut` plies."""

    name = "steps"
    num_actions = 2
    max_plies = 12

    def __init__(self, cut: int = 12) -> None:
        self.max_plies = cut

    def initial_state(self, rng: Any) -> int:
        return 0

    def apply(self, state: int, action: int) -> int:
        return state + 1

    def legal_actions(self, state: int) -> Sequence[int]:
        return (0, 1)

    def current_player(self, state: int) -> int:
        return state % 2

    def is_terminal(self, state: int) -> bool:
        return state >= 10

    def returns(self, state: int) -> Sequence[float]:
        return (-1.0, 1.0) if state >= 10 else (0.0, 0.0)

    def observe(self, state: int) -> Any:
        return [float(state), 1.0]


def test_a_game_shows_its_sizes_and_what_random_matches_are_like() -> None:
    found = game_facts(make("tic_tac_toe"))
    assert (found.name, found.num_actions, found.max_plies) == ("tic_tac_toe", 9, 9)
    assert (found.observation_shape, found.outcomes) == ((3, 3, 2), 1)
    assert 5 <= found.plies <= 9
    assert 4 <= found.legal_actions <= 7
    # A full board is an end by the rules.
    assert (found.cut_share, found.rules_seconds) == (0.0, 0.0)
    assert found == game_facts(make("tic_tac_toe"))


def test_matches_of_the_facts_are_those_of_the_fingerprint() -> None:
    game = make("tic_tac_toe")
    assert random_matches(game).fingerprint == fingerprint(game)


@pytest.mark.parametrize(("cut", "share"), [(12, 0.0), (6, 1.0)])
def test_rules_in_plain_python_are_timed(cut: int, share: float) -> None:
    ticks = itertools.count()
    # A clock that says that each move takes a millisecond.
    found = game_facts(host(Steps(cut)), clock=lambda: 1e-3 * next(ticks))
    assert found.rules_seconds == rounded_seconds(1.1e-3)
    assert found.observation_shape == (2,)
    assert found.plies == min(cut, 10)
    assert (found.legal_actions, found.cut_share) == (2.0, share)


def test_slow_rules_are_timed_for_a_moment_only() -> None:
    calls = []

    def clock() -> float:
        calls.append(0)
        return float(len(calls))

    assert game_facts(host(Steps()), clock=clock).rules_seconds == rounded_seconds(1.0)
    assert len(calls) == 2


def test_two_measurements_of_the_same_rules_agree() -> None:
    assert rounded_seconds(200e-6) == rounded_seconds(400e-6) == pytest.approx(256e-6)
    assert rounded_seconds(1e-3) == pytest.approx(1024e-6)


def test_the_machine_has_its_devices_and_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "host_memory", lambda: 512 * 2**20)
    found = machine_facts()
    assert (found.platform, found.devices, found.memory) == ("cpu", 2, 512 * 2**20)
    assert str(found) == "2 x cpu"
    monkeypatch.setattr(facts, "host_memory", lambda: None)
    assert machine_facts().memory is None


def test_a_trainer_of_several_processes_has_the_devices_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jax.device_count", lambda: 8)
    assert machine_facts().devices == 8
