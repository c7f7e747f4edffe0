"""MyGame: take 1 to 3 counters; who takes the last one wins. Change it into your own game.

The rules in ordinary Python. A state can be any object, but `apply` must return a new one and
leave its argument as it was. This is slower than JAX: `selfplay check` shows the speed.
"""

import dataclasses

from selfplay import PythonGame

SIZE = 21
MOST = 3


@dataclasses.dataclass
class State:
    """A position: how many counters are left, and who is to move."""

    left: int
    player: int = 0


class MyGame(PythonGame):
    """Take 1 to 3 counters; the last one wins; player 0 begins."""

    name = "my_game"
    # Raise it when you change the rules or the observation, to tell new runs from old ones.
    version = 1
    num_actions = MOST  # action a takes a + 1 counters
    max_plies = SIZE  # a match ends at this ply and is scored by `returns`

    def initial_state(self, rng):
        """The first position. `rng` is for a random start, such as `rng.randrange(6)`."""
        return State(SIZE)

    def apply(self, state, action):
        """The position after a legal `action`, as a new state."""
        # `state.player` for another turn.
        return State(state.left - action - 1, 1 - state.player)

    def legal_actions(self, state):
        """The legal actions."""
        return [action for action in range(MOST) if action + 1 <= state.left]

    def current_player(self, state):
        """Who is to move, 0 or 1."""
        return state.player

    def is_terminal(self, state):
        """Whether the match is over."""
        return state.left == 0

    def returns(self, state):
        """The result of player 0 and of player 1, from -1 to 1; their sum is 0."""
        if state.left > 0:
            return 0.0, 0.0
        # At the end it is the turn of the player who did not take the last counter.
        return (-1.0, 1.0) if state.player == 0 else (1.0, -1.0)

    def observe(self, state):
        """What the network sees, from the side of the player to move: a list of numbers.

        A network reads a 1 at the right place more easily than a large number.
        """
        return [float(number == state.left) for number in range(SIZE + 1)]

    # The methods below are for people.

    def render(self, state):
        """The position as text for the terminal."""
        return f"{'o' * state.left} {state.left} left"

    def action_to_string(self, state, action):
        """How a person writes a move."""
        return str(action + 1)
