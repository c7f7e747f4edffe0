"""Bundled games with a mistake in them, for measuring what finds mistakes."""

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from selfplay.game import ChanceGame, Game
from selfplay.registry import GameSpec, make

FAULTS = {
    "sign": "results are for whoever is to move instead of for player 0 and player 1",
    "side": "both players see what player 0 sees",
    "blind": "the observation is always the same",
    "first": "player 0 wins every match",
    "drawn": "every match is drawn",
    "short": "max_plies ends most matches",
}
_SHORT_PLIES = 6


def planted(game: str, fault: str, **options: Any) -> GameSpec:
    """Returns how to make a bundled game with a mistake.

    Args:
        game: its name.
        fault: one of `FAULTS`, or "sound" for none.
        options: of the game: rows, columns or size.
    """
    kind = PlantedChance if isinstance(make(game), ChanceGame) else Planted
    return GameSpec(
        f"{Path(__file__).resolve()}:{kind.__name__}", {"game": game, "fault": fault, **options}
    )


class Planted(Game[Any]):
    """A bundled game with a mistake in it.

    Args:
        game: its name.
        fault: one of `FAULTS`, or "sound" for none. For "side" the state of the game must say in
            `player` who is to move.
        rows: option of the game; 0 for none, as with all that follow.
        columns: option of the game.
        size: option of the game.
    """

    def __init__(
        self, game: str, fault: str, rows: int = 0, columns: int = 0, size: int = 0
    ) -> None:
        sizes = {"rows": rows, "columns": columns, "size": size}
        self._game = make(game, **{name: value for name, value in sizes.items() if value})
        self._fault = fault
        self.name = f"{self._game.name}-{fault}"
        self.num_actions = self._game.num_actions
        self.max_plies = _SHORT_PLIES if fault == "short" else self._game.max_plies

    def init(self, key: Any) -> Any:
        """Returns the first position."""
        return self._game.init(key)

    def step(self, state: Any, action: Any) -> Any:
        """Returns the position after `action`."""
        return self._game.step(state, action)

    def current_player(self, state: Any) -> Any:
        """Returns who is to move."""
        return self._game.current_player(state)

    def legal_action_mask(self, state: Any) -> Any:
        """Returns the legal actions."""
        return self._game.legal_action_mask(state)

    def is_terminal(self, state: Any) -> Any:
        """Returns whether the match is over."""
        return self._game.is_terminal(state)

    def returns(self, state: Any) -> Any:
        """Returns the result, with the mistake."""
        found = self._game.returns(state)
        if self._fault == "sign":
            return jnp.where(self._game.current_player(state) == 0, found, -found)
        if self._fault == "first":
            return jnp.array([1.0, -1.0])
        return jnp.zeros(2) if self._fault == "drawn" else found

    def observe(self, state: Any) -> Any:
        """Returns what the player to move sees, with the mistake."""
        if self._fault == "side":
            state = dataclasses.replace(state, player=jnp.zeros_like(state.player))
        seen = self._game.observe(state)
        return jnp.ones_like(seen) if self._fault == "blind" else seen


class PlantedChance(Planted, ChanceGame[Any]):
    """The same of a game of chance."""

    _game: ChanceGame[Any]

    def __init__(self, game: str, fault: str) -> None:
        super().__init__(game, fault)
        self.num_outcomes = self._game.num_outcomes

    def chance_probabilities(self, state: Any) -> Any:
        """Returns how likely each outcome is."""
        return self._game.chance_probabilities(state)

    def resolve(self, state: Any, outcome: Any) -> Any:
        """Returns the position after `outcome`."""
        return self._game.resolve(state, outcome)

    def is_chance(self, state: Any) -> Any:
        """Returns whether chance comes before the next move."""
        return self._game.is_chance(state)
