"""The page of metrics that Prometheus reads."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from selfplay.errors import MissingExtraError
from selfplay.telemetry.metric import COMMON_LABELS
from selfplay.telemetry.metrics import METRICS

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

INFO = "selfplay_process_info"
"""Always 1; its labels say what runs, such as the version."""


def make_registry(
    labels: Callable[[], Mapping[str, str]],
    info: Mapping[str, str],
    snapshot: Callable[[], Mapping[str, Any]],
) -> "CollectorRegistry":
    """Returns a registry for `prometheus_client` that reads the values anew for every page.

    Args:
        labels: returns the values of `COMMON_LABELS`.
        info: further labels of `INFO`.
        snapshot: returns the newest values, by keys of `METRICS`; unknown keys are ignored, and
            metrics without a value are left out of the page.

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
        """Makes the metrics from the newest snapshot; it holds no values of its own."""

        def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
            names = labels()
            common = [names[name] for name in COMMON_LABELS]
            facts = GaugeMetricFamily(INFO, "what runs", labels=[*COMMON_LABELS, *info])
            facts.add_metric([*common, *info.values()], 1.0)
            yield facts
            values = snapshot()
            for metric in METRICS.values():
                if not metric.prometheus_name:
                    continue
                kind = CounterMetricFamily if metric.counter else GaugeMetricFamily
                family = kind(
                    metric.prometheus_name, metric.help, labels=list(metric.prometheus_labels)
                )
                for extra, number in metric.prometheus_samples(values.get(metric.key)):
                    family.add_metric([*common, *extra], number)
                if family.samples:
                    yield family

    registry = CollectorRegistry()
    registry.register(FromSnapshot())
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
