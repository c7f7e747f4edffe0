"""What a training process knows about itself at one moment: the source of every display."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

PHASES = ("play", "train", "evaluate", "other")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strength:
    """The latest result against one opponent.

    Attributes:
        opponent: its name.
        score: points per match, in [0, 1]; a draw counts one half.
        low: lower end of the 95 % interval of `score`.
        high: upper end of it.
        update: of the checkpoint that played.
        matches: how many were played.
    """

    opponent: str
    score: float
    low: float
    high: float
    update: int
    matches: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class MistakeRate:
    """In what share of solved positions a checkpoint makes the result worse.

    Attributes:
        plies: of the positions: "all", or the first and the last, such as "0-2".
        share: of positions with a mistake, in [0, 1].
        low: lower end of the 95 % interval of `share`.
        high: upper end of it.
        raw_share: of the network's likeliest move, without search; None if not known.
        random_share: of random moves.
        positions: how many they are.
        update: of the checkpoint that was asked.
    """

    plies: str
    share: float
    low: float
    high: float
    raw_share: float | None
    random_share: float
    positions: int
    update: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """A snapshot of training. A number that is not known (yet) is None or an empty mapping.

    Attributes:
        game: its name.
        run: the run directory, as the user wrote it.
        update: updates made.
        elapsed_seconds: of training, over all sessions of the run.
        planned_fraction: of the planned length, in [0, 1]; None if open-ended.
        eta_seconds: until the planned end.
        matches: finished.
        positions: recorded.
        matches_per_second: finished matches, at present.
        positions_per_second: recorded positions, at present.
        simulations_per_second: network evaluations in searches, at present.
        updates_per_second: at present.
        losses: by name; "total" is their weighted sum.
        learning_rate: at present.
        gradient_norm: before clipping.
        reuse: training samples drawn per recorded position, so far.
        window_positions: positions that may be sampled.
        window_age_updates: how many updates ago they were made, on average.
        recent_matches: how many the next three are of: the newest ones.
        mean_length: plies per match.
        results: shares: "first" and "second" player wins, "draw".
        truncated_share: of matches that `max_plies` ended.
        phases: shares of the wall time spent in `PHASES`.
        strength: the latest result against each opponent.
        mistakes: the latest in solved positions: "all" first, then by plies.
        last_checkpoint: its update.
        checkpoint_age_seconds: since it was published.
        state: what the process does, such as "training" or "waiting for matches".
        evaluation: how far the evaluation is that is going on; "" while there is none.
        waiting_seconds: spent waiting for matches, in this session.
        starved_seconds: since matches came last, while it waits for them; 0 while it does not.
        backlog_positions: taken in, whose updates are not made yet.
        left_out: matches that were not taken in, by reason: "stale", "foreign".
        damaged_files: files of matches that could not be used.
        data_age_seconds: since the newest matches of another process came.
        staleness_updates: how many updates behind the weights are that other processes play with,
            the worst of them.
        device: such as "2 x cpu".
    """

    game: str
    run: str
    update: int = 0
    elapsed_seconds: float = 0.0
    planned_fraction: float | None = None
    eta_seconds: float | None = None
    matches: int = 0
    positions: int = 0
    matches_per_second: float | None = None
    positions_per_second: float | None = None
    simulations_per_second: float | None = None
    updates_per_second: float | None = None
    losses: Mapping[str, float] = dataclasses.field(default_factory=dict)
    learning_rate: float | None = None
    gradient_norm: float | None = None
    reuse: float | None = None
    window_positions: int | None = None
    window_age_updates: int | None = None
    recent_matches: int = 0
    mean_length: float | None = None
    results: Mapping[str, float] = dataclasses.field(default_factory=dict)
    truncated_share: float | None = None
    phases: Mapping[str, float] = dataclasses.field(default_factory=dict)
    strength: Sequence[Strength] = ()
    mistakes: Sequence[MistakeRate] = ()
    last_checkpoint: int | None = None
    checkpoint_age_seconds: float | None = None
    state: str = ""
    evaluation: str = ""
    waiting_seconds: float = 0.0
    starved_seconds: float = 0.0
    backlog_positions: int = 0
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)
    damaged_files: int = 0
    data_age_seconds: float | None = None
    staleness_updates: int | None = None
    device: str = ""


def mistake_rates(record: Mapping[str, Any]) -> tuple[MistakeRate, ...]:
    """Returns what a stored record of mistakes says: over all plies, then by phases."""

    def rate(count: Mapping[str, Any], plies: str) -> MistakeRate:
        return MistakeRate(
            plies=plies,
            share=count["share"],
            low=count["low"],
            high=count["high"],
            raw_share=count["raw_share"],
            random_share=count["random_share"],
            positions=count["positions"],
            update=record["update"],
        )

    return (
        rate(record, "all"),
        *(rate(phase, _span(phase["first_ply"], phase["last_ply"])) for phase in record["phases"]),
    )


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
