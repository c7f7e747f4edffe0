"""The settings of a new run: those that fit, below those that a person gave."""

from collections.abc import Callable, Sequence

from selfplay.settings.fitting.facts import GameFacts, MachineFacts
from selfplay.settings.fitting.fit import Fit, fit
from selfplay.settings.presets import SHIFTS
from selfplay.settings.sources import Source, merged


def fitted(
    sources: Sequence[Source],
    facts: Callable[[], tuple[GameFacts, MachineFacts]],
    *,
    preset: str = "default",
) -> tuple[list[Source], Fit | None]:
    """Returns `sources` after a source of fitting settings, and the choice.

    A preset that has settings of its own for all of it, such as "quick", gets none, and nothing is
    measured for it.

    Args:
        sources: what else sets something, see `read_sources`; each setting there wins.
        facts: measures game and machine; called only if something is left to choose.
        preset: which one the first of the sources is.

    Raises:
        ConfigError: a setting in `sources` is out of range.
    """
    if preset not in SHIFTS:
        return list(sources), None
    choice = fit(*facts(), merged(sources), SHIFTS[preset])
    return [Source(f"fitted to {choice.name}", choice.settings), *sources], choice
