"""Laws that are tested outside this package.

`selfplay.adapters` tests those of plain-Python games at every call of a method, and
`selfplay.check.comparison` that of two games which must be the same.
"""

from selfplay.check.laws.law import Law

AGAINST = Law(
    name="against",
    statement="both games agree at every ply on players, legal actions, ends and results",
    advice="one of the two; the moves lead to the first difference",
)

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

LAWS = (AGAINST, EXCEPTION, HANGS, MUTATION, LEGAL_ACTIONS)
