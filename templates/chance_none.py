"""MyGame: roll a die, then take one counter or as many as it shows. Change it into your own.

The rules are pure JAX functions of one small state, without a batch axis and without "whose view
is it": see https://docs.jax.dev for `jnp`. No Python `if` on array values: use `jnp.where`.
"""

import jax
import jax.numpy as jnp

from selfplay import ChanceGame, pytree

SIZE = 21
MOST = 3


@pytree
class State:
    """All that the rules need, and nothing else: many thousands of states are kept in memory."""

    left: jnp.ndarray  # int32: counters left
    player: jnp.ndarray  # int32: who is to move, 0 or 1
    die: jnp.ndarray  # int32: what it shows, 1 to MOST; has no meaning before it is rolled


class MyGame(ChanceGame):
    """Roll, then take one counter or as many as the die shows; who takes the last one wins.

    A ply has two halves: `step` plays the move, then the die is rolled for the next player, with
    `chance_probabilities`, and `resolve` says what comes of it. The first roll is in `init`.
    """

    name = "my_game"
    # Raise it when you change the rules or the observation, to tell new runs from old ones.
    version = 1
    num_outcomes = MOST  # of the die
    num_actions = 2  # 0: take one counter, 1: take as many as the die shows
    max_plies = SIZE  # a match ends at this ply and is scored by `returns`

    def init(self, key):
        """The first position, with the first roll. All that is random here comes from `key`."""
        return State(jnp.int32(SIZE), jnp.int32(0), jax.random.randint(key, (), 1, MOST + 1))

    def step(self, state, action):
        """The position after a legal `action`, before the next roll."""
        taken = jnp.where(action == 0, 1, state.die)
        # Return `state.player` for another turn.
        return State(state.left - taken, 1 - state.player, jnp.int32(0))

    def chance_probabilities(self, state):
        """The probability of each outcome of the roll after a move: here a fair die."""
        # If they differ, draw the first roll so too: jax.random.choice(key, MOST, p=chances).
        return jnp.full(MOST, 1 / MOST, jnp.float32)

    def resolve(self, state, outcome):
        """The position after the roll."""
        return State(state.left, state.player, outcome.astype(jnp.int32) + 1)

    def current_player(self, state):
        """Who is to move."""
        return state.player

    def legal_action_mask(self, state):
        """True for each legal action."""
        # A die of 1 leaves nothing to choose.
        return jnp.array([True, False]) | ((state.die > 1) & (state.die <= state.left))

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
        numbers = (jnp.arange(SIZE + 1) == state.left, jnp.arange(1, MOST + 1) == state.die)
        return jnp.concatenate(numbers).astype(jnp.float32)

    # The methods below are for people. They run outside compiled code, so they are ordinary Python.

    def render(self, state):
        """The position as text for the terminal."""
        return f"{'o' * int(state.left)} {int(state.left)} left, the die shows {int(state.die)}"

    def action_to_string(self, state, action):
        """How a person writes a move."""
        return "one" if action == 0 else "die"

    def outcome_to_string(self, state, outcome):
        """How a person writes a roll."""
        return str(outcome + 1)
