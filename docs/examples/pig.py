"""Pig in plain Python: roll as often as you dare, but a 1 loses what the turn brought."""

from selfplay import PythonChanceGame


class Pig(PythonChanceGame):
    name = "pig"
    num_actions = 2  # 0 rolls, 1 holds
    num_outcomes = 6  # outcomes are 0 ... 5
    max_plies = 200

    def initial_state(self, rng):  # a first roll would be drawn here, by rng
        # The points of both, of the turn, who is to move, whether a roll follows.
        return (0, 0), 0, 0, False

    def apply(self, state, action):  # plays the action; leads to an afterstate
        points, turn, player, _ = state
        if action == 0:
            return points, turn, player, True
        held = tuple(own + turn * (side == player) for side, own in enumerate(points))
        return held, 0, 1 - player, False

    def is_chance(self, state):  # optional: whether chance comes next; asked of afterstates alone
        return state[3]

    def chance_probabilities(self, state):  # of an afterstate: one number per outcome, sum 1
        return [1 / 6] * 6

    def resolve(self, state, outcome):  # from the afterstate to the next position
        points, turn, player, _ = state
        if outcome == 0:  # a 1 loses the points of the turn
            return points, 0, 1 - player, False
        return points, turn + outcome + 1, player, False

    def outcome_to_string(self, state, outcome):  # optional
        return str(outcome + 1)

    def legal_actions(self, state):
        return [0, 1] if state[1] else [0]

    def current_player(self, state):
        return state[2]

    def is_terminal(self, state):
        return max(state[0]) >= 20

    def returns(self, state):
        first, second = state[0]
        return (1, -1) if first >= 20 else (-1, 1) if second >= 20 else (0, 0)

    def observe(self, state):
        points, turn, player, _ = state
        return [points[player] / 20, points[1 - player] / 20, turn / 20]
