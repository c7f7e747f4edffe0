"""Metrics of the processes of a fleet, as metrics of Ray."""

import json
from pathlib import Path
from typing import Any

from selfplay.telemetry.metric import Metric
from selfplay.telemetry.metrics import METRICS


class RayMetrics:
    """Shows the heartbeats of a process as gauges of Ray, under their names in Prometheus.

    Ray exports the gauges of a task at the metrics port of its node, with `ray_` before the name,
    until the task has ended.
    """

    def __init__(self, run: str, file: Path) -> None:
        """Prepares; nothing is shown yet.

        Args:
            run: the label of the same name.
            file: where the process keeps a copy of its newest heartbeat.
        """
        self._run = run
        self._file = file
        self._seen = b""
        self._gauges: dict[str, Any] = {}

    def show(self) -> None:
        """Shows the newest heartbeat, if there is one that was not shown."""
        try:
            data = self._file.read_bytes()
        except FileNotFoundError:
            return
        if data == self._seen:
            return
        self._seen = data
        beat = json.loads(data)
        common = [self._run, beat["role"], beat["id"]]
        for metric in METRICS.values():
            if not metric.prometheus_name:
                continue
            for extra, number in metric.prometheus_samples(beat.get(metric.key)):
                labels = zip(metric.prometheus_labels, [*common, *extra], strict=True)
                self._gauge(metric).set(number, tags=dict(labels))

    def _gauge(self, metric: Metric) -> Any:
        # Counters, too: a counter of Ray cannot be set to a value.
        name = metric.prometheus_name
        if name not in self._gauges:
            from ray.util.metrics import Gauge

            self._gauges[name] = Gauge(
                name, description=metric.help, tag_keys=metric.prometheus_labels
            )
        return self._gauges[name]
