"""What must hold in a plain-Python game, and what to change: where JAX games need other words."""

WORDS: dict[str, tuple[str, str]] = {
    "contract": (
        "every method returns what its docstring says",
        "what the message names; help(selfplay.PythonGame) says what each method takes and returns",
    ),
    "exception": ("no method raises an exception", "the line that the message names"),
    "hangs": (
        "every method returns",
        "a loop or a recursion that does not end, or rules too slow to train with",
    ),
    "mutation": (
        "a method leaves the state it is given as it was",
        "copy what you change first: list(state), dict(state) or copy.deepcopy(state)",
    ),
    "randomness": (
        "a game is a function of its arguments: all that is random comes from rng, or is an "
        "outcome of a PythonChanceGame",
        "no random, time or counters, no order of a set, and no attribute of the game that "
        "changes; dice after the first position need PythonChanceGame",
    ),
    "legal-actions": (
        "legal_actions lists the number of each legal action once",
        "return [action for action in range(self.num_actions) if ...]",
    ),
    "start": ("the first position is not over", "is_terminal, or what initial_state returns"),
    "player": (
        "current_player is 0 or 1, and both players get to move",
        "hand the turn over in apply, but for moves that grant another",
    ),
    "no-legal-action": (
        "a match that is not over has a legal action",
        "is_terminal must be True here, or legal_actions must hold a pass",
    ),
    "finite": (
        "observations are finite",
        "a division by zero, a logarithm of zero, or infinity less infinity in observe",
    ),
    "observation": ("observe shows the state", "observe must depend on the state"),
    "observation-side": (
        "observe shows the position from the side of the player to move",
        "put the mover's pieces first, then the opponent's; do not show player 0 first",
    ),
    "symmetry": (
        "apply(map_state(s), permutation[a]) is map_state(apply(s, a)), and legal actions, end and "
        "results follow",
        "permutation[a] is the image of action a (not where it comes from), and map_state must "
        "map every part of the state",
    ),
}
"""Law and advice by rule; for all other rules those of `selfplay.check.faults` hold."""
