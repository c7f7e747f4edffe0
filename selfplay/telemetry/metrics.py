"""What a process tells Prometheus: every metric, its unit, and where its value comes from."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from selfplay.errors import MissingExtraError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

COMMON_LABELS = ("run", "role", "id")
"""Labels of every metric of selfplay: the run, and which of its processes speaks."""

_OF = {"T": "trainer", "W": "worker", "E": "evaluator"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        name: as Prometheus knows it: base unit last, `_total` where it only grows.
        field: of the snapshot that the value is taken from.
        help: what it says.
        unit: in words, for the documentation; "" where the metric is a bare fact.
        roles: which processes have it, by first letter: T, W, E.
        label: if the field is a mapping, the label that tells its entries apart.
    """

    name: str
    field: str
    help: str
    unit: str
    roles: str = "TWE"
    label: str = ""

    @property
    def is_counter(self) -> bool:
        """Whether it only grows, but for a restart of the process."""
        return self.name.endswith("_total")

    @property
    def labels(self) -> tuple[str, ...]:
        """Its labels."""
        return (*COMMON_LABELS, self.label) if self.label else COMMON_LABELS


def _metric(
    name: str, field: str, unit: str, roles: str, help: str, *, label: str = ""
) -> tuple[str, Metric]:
    full = f"selfplay_{name}"
    return full, Metric(name=full, field=field, unit=unit, roles=roles, help=help, label=label)


METRICS: dict[str, Metric] = dict(
    (
        _metric("ready", "ready", "0 or 1", "TWE", "whether the process does its work"),
        _metric(
            "heartbeat_age_seconds",
            "heartbeat_age_seconds",
            "seconds",
            "TWE",
            "since the main loop last said that it is alive",
        ),
        # Play.
        _metric("matches_total", "matches", "matches", "TW", "matches finished or taken in"),
        _metric("positions_total", "positions", "positions", "TW", "positions recorded"),
        _metric("matches_per_second", "matches_per_second", "matches/s", "TW", "at present"),
        _metric("positions_per_second", "positions_per_second", "positions/s", "TW", "at present"),
        _metric(
            "simulations_per_second",
            "simulations_per_second",
            "simulations/s",
            "TW",
            "network evaluations in searches, at present",
        ),
        _metric("match_length_plies", "mean_length", "plies", "TW", "mean of recent matches"),
        _metric(
            "match_results_ratio",
            "results",
            "share in [0, 1]",
            "TW",
            "of recent matches: first, draw, second",
            label="result",
        ),
        _metric(
            "matches_truncated_ratio",
            "truncated_share",
            "share in [0, 1]",
            "TW",
            "of recent matches: ended by max_plies",
        ),
        _metric("matches_in_progress", "matches_in_progress", "matches", "W", "played at once"),
        _metric("simulations_total", "simulations", "simulations", "W", "network evaluations"),
        _metric("queued_files", "queue_files", "files", "W", "of finished matches, not stored yet"),
        # Learning.
        _metric("update", "update", "updates", "TWE", "updates of the weights in use"),
        _metric(
            "loss_nats", "losses", "nats", "T", "each part of the loss, and the total", label="head"
        ),
        _metric("learning_rate", "learning_rate", "", "T", "of the latest update"),
        _metric("gradient_norm", "gradient_norm", "", "T", "global norm, before clipping"),
        _metric("updates_per_second", "updates_per_second", "updates/s", "T", "at present"),
        _metric("reuse_ratio", "reuse", "samples/position", "T", "training samples per position"),
        _metric("window_positions", "window_positions", "positions", "T", "that may be sampled"),
        _metric(
            "window_age_updates",
            "window_age_updates",
            "updates",
            "T",
            "since the sampled positions were made, on average",
        ),
        # Checkpoints and the way between the processes.
        _metric("checkpoint_update", "checkpoint", "updates", "TWE", "newest checkpoint in use"),
        _metric(
            "checkpoint_age_seconds",
            "checkpoint_age_seconds",
            "seconds",
            "TWE",
            "since the checkpoint in use was written or taken up",
        ),
        _metric(
            "pickup_seconds",
            "pickup_seconds",
            "seconds",
            "W",
            "from the publication of the checkpoint in use to the first chunk played with it",
        ),
        _metric(
            "median_pickup_seconds",
            "median_pickup_seconds",
            "seconds",
            "W",
            "median over the newest 1,000 checkpoints taken up",
        ),
        _metric(
            "worst_pickup_seconds",
            "worst_pickup_seconds",
            "seconds",
            "W",
            "the longest since the worker started",
        ),
        _metric(
            "staleness_updates",
            "staleness_updates",
            "updates",
            "TWE",
            "how far the weights in use are behind the newest; trainer: its worst worker",
        ),
        _metric(
            "data_age_seconds", "data_age_seconds", "seconds", "T", "of the newest matches taken in"
        ),
        _metric(
            "stale_matches_total",
            "stale_matches",
            "matches",
            "T",
            "left out because their checkpoints are too old",
        ),
        _metric(
            "foreign_matches_total",
            "foreign_matches",
            "matches",
            "T",
            "refused because their settings or rules are not those of the run",
        ),
        _metric("damaged_files_total", "damaged_files", "files", "T", "set aside, unreadable"),
        _metric(
            "backlog_positions",
            "backlog_positions",
            "positions",
            "T",
            "taken in, whose updates are not made yet",
        ),
        _metric(
            "store_errors_total", "store_errors", "failures", "TWE", "of the store, all retried"
        ),
        _metric(
            "waiting_seconds_total",
            "waiting_seconds",
            "seconds",
            "TWE",
            "slept for want of data, for back-pressure, or for the store",
        ),
        # The run.
        _metric(
            "elapsed_seconds_total",
            "elapsed_seconds",
            "seconds",
            "TWE",
            "trainer: of training, over all sessions of the run; others: since they started",
        ),
        _metric(
            "time_ratio",
            "phases",
            "share in [0, 1]",
            "T",
            "of the wall time: play, train, evaluate, other",
            label="phase",
        ),
        _metric(
            "strength_score_ratio",
            "strength",
            "points per match in [0, 1]",
            "TE",
            "newest result against each opponent; a draw counts one half",
            label="opponent",
        ),
        _metric(
            "mistakes_ratio",
            "mistakes",
            "share in [0, 1]",
            "TE",
            "of solved positions in which the newest measured checkpoint errs: all, or by plies",
            label="plies",
        ),
    )
)
"""Every metric that selfplay itself defines, by name."""

