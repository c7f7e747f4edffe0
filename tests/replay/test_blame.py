"""A game that breaks its contract is blamed itself, not the records that it made."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.arena import make_agent, play_matches
from selfplay.errors import GameContractError, RecordError
from selfplay.game import Game, advance, draw_outcome, legal_actions, start
from selfplay.games.einstein_wuerfelt_nicht import EinsteinWuerfeltNicht
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.records import MatchRecord
from selfplay.registry import make
from selfplay.replay import Rebuilder
from selfplay.replay.blame import broken_rule, looks_strange
from tests.records.examples import RandomMatches

KEY = (0, 0)
LONG = [0, 1, 2, 3, 4, 5, 7, 6, 8]


def stones(state: Any) -> Any:
    return (state.cells >= 0).sum()


class NanView(TicTacToe):
    """Fault: a division by zero once seven stones lie."""

    def observe(self, state: Any) -> Any:
        return jnp.where(stones(state) >= 7, jnp.nan, super().observe(state))


class Stuck(TicTacToe):
    """Fault: nobody can move once three stones lie."""

    def legal_action_mask(self, state: Any) -> Any:
        return super().legal_action_mask(state) & (stones(state) != 3)


class Three(TicTacToe):
    """Fault: a win is worth 3."""

    def returns(self, state: Any) -> Any:
        return 3 * super().returns(state)


class NanResult(TicTacToe):
    """Fault: results are NaN at the end of long matches."""

    def returns(self, state: Any) -> Any:
        return jnp.where(stones(state) >= 5, jnp.nan, super().returns(state))


class Nobody(TicTacToe):
    """Fault: player 2 is to move once two stones lie."""

    def current_player(self, state: Any) -> Any:
        return jnp.where(stones(state) == 2, 2, super().current_player(state))


FAULTS: list[tuple[type[TicTacToe], list[int], int | None, str, int, str]] = [
    (NanView, LONG, None, "finite", 7, "observe is nan at [0, 0, 0], but must be finite"),
    # The search at ply 5 saw what lies two plies ahead of it.
    (NanView, LONG[:6], 5, "finite", 7, "observe is nan at [0, 0, 0], but must be finite"),
    (NanView, [*LONG[:5], 0], None, "finite", 7, "observe is nan at [0, 0, 0]"),
    (Stuck, LONG, None, "no-legal-action", 3, "legal_action_mask allows no action, but the match"),
    (Three, [0, 3, 1, 4, 2], None, "returns", 5, "returns is [3, -3], but must be two numbers"),
    (NanResult, LONG, None, "returns", 5, "returns is [nan, nan], but must be two numbers"),
    (Nobody, LONG, None, "player", 2, "current_player is 2, but must be 0 or 1"),
]


@pytest.mark.parametrize(("game", "actions", "ply", "rule", "plies", "text"), FAULTS)
def test_the_rule_is_named_with_the_moves(
    game: type[TicTacToe], actions: list[int], ply: int | None, rule: str, plies: int, text: str
) -> None:
    error = broken_rule(game(), KEY, actions, strange_ply=ply)
    assert error is not None
    assert (error.rule, len(error.moves)) == (rule, plies)
    assert str(error).startswith(f"tic_tac_toe: {text}")
    shown = " ".join(map(str, error.moves))
    assert error.hint == (
        f"after the moves {shown}, which breaks the rule {rule}; selfplay check GAME shows it"
    )


@pytest.mark.parametrize("actions", [LONG, [0, 0], [9], [-1], []])
def test_a_sound_game_is_never_to_blame(actions: list[int]) -> None:
    assert broken_rule(TicTacToe(), KEY, actions) is None


def test_dice_are_followed_too() -> None:
    game: Game[Any] = make("einstein_wuerfelt_nicht")
    position = start(game, jax.random.wrap_key_data(jnp.zeros(2, jnp.uint32)))
    actions, outcomes = [], []
    for ply in range(3):
        action = jnp.int32(legal_actions(game, position.state)[0])
        outcome = draw_outcome(game, position, action, key=jax.random.key(ply))
        position = advance(game, position, action, outcome).position
        actions.append(int(action))
        outcomes.append(int(outcome))
    assert broken_rule(game, KEY, actions, outcomes) is None
    broken = broken_rule(_LateThree(), KEY, actions, outcomes)
    assert broken is not None and broken.rule == "returns"
    assert 0 < len(broken.moves) <= len(actions)
    assert broken.outcomes == tuple(outcomes[: len(broken.outcomes)])
    assert "roll:#" in broken.hint


class _LateThree(EinsteinWuerfeltNicht):
    """Fault: a player is credited with 3 for nothing, unless it is the first position."""

    def returns(self, state: Any) -> Any:
        first = self.init(jax.random.wrap_key_data(jnp.zeros(2, jnp.uint32)))
        moved = (self.observe(state) != self.observe(first)).sum() > 8
        return jnp.where(moved, jnp.array([3.0, -3.0]), super().returns(state))


def match() -> MatchRecord:
    return RandomMatches(make("tic_tac_toe")).several(1)[0].record


def test_records_of_a_broken_game_are_not_called_damaged() -> None:
    record = match()
    win = dataclasses.replace(record, returns=(3.0, -3.0))
    assert looks_strange(win) and not looks_strange(record)
    with pytest.raises(GameContractError, match=r"returns is \[3, -3\]"):
        Rebuilder(Three())([win])
    # The same record under sound rules is damaged.
    with pytest.raises(RecordError):
        Rebuilder(make("tic_tac_toe"))([win])


@pytest.mark.parametrize(
    "change",
    [
        {"root_values": np.nan},
        {"raw_values": 2.0},
        {"players": 3},
    ],
)
def test_numbers_that_no_sound_game_gives_are_noticed(change: dict[str, float]) -> None:
    record = match()
    ((name, value),) = change.items()
    values = np.array(getattr(record, name))
    values[1] = value
    changed: dict[str, Any] = {name: values}
    assert looks_strange(dataclasses.replace(record, **changed))


def test_matches_of_agents_end_with_what_the_game_did() -> None:
    game = Stuck()
    agents = [make_agent("random", game, batch_size=4) for _ in range(2)]
    with pytest.raises(GameContractError, match="legal_action_mask allows no action"):
        play_matches(game, *agents, num_matches=4, opening_plies=0)
