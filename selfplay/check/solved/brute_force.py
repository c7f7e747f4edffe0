"""Exact values of small games by plain recursion; knows nothing of search or of value signs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.errors import SelfplayError
from selfplay.game import Game, Position


class BruteForce:
    """Minimax over the rules of one game, on the host.

    It compares results of player 0 throughout: player 0 takes the highest, player 1 the lowest.
    No value is ever turned round, so that it cannot share a mistake of sign with the search.
    """

    def __init__(self, game: Game[Any], *, max_positions: int = 100_000) -> None:
        """Prepares the recursion; `max_positions` guards against games that are not small."""
        self.game = game
        self._max_positions = max_positions
        self._known: dict[bytes, float] = {}
        self._look = jax.jit(lambda position: _look(game, position))

    def action_values(self, position: Position[Any]) -> dict[int, float]:
        """Returns the exact result of each legal action, in [-1, 1], for the player to move.

        Raises:
            SelfplayError: there are too many positions, or one without a legal action.
        """
        seen = jax.device_get(self._look(position))
        sign = 1.0 if seen["player"] == 0 else -1.0
        return {
            action: sign * self._first_players_result(_row(seen["children"], action))
            for action in np.flatnonzero(seen["legal"]).tolist()
        }

    def value(self, position: Position[Any]) -> float:
        """Returns the exact result of a position that is not over, for the player to move."""
        return max(self.action_values(position).values())

    def _first_players_result(self, position: Position[Any]) -> float:
        name = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(position))
        if name not in self._known:
            if len(self._known) >= self._max_positions:
                raise SelfplayError(
                    f"{self.game.name} has more than {self._max_positions} positions, "
                    "but brute force is for small games"
                )
            seen = jax.device_get(self._look(position))
            if seen["over"]:
                self._known[name] = float(seen["returns"][0])
            else:
                results = [
                    self._first_players_result(_row(seen["children"], action))
                    for action in np.flatnonzero(seen["legal"]).tolist()
                ]
                if not results:
                    raise SelfplayError(
                        f"{self.game.name} has a position without a legal action that is not over"
                    )
                best: Callable[[list[float]], float] = max if seen["player"] == 0 else min
                self._known[name] = best(results)
        return self._known[name]


def _look(game: Game[Any], position: Position[Any]) -> dict[str, Any]:
    """Returns what the rules say of a position, and what follows each action."""
    state = position.state
    children: Position[Any] = jax.vmap(
        lambda action: Position(state=game.step(state, action), ply=position.ply + 1)
    )(jnp.arange(game.num_actions, dtype=jnp.int32))
    return {
        "legal": game.legal_action_mask(state),
        "player": game.current_player(state),
        "over": game.is_terminal(state) | (position.ply >= game.max_plies),
        "returns": game.returns(state),
        "children": children,
    }


def _row(batch: Any, index: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], batch)
