"""A small game of chance with everything that can go wrong in one, and its exact solution."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int8, Int32, Key

from selfplay.game import ChanceGame, Position, pytree


@pytree
class StormState:
    """A heap of stones and a die.

    Attributes:
        stones: how many are left.
        die: what it shows, 1 to 3; 0 in an afterstate in which it is to be rolled, 4 in a storm.
        player: who is to move.
        last: who moved last.
    """

    stones: Int8[Array, ""]
    die: Int8[Array, ""]
    player: Int8[Array, ""]
    last: Int8[Array, ""]


class Storm(ChanceGame[StormState]):
    """Take the last stone to win; a loaded die says how many may be taken.

    Action 0 takes one stone, action 1 as many as the die shows, action 2 takes one and keeps the
    die as it lies: no chance follows. Who takes two stones by action 1 moves again. The fourth
    outcome is a storm: the match is over and the player to move has a quarter of a win.
    """

    name = "storm"
    num_actions = 3
    num_outcomes = 4

    def __init__(self, stones: int = 6, max_plies: int | None = None) -> None:
        self.stones = stones
        self.max_plies = max_plies or stones

    def init(self, key: Key[Array, ""]) -> StormState:
        """Returns the whole heap and the first roll."""
        return StormState(
            stones=jnp.int8(self.stones),
            die=jax.random.randint(key, (), 1, 4).astype(jnp.int8),
            player=jnp.int8(0),
            last=jnp.int8(1),
        )

    def step(self, state: StormState, action: Int32[Array, ""]) -> StormState:
        """Returns the smaller heap, the die off the table unless it is kept."""
        taken = jnp.where(action == 1, state.die, 1).astype(jnp.int8)
        again = (action == 1) & (state.die == 2)
        return StormState(
            stones=state.stones - taken,
            die=jnp.where(action == 2, state.die, 0).astype(jnp.int8),
            player=jnp.where(again, state.player, 1 - state.player),
            last=state.player,
        )

    def is_chance(self, state: StormState) -> Bool[Array, ""]:
        """Returns whether the die is to be rolled."""
        return state.die == 0

    def chance_probabilities(self, state: StormState) -> Float32[Array, "4"]:
        """Returns the loaded die; a three does not come up on few stones."""
        many = jnp.array([0.45, 0.3, 0.15, 0.1], jnp.float32)
        few = jnp.array([0.6, 0.3, 0.0, 0.1], jnp.float32)
        return jnp.where(state.stones > 2, many, few)

    def resolve(self, state: StormState, outcome: Int32[Array, ""]) -> StormState:
        """Returns the position with the die on the table."""
        return StormState(
            stones=state.stones,
            die=(outcome + 1).astype(jnp.int8),
            player=state.player,
            last=state.last,
        )

    def current_player(self, state: StormState) -> Int32[Array, ""]:
        """Returns who is to move."""
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: StormState) -> Bool[Array, "3"]:
        """Returns whether enough stones are left."""
        some = state.stones >= 1
        return jnp.stack([some, (state.die >= 2) & (state.die <= state.stones), some])

    def is_terminal(self, state: StormState) -> Bool[Array, ""]:
        """Returns whether the heap is gone or a storm has come."""
        return (state.stones <= 0) | (state.die == 4)

    def returns(self, state: StormState) -> Float32[Array, "2"]:
        """Returns the win of the last stone, the quarter of a storm, or a tenth in between."""
        taken = jnp.where(jnp.arange(2) == state.last, 1.0, -1.0)
        storm = jnp.where(jnp.arange(2) == state.player, 0.25, -0.25)
        cut = jnp.where(jnp.arange(2) == 0, 0.1, -0.1)
        result = jnp.where(state.stones <= 0, taken, jnp.where(state.die == 4, storm, cut))
        return result.astype(jnp.float32)

    def observe(self, state: StormState) -> Float32[Array, "6"]:
        """Returns the stones and the die."""
        die = jnp.arange(1, 5) == state.die
        return jnp.concatenate([jnp.stack([state.stones, state.player]), die]).astype(jnp.float32)

    def outcome_to_string(self, state: StormState, outcome: int) -> str:
        """Returns "one" to "three", or "storm"."""
        return ("one", "two", "three", "storm")[outcome]


class Expectimax:
    """Exact values by plain recursion over the rules.

    Results of player 0 throughout: player 0 takes the highest, player 1 the lowest, chance the
    mean. No value is ever turned round, so that it cannot share a mistake of sign with the search.
    """

    def __init__(self, game: ChanceGame[Any]) -> None:
        self.game = game
        self._known: dict[bytes, float] = {}
        self._look = jax.jit(self._look_at)

    def _look_at(self, position: Position[Any]) -> dict[str, Any]:
        game = self.game

        def after(action: Array) -> dict[str, Any]:
            state = game.step(position.state, action)
            ply = position.ply + 1
            outcomes = jnp.arange(game.num_outcomes, dtype=jnp.int32)
            return {
                "position": Position(state=state, ply=ply),
                "rolls": game.is_chance(state) & ~game.is_terminal(state) & (ply < game.max_plies),
                "probabilities": game.chance_probabilities(state),
                "resolved": jax.vmap(
                    lambda outcome: Position(state=game.resolve(state, outcome), ply=ply)
                )(outcomes),
            }

        return {
            "legal": game.legal_action_mask(position.state),
            "player": game.current_player(position.state),
            "over": game.is_terminal(position.state) | (position.ply >= game.max_plies),
            "returns": game.returns(position.state),
            "after": jax.vmap(after)(jnp.arange(game.num_actions, dtype=jnp.int32)),
        }

    def action_values(self, position: Position[Any]) -> dict[int, float]:
        """Returns the exact expected result of each legal action for the player to move."""
        seen = jax.device_get(self._look(position))
        sign = 1.0 if seen["player"] == 0 else -1.0
        return {
            action: sign * self._of_action(seen["after"], action)
            for action in np.flatnonzero(seen["legal"]).tolist()
        }

    def value(self, position: Position[Any]) -> float:
        """Returns the exact expected result for the player to move."""
        return max(self.action_values(position).values())

    def _of_action(self, after: dict[str, Any], action: int) -> float:
        if not after["rolls"][action]:
            return self._of_position(row(after["position"], action))
        probabilities = after["probabilities"][action]
        return sum(
            float(probabilities[outcome])
            * self._of_position(row(row(after["resolved"], action), outcome))
            for outcome in np.flatnonzero(probabilities).tolist()
        )

    def _of_position(self, position: Position[Any]) -> float:
        name = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(position))
        if name not in self._known:
            seen = jax.device_get(self._look(position))
            if seen["over"]:
                self._known[name] = float(seen["returns"][0])
            else:
                results = [
                    self._of_action(seen["after"], action)
                    for action in np.flatnonzero(seen["legal"]).tolist()
                ]
                self._known[name] = max(results) if seen["player"] == 0 else min(results)
        return self._known[name]


def row(batch: Any, index: int) -> Any:
    """Returns one row of a tree of arrays."""
    return jax.tree.map(lambda leaf: leaf[index], batch)
