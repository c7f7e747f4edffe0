"""Laws that only plain-Python games can break; `selfplay.adapters` tests them at every call."""

from selfplay.check.laws.law import Law

EXCEPTION = Law(
    name="exception",
    statement="no method raises an exception",
    advice="the line that the message names",
    only_python=True,
)

HANGS = Law(
    name="hangs",
    statement="every method returns",
    advice="a loop or a recursion that does not end, or rules too slow to train with",
    only_python=True,
)

MUTATION = Law(
    name="mutation",
    statement="a method leaves the state it is given as it was",
    advice="copy what you change first: list(state), dict(state) or copy.deepcopy(state)",
    only_python=True,
)

LEGAL_ACTIONS = Law(
    name="legal-actions",
    statement="legal_actions lists the number of each legal action once: no mask, no booleans, no "
    "floats",
    advice="return [action for action in range(self.num_actions) if ...]",
    only_python=True,
)

LAWS = (EXCEPTION, HANGS, MUTATION, LEGAL_ACTIONS)
