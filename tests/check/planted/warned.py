"""Games that each get one warning, and nothing else is wrong with them."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from selfplay.check.solved.small_games import Coins
from selfplay.game import Game
from tests.check.planted.games import Plain, Walk
from tests.check.real_rules.hidden import Kuhn


@dataclasses.dataclass(frozen=True)
class Warned:
    """What the check must say of a game.

    Attributes:
        game: the rules.
        warning: the only warning that it gets.
        limits: module attributes that are set to make the check faster.
        measures: whether the warning needs the measures of compilation.
    """

    game: Game[Any]
    warning: str
    limits: dict[str, Any] = dataclasses.field(default_factory=dict)
    measures: bool = False


class LargeState(Walk):
    def init(self, key: Any) -> Any:
        return super().init(key) | {"history": jnp.zeros(1200, jnp.int32)}

    def step(self, state: Any, action: Any) -> Any:
        return super().step(state, action) | {"history": state["history"]}


class LargeTable(Walk):
    def observe(self, state: Any) -> Any:
        table = jnp.asarray(np.zeros((1 << 20) + 16, np.float32))
        return super().observe(state) + table[state["at"]]


class Circle(Walk):
    """Never over; on an odd field the player to move leads."""

    max_plies = 2000

    def step(self, state: Any, action: Any) -> Any:
        return {"at": (state["at"] + action + 1) % self.length, "player": 1 - state["player"]}

    def is_terminal(self, state: Any) -> Any:
        return state["at"] < 0

    def returns(self, state: Any) -> Any:
        lead = jnp.where(state["at"] % 2 == 1, 0.5, -0.5)
        return jnp.where(jnp.arange(2) == state["player"], lead, -lead)


class NobodyWins(Walk):
    def returns(self, state: Any) -> Any:
        return jnp.zeros(2)


class WithSeat(Plain):
    """A plane says who is to move."""

    def observe(self, state: Any) -> Any:
        seat = jnp.broadcast_to(state.player, (3, 3, 1)).astype(jnp.float32)
        return jnp.concatenate([super().observe(state), seat], axis=-1)


class OnlyPlayerZeroWins(WithSeat):
    def returns(self, state: Any) -> Any:
        return jnp.where(state.winner == 0, jnp.array([1.0, -1.0]), 0.0)


class LastStepLoses(Walk):
    def returns(self, state: Any) -> Any:
        return -super().returns(state)


class TwoViews(WithSeat):
    def observe(self, state: Any) -> Any:
        marks = jnp.stack([state.cells == 0, state.cells == 1], axis=-1).astype(jnp.float32)
        return jnp.concatenate([marks, super().observe(state)[..., 2:]], axis=-1)


class SecondWinsTies(Plain):
    """A full board is a win for player 1; whose move it is shows by the number of marks alone."""

    def returns(self, state: Any) -> Any:
        full = (state.winner < 0) & (state.cells >= 0).all()
        return jnp.where(full, jnp.array([-1.0, 1.0]), super().returns(state))


WARNED: list[Warned] = [
    Warned(LargeState(), "state-size"),
    Warned(LargeTable(), "constants"),
    Warned(Circle(), "long-matches", {"selfplay.check.conformance._MOST_PLIES": 12}),
    Warned(Coins(max_plies=4), "cut-matches"),
    Warned(NobodyWins(), "drawn-matches"),
    Warned(OnlyPlayerZeroWins(), "one-never-wins"),
    Warned(LastStepLoses(), "last-mover-loses"),
    Warned(
        Walk(),
        "slow-compilation",
        {"selfplay.check.laws.training._SLOW_COMPILE_SECONDS": 0.0},
        measures=True,
    ),
    Warned(Kuhn(), "look-alike"),
    Warned(TwoViews(), "two-views"),
    Warned(SecondWinsTies(), "unequal-players"),
]
