"""Games so small that a person, or a few lines of Python, can solve them."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int8, Int32, Key

from selfplay.game import Game, pytree


@pytree
class HeapState:
    """A heap of stones.

    Attributes:
        stones: how many are left.
        player: who is to move.
        last: who moved last.
    """

    stones: Int8[Array, ""]
    player: Int8[Array, ""]
    last: Int8[Array, ""]


class Subtraction(Game[HeapState]):
    """Take 1, 2 or 3 stones; whoever takes the last one wins: a multiple of 4 is lost.

    Args:
        stones: size of the first heap.
        again: whoever takes this many moves again; 0 for players that take turns.
    """

    name = "subtraction"
    num_actions = 3

    def __init__(self, stones: int = 12, again: int = 0) -> None:
        self.stones = stones
        self.again = again
        self.max_plies = stones

    def init(self, key: Key[Array, ""]) -> HeapState:
        """Returns the whole heap."""
        return HeapState(stones=jnp.int8(self.stones), player=jnp.int8(0), last=jnp.int8(1))

    def step(self, state: HeapState, action: Int32[Array, ""]) -> HeapState:
        """Returns the heap with `action + 1` stones less."""
        return HeapState(
            stones=(state.stones - action - 1).astype(jnp.int8),
            player=jnp.where(action + 1 == self.again, state.player, 1 - state.player),
            last=state.player,
        )

    def current_player(self, state: HeapState) -> Int32[Array, ""]:
        """Returns who is to move."""
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: HeapState) -> Bool[Array, "3"]:
        """Returns which numbers of stones are still there."""
        return jnp.arange(1, 4) <= state.stones

    def is_terminal(self, state: HeapState) -> Bool[Array, ""]:
        """Returns whether the heap is gone."""
        return state.stones <= 0

    def returns(self, state: HeapState) -> Float32[Array, "2"]:
        """Returns 1 for whoever took the last stone and -1 for the other; 0 before that."""
        result = jnp.where(jnp.arange(2) == state.last, 1.0, -1.0)
        return jnp.where(state.stones <= 0, result, 0.0).astype(jnp.float32)

    def observe(self, state: HeapState) -> Float32[Array, "1"]:
        """Returns the number of stones."""
        return state.stones[None].astype(jnp.float32)


@pytree
class CoinsState:
    """What is left of a row of coins.

    Attributes:
        left: index of the first coin.
        right: index behind the last coin.
        lead: what player 0 has taken less what player 1 has.
        player: who is to move.
    """

    left: Int8[Array, ""]
    right: Int8[Array, ""]
    lead: Int32[Array, ""]
    player: Int8[Array, ""]


class Coins(Game[CoinsState]):
    """Take the coin at the left (0) or the right (1) end; an odd coin grants another move.

    The result is the lead at the end, as a share of all coins. A player who moves twice keeps
    the sign of the value; a player who does not turns it: who mixes that up plays badly here.

    Args:
        coins: the row.
        max_plies: where the match is cut and scored as it stands; the whole row by default.
    """

    name = "coins"
    num_actions = 2

    def __init__(
        self, coins: tuple[int, ...] = (2, 3, 1, 4, 6, 5, 2, 4), max_plies: int | None = None
    ) -> None:
        self.coins = coins
        self.max_plies = len(coins) if max_plies is None else max_plies

    def init(self, key: Key[Array, ""]) -> CoinsState:
        """Returns the whole row."""
        return CoinsState(
            left=jnp.int8(0),
            right=jnp.int8(len(self.coins)),
            lead=jnp.int32(0),
            player=jnp.int8(0),
        )

    def step(self, state: CoinsState, action: Int32[Array, ""]) -> CoinsState:
        """Returns the row without the coin at that end."""
        taken = jnp.where(action == 0, state.left, state.right - 1)
        coin = jnp.array(self.coins, jnp.int32)[taken]
        return CoinsState(
            left=jnp.where(action == 0, state.left + 1, state.left),
            right=jnp.where(action == 0, state.right, state.right - 1),
            lead=state.lead + jnp.where(state.player == 0, coin, -coin),
            player=jnp.where(coin % 2 == 1, state.player, 1 - state.player),
        )

    def current_player(self, state: CoinsState) -> Int32[Array, ""]:
        """Returns who is to move."""
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: CoinsState) -> Bool[Array, "2"]:
        """Returns both ends; the last coin is taken from the left."""
        left = state.right - state.left
        return jnp.stack([left > 0, left > 1])

    def is_terminal(self, state: CoinsState) -> Bool[Array, ""]:
        """Returns whether no coin is left."""
        return state.left >= state.right

    def returns(self, state: CoinsState) -> Float32[Array, "2"]:
        """Returns the lead of each player as a share of all coins."""
        share = state.lead.astype(jnp.float32) / sum(self.coins)
        return jnp.stack([share, -share])

    def observe(self, state: CoinsState) -> Float32[Array, "3"]:
        """Returns both ends of the row and the mover's lead."""
        lead = jnp.where(state.player == 0, state.lead, -state.lead)
        return jnp.stack([state.left, state.right, lead]).astype(jnp.float32)
