"""Numbers as people read them, each with its unit."""

from collections.abc import Mapping, Sequence

from selfplay.telemetry.progress import MistakeRate, Progress, Strength


def duration(seconds: float) -> str:
    """Returns "42 s", "6 min 20 s" or "3 h 5 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def rate(value: float | None, unit: str) -> str:
    """Returns such as "12.3 matches/s" or "14.6 k simulations/s"; "" if not known."""
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
    """Returns such as "61 %"."""
    return f"{100 * share:.0f} %"


def play_parts(progress: Progress) -> list[str]:
    """Returns what has been played."""
    parts = [f"{progress.matches:,} matches", f"{progress.positions:,} positions"]
    if progress.mean_length is not None:
        parts.append(f"{progress.mean_length:.1f} plies per match")
    return parts


def rate_parts(progress: Progress) -> list[str]:
    """Returns how fast matches are played."""
    rates = (
        (progress.matches_per_second, "matches"),
        (progress.positions_per_second, "positions"),
        (progress.simulations_per_second, "simulations"),
    )
    return [rate(value, unit) for value, unit in rates if value is not None]


def result_parts(progress: Progress) -> list[str]:
    """Returns how recent matches ended."""
    return ending_parts(
        progress.results, truncated_share=progress.truncated_share, matches=progress.recent_matches
    )


def ending_parts(
    results: Mapping[str, float], *, truncated_share: float | None, matches: int
) -> list[str]:
    """Returns how matches ended, such as "first player wins 55 %"; empty if there are none.

    Args:
        results: shares of "first" and "second" player wins and of "draw".
        truncated_share: of matches that `max_plies` ended.
        matches: how many these are.
    """
    names = {"first": "first player wins", "draw": "draws", "second": "second player wins"}
    parts = [f"{names[name]} {percent(results[name])}" for name in names if name in results]
    if truncated_share is not None:
        parts.append(f"cut by max_plies {percent(truncated_share)}")
    return [*parts, f"of the last {matches:,} matches"] if parts and matches else parts


def learn_parts(progress: Progress) -> list[str]:
    """Returns where the learner stands."""
    parts = [f"update {progress.update:,}"]
    if progress.updates_per_second is not None:
        parts.append(rate(progress.updates_per_second, "updates"))
    if progress.learning_rate is not None:
        parts.append(f"learning rate {progress.learning_rate:.2g}")
    if progress.gradient_norm is not None:
        parts.append(f"gradient norm {progress.gradient_norm:.2g}")
    return parts


def loss_parts(progress: Progress) -> list[str]:
    """Returns the losses in nats, the total first."""
    names = sorted(progress.losses, key=lambda name: name != "total")
    return [f"{name.replace('_', ' ')} {progress.losses[name]:.3f}" for name in names]


def replay_parts(progress: Progress) -> list[str]:
    """Returns the window and how often its positions are used."""
    parts = []
    if progress.window_positions is not None:
        parts.append(f"window {progress.window_positions:,} positions")
    if progress.window_age_updates is not None:
        parts.append(f"{progress.window_age_updates:,} updates old on average")
    if progress.reuse is not None:
        parts.append(f"reuse {progress.reuse:.2f} samples/position")
    return parts


def worker_parts(progress: Progress) -> list[str]:
    """Returns what there is to say of matches that other processes made."""
    parts = []
    if progress.data_age_seconds is not None:
        parts.append(f"newest matches {duration(progress.data_age_seconds)} old")
    if progress.staleness_updates is not None:
        parts.append(f"weights at most {progress.staleness_updates:,} updates behind")
    parts += [f"{count:,} {reason} matches left out" for reason, count in progress.left_out.items()]
    if progress.damaged_files:
        parts.append(f"{progress.damaged_files:,} damaged files set aside")
    return parts


def score(strength: Strength) -> str:
    """Returns such as "98.4 % (95 % interval 93.0-99.8 %)"."""
    return percent_interval(strength.score, strength.low, strength.high)


def mistakes(rates: Sequence[MistakeRate]) -> list[str]:
    """Returns what one measurement of mistakes says, all plies first; empty if there is none.

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


def percent_interval(score: float, low: float, high: float) -> str:
    """Returns a share and its 95 % interval, such as "98.4 % (95 % interval 93.0-99.8 %)"."""
    return f"{100 * score:.1f} % (95 % interval {100 * low:.1f}-{100 * high:.1f} %)"
