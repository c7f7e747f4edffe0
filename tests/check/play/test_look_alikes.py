"""Positions that look the same and are not get a warning; actions never legal are named."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.check.conformance import examine
from selfplay.check.report import Fault
from selfplay.game import Game
from tests.check.planted.games import Plain
from tests.check.real_rules.hidden import ForcedBoardIsNotShown


def _look_alikes(game: Game[Any]) -> list[Fault]:
    report = examine(game, matches=16, measures=False)
    assert report.ok, [fault.to_text() for fault in report.faults]
    return [warning for warning in report.warnings if warning.rule == "look-alike"]


def _state(game: Game[Any], fault: Fault) -> Any:
    state = game.init(jax.random.wrap_key_data(jnp.array(fault.start_key, jnp.uint32)))
    for action in fault.moves:
        assert game.legal_action_mask(state)[action]
        state = game.step(state, jnp.int32(action))
    return state


def test_a_rule_that_is_not_shown_gets_a_warning_with_both_positions() -> None:
    game = ForcedBoardIsNotShown()
    (warning,) = _look_alikes(game)
    assert warning.message.startswith(
        "two positions look the same to the player to move, but other actions are legal: action"
    )
    assert warning.other is not None
    states = [_state(game, one) for one in (warning, warning.other)]
    views = [np.asarray(game.observe(state)) for state in states]
    masks = [np.asarray(game.legal_action_mask(state)) for state in states]
    assert np.array_equal(views[0], views[1]) and not np.array_equal(masks[0], masks[1])
    text = warning.to_text()
    assert text.startswith("warning: two positions look the same")
    assert text.count("  moves: ") == 2
    document = warning.to_dict()
    assert set(document) - {"other"} == set(document["other"])


def test_actions_that_are_always_legal_are_named() -> None:
    class WithPass(Plain):
        num_actions = 10

        def legal_action_mask(self, state: Any) -> Any:
            return jnp.concatenate([super().legal_action_mask(state), jnp.ones(1, bool)])

        def action_to_string(self, state: Any, action: int) -> str:
            return "pass" if action == 9 else super().action_to_string(state, action)

    always = examine(WithPass(), matches=16, measures=False).measures["always_legal"]
    assert always == {"count": 1, "actions": [9], "names": ["pass"]}
    assert examine(Plain(), matches=16, measures=False).measures["always_legal"]["count"] == 0


def test_actions_that_are_never_legal_are_named() -> None:
    class TwelveTooMany(Plain):
        num_actions = 21

        def legal_action_mask(self, state: Any) -> Any:
            return jnp.concatenate([super().legal_action_mask(state), jnp.zeros(12, bool)])

        def action_to_string(self, state: Any, action: int) -> str:
            return f"move{action}"

    report = examine(TwelveTooMany(), matches=16, measures=False)
    assert report.ok
    never = report.measures["never_legal"]
    assert never["count"] == 12
    assert never["actions"][:2] == [9, 10] and never["names"][:2] == ["move9", "move10"]
