"""The law of two games that must be the same; `selfplay.check.comparison` tests it."""

from selfplay.check.laws.law import Law

AGAINST = Law(
    name="against",
    statement="both games agree at every ply on players, legal actions, ends and results",
    advice="one of the two; the moves lead to the first difference",
)

LAWS = (AGAINST,)
