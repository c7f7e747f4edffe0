"""MyGame: take 1 to 3 counters; who takes the last one wins. Change it into your own game.

The rules are pure JAX functions of one small state, without a batch axis and without "whose view
is it": see https://docs.jax.dev for `jnp`. No Python `if` on array values: use `jnp.where`.
"""

import jax.numpy as jnp

from selfplay import Game, pytree

SIZE = 21
MOST = 3


@pytree
class State:
    """All that the rules need, and nothing else: many thousands of states are kept in memory."""

    left: jnp.ndarray  # int32: counters left
    player: jnp.ndarray  # int32: who is to move, 0 or 1


class MyGame(Game):
    """Take 1 to 3 counters; the last one wins; player 0 begins."""

    name = "my_game"
    # Raise it when you change the rules or the observation, to tell new runs from old ones.
    version = 1
    num_actions = MOST  # action a takes a + 1 counters
    max_plies = SIZE  # a match ends at this ply and is scored by `returns`

    def init(self, key):
        """The first position. `key` is for a random start: `jax.random.randint(key, ...)`."""
        return State(jnp.int32(SIZE), jnp.int32(0))

    def step(self, state, action):
        """The position after a legal `action`."""
        # Return `state.player` for another turn.
        return State(state.left - action - 1, 1 - state.player)

    def current_player(self, state):
        """Who is to move."""
        return state.player

    def legal_action_mask(self, state):
        """True for each legal action."""
        return jnp.arange(1, MOST + 1) <= state.left

    def is_terminal(self, state):
        """Whether the match is over."""
        return state.left <= 0

    def returns(self, state):
        """The result of player 0 and of player 1, from -1 to 1; their sum is 0."""
        # At the end it is the turn of the player who did not take the last counter.
        result = jnp.where(jnp.arange(2) == state.player, -1.0, 1.0)
        return jnp.where(state.left <= 0, result, 0.0).astype(jnp.float32)

    def observe(self, state):
        """What the network sees, from the side of the player to move: a list of numbers.

        A network reads a 1 at the right place more easily than a large number.
        """
        return (jnp.arange(SIZE + 1) == state.left).astype(jnp.float32)

    # The methods below are for people. They run outside compiled code, so they are ordinary Python.

    def render(self, state):
        """The position as text for the terminal."""
        return f"{'o' * int(state.left)} {int(state.left)} left"

    def action_to_string(self, state, action):
        """How a person writes a move."""
        return str(action + 1)