INFO = "selfplay_process_info"
"""Always 1; its labels say what runs: game and version."""


def make_registry(
    labels: Callable[[], Mapping[str, str]],
    info: Mapping[str, str],
    snapshot: Callable[[], Mapping[str, Any]],
) -> "CollectorRegistry":
    """Returns what `prometheus_client` turns into a page, read anew whenever it is asked for.

    Args:
        labels: returns the values of `COMMON_LABELS`.
        info: further labels of `INFO`.
        snapshot: returns the newest fields; None and what is not there is left out.

    Raises:
        MissingExtraError: prometheus-client is not installed.
    """
    try:
        from prometheus_client import (
            CollectorRegistry,
            GCCollector,
            PlatformCollector,
            ProcessCollector,
        )
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
        from prometheus_client.registry import Collector
    except ImportError:
        raise MissingExtraError(
            "--metrics-port needs prometheus-client", hint="pip install prometheus-client"
        ) from None

    class FromSnapshot(Collector):
        """Makes metrics of the newest snapshot; nothing is counted twice."""

        def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
            names = labels()
            common = [names[name] for name in COMMON_LABELS]
            facts = GaugeMetricFamily(INFO, "what runs", labels=[*COMMON_LABELS, *info])
            facts.add_metric([*common, *info.values()], 1.0)
            yield facts
            fields = snapshot()
            for metric in METRICS.values():
                kind = CounterMetricFamily if metric.is_counter else GaugeMetricFamily
                family = kind(metric.name, metric.help, labels=list(metric.labels))
                for extra, value in _samples(metric, fields.get(metric.field)):
                    family.add_metric([*common, *extra], value)
                if family.samples:
                    yield family

    registry = CollectorRegistry()
    registry.register(FromSnapshot())
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def reference(metrics: Iterable[Metric] = METRICS.values()) -> str:
    """Returns the table of the documentation, in Markdown."""
    rows = [
        "| " + " | ".join(
            (
                f"`{metric.name}`" + (f" by `{metric.label}`" if metric.label else ""),
                "counter" if metric.is_counter else "gauge",
                metric.unit or "-",
                ", ".join(_OF[letter] for letter in metric.roles),
                metric.help,
            )
        ) + " |"
        for metric in metrics
    ]  # fmt: skip
    header = ["| metric | kind | unit | of | what it says |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*header, *rows, ""])


def _samples(metric: Metric, value: Any) -> Iterator[tuple[list[str], float]]:
    """Yields the label and the number of each sample that `value` holds."""
    if not metric.label:
        if isinstance(value, (bool, int, float)):
            yield [], float(value)
    elif isinstance(value, Mapping):
        for name, number in value.items():
            if isinstance(number, (int, float)):
                yield [str(name)], float(number)
    elif isinstance(value, Iterable):
        # Newest results, as objects or as the mappings that heartbeats hold.
        for one in value:
            row = one if isinstance(one, Mapping) else dataclasses.asdict(one)
            yield [str(row[metric.label])], float(row["score"])
