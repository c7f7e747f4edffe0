"""Numbers formatted for people, each with its unit."""

from collections.abc import Callable, Mapping, Sequence

from selfplay.telemetry.results import MistakeRate, Strength, SuiteScore

_WINNERS = {"first": "first player wins", "draw": "draws", "second": "second player wins"}


def duration(seconds: float) -> str:
    """Returns "42 s", "6 min 20 s" or "3 h 5 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def rate(value: float | None, unit: str) -> str:
    """Returns a rate such as "12.3 matches/s" or "14.6 k simulations/s"; "" for None."""
    if value is None:
        return ""
    if value >= 1e6:
        return f"{value / 1e6:.3g} M {unit}/s"
    if value >= 1e4:
        return f"{value / 1e3:.3g} k {unit}/s"
    if value >= 100:
        return f"{value:,.0f} {unit}/s"
    return f"{value:.3g} {unit}/s"


def percent(share: float) -> str:
    """Returns a share as a percentage, such as "61 %"."""
    return f"{100 * share:.0f} %"


def number(value: float) -> str:
    """Returns an integer with separators, any other number with four digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def results(shares: Mapping[str, float]) -> list[str]:
    """Returns who won how often, such as "first player wins 55 %".

    Args:
        shares: of "first" and "second" player wins and of "draw", in [0, 1].
    """
    return [f"{_WINNERS[name]} {percent(shares[name])}" for name in _WINNERS if name in shares]


def losses(values: Mapping[str, float]) -> list[str]:
    """Returns the losses in nats, the total first."""
    names = sorted(values, key=lambda name: name != "total")
    return [f"{name.replace('_', ' ')} {values[name]:.3f}" for name in names]


def of_each(template: str) -> Callable[[Mapping[str, float]], list[str]]:
    """Returns what formats each entry of a mapping by a template with {name} and {number}."""
    return lambda values: [
        template.format(name=name.replace("_", " "), number=number)
        for name, number in values.items()
    ]


def score(strength: Strength) -> str:
    """Returns a score such as "98.4 % (95 % interval 93.0-99.8 %)"."""
    return percent_interval(strength.score, strength.low, strength.high)


def mistakes(rates: Sequence[MistakeRate]) -> list[str]:
    """Returns one measurement of mistakes, all plies first; empty for no measurement.

    Such as "3.1 % (95 % interval 1.5-6.1 %) of 256 solved positions", "plies 0-2 0.0 %", ...,
    "raw network 8.2 %", "random moves 31.0 %".
    """
    if not rates:
        return []
    whole, *phases = rates
    share = percent_interval(whole.share, whole.low, whole.high)
    parts = [f"{share} of {whole.positions:,} solved positions"]
    parts += [f"plies {one.plies} {100 * one.share:.1f} %" for one in phases]
    if whole.raw_share is not None:
        parts.append(f"raw network {100 * whole.raw_share:.1f} %")
    return [*parts, f"random moves {100 * whole.random_share:.1f} %"]


def suite(score: SuiteScore) -> str:
    """Returns a result in a suite, such as "21 of 24 positions of connect_four solved"."""
    return f"{score.solved} of {score.positions} positions of {score.suite} solved"


def percent_interval(score: float, low: float, high: float) -> str:
    """Returns a share and its 95 % interval, such as "98.4 % (95 % interval 93.0-99.8 %)"."""
    return f"{100 * score:.1f} % (95 % interval {100 * low:.1f}-{100 * high:.1f} %)"
