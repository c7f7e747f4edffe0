"""One trace leads from a match's search over its file and the intake to the first update."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from selfplay.records import traceparent_of
from selfplay.runtime.lifetime import Lifetime
from selfplay.telemetry import tracing
from selfplay.training.trainer import Trainer
from selfplay.training.worker_matches import WorkerMatches
from selfplay.workers.work import work
from selfplay.workers.worker import WorkerOptions
from tests.training.runs import Listener, make_run, tiny_components, train_all

WAY = ["play chunk", "store matches", "take in matches", "first update"]


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    with tracing.exporting_to([SimpleSpanProcessor(exporter)], "test", dict):
        yield exporter


def ways(exporter: InMemorySpanExporter) -> list[list[ReadableSpan]]:
    """Returns the spans from each first update back to its search, the search first."""
    spans = exporter.get_finished_spans()
    by_id = {span.context.span_id: span for span in spans if span.context is not None}
    found = []
    for span in spans:
        if span.name == WAY[-1]:
            way = [span]
            while way[0].parent is not None:
                way.insert(0, by_id[way[0].parent.span_id])
            found.append(way)
    return found


def attribute(span: ReadableSpan, name: str) -> Any:
    return (span.attributes or {})[f"selfplay.{name}"]


def check(exporter: InMemorySpanExporter) -> None:
    found = ways(exporter)
    assert found
    updates = {
        span.context.span_id: span
        for span in exporter.get_finished_spans()
        if span.name == "make updates" and span.context is not None
    }
    for way in found:
        assert [span.name for span in way] == WAY
        assert len({span.context.trace_id for span in way if span.context is not None}) == 1
        (link,) = way[-1].links
        made = updates[link.context.span_id]
        last, number = attribute(made, "update"), attribute(way[-1], "update")
        assert last - attribute(made, "updates") < number <= last


def test_from_a_trainer_that_plays_itself(tmp_path: Path, exporter: InMemorySpanExporter) -> None:
    run, components = make_run(tmp_path / "run", tiny_components(), updates=4, checkpoint_updates=4)
    train_all(run, components)
    check(exporter)
    metadata = run.checkpoints.metadata(4)
    (saved,) = [s for s in exporter.get_finished_spans() if s.name == "save checkpoint"][-1:]
    assert saved.context is not None
    assert metadata["traceparent"].split("-")[2] == f"{saved.context.span_id:016x}"


def test_over_a_store_from_worker_to_trainer(
    tmp_path: Path, exporter: InMemorySpanExporter
) -> None:
    run, components = make_run(tmp_path / "run", tiny_components(), updates=2)
    Trainer(run, components, Listener(), source=WorkerMatches).learning.save({})
    options = WorkerOptions(id="w", jitter_seconds=0.0)
    worker = work(run.url, options, Lifetime(max_matches=40))
    assert worker is not None
    assert all(
        traceparent_of(run.matches.get_encoded("w", number))
        for number in run.matches.sequences()["w"]
    )
    trainer = Trainer(run, components, Listener(), source=WorkerMatches)
    with run.lock():
        trainer.train()
    check(exporter)


def test_files_without_a_trace_are_learnt_from(tmp_path: Path) -> None:
    run, components = make_run(tmp_path / "run", tiny_components(), updates=2)
    trained = train_all(run, components)
    assert trained.update == 2
    assert not any(
        traceparent_of(run.matches.get_encoded("loop", n)) for n in run.matches.sequences()["loop"]
    )
    assert "traceparent" not in run.checkpoints.metadata(2)
