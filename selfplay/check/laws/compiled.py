"""Combines the tests of all laws that run in compiled code for an `Explorer`."""

from collections.abc import Iterable

from jaxtyping import Array

from selfplay.check.laws.law import Law, PlyTest, StartTest
from selfplay.check.play.ply import Ply, PlyLaws, Start


def compiled_laws(laws: Iterable[Law]) -> PlyLaws:
    """Returns the tests of laws in compiled code; what they find is named "law:part"."""
    starts = [(law, test) for law in laws for test in law.tests if isinstance(test, StartTest)]
    plies = [(law, test) for law in laws for test in law.tests if isinstance(test, PlyTest)]

    def at_start(start: Start) -> dict[str, Array]:
        return {
            f"{law.name}:{part}": broken
            for law, test in starts
            for part, broken in test.find(start).items()
        }

    def at_ply(ply: Ply) -> dict[str, Array]:
        return {
            f"{law.name}:{part}": broken
            for law, test in plies
            for part, broken in test.find(ply).items()
        }

    return PlyLaws(
        at_start=at_start,
        at_ply=at_ply,
        of_positions=frozenset(
            f"{law.name}:{part}"
            for law, test in plies
            if test.at_position
            for part in test.messages
        )
        | {
            f"{law.name}:{part}"
            for law, test in starts
            if test.at_position
            for part in test.messages
        },
    )
