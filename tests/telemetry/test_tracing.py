"""Traces: off unless asked for; a collector that is missing or silent costs nothing."""

import http.server
import json
import socket
import sys
import threading
from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from selfplay.telemetry import tracing
from selfplay.telemetry.logs import EventLog

NAMES = {"run": "runs/a", "role": "worker", "id": "w"}


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    with tracing.exporting_to([SimpleSpanProcessor(exporter)], "worker", lambda: NAMES):
        yield exporter


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_SERVICE_NAME": "mine"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"},
    ],
)
def test_nothing_is_traced_unless_it_is_asked_for(environ: dict[str, str]) -> None:
    told: list[str] = []
    with tracing.tracing("worker", lambda: NAMES, told.append, environ=environ):
        assert not tracing.on()
        with tracing.span("work") as span:
            span.set(a=1)
            span.note("text")
            assert span.traceparent == tracing.current().traceparent == ""
            assert tracing.log_ids() == {}
    assert told == []


def test_what_is_missing_is_told_and_the_process_goes_on() -> None:
    told: list[str] = []
    environ = {"OTEL_TRACES_EXPORTER": "nobody"}
    with tracing.tracing("worker", lambda: NAMES, told.append, environ=environ):
        assert not tracing.on()
    assert told == ["no traces: no exporter nobody is installed (OTEL_TRACES_EXPORTER)"]


def test_the_extra_is_named_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    told: list[str] = []
    environ = {"OTEL_TRACES_EXPORTER": "otlp"}
    with tracing.tracing("worker", lambda: NAMES, told.append, environ=environ):
        assert not tracing.on()
    (text,) = told
    assert "selfplay-jax[otel]" in text


def test_a_text_leads_from_one_process_to_the_next(exporter: InMemorySpanExporter) -> None:
    with tracing.span("first", matches=2) as first:
        sent = first.traceparent
    other = tracing.begin("other")
    other.end()
    with tracing.span("second", parent=sent, links=[other.traceparent, "", "nonsense"]):
        pass
    tracing.begin("third", parent="nonsense").end()
    a, b, c, d = exporter.get_finished_spans()
    assert (a.name, b.name, c.name, d.name) == ("first", "other", "second", "third")
    assert c.parent is not None and a.context is not None and c.context is not None
    assert c.parent.span_id == a.context.span_id and c.context.trace_id == a.context.trace_id
    assert b.context is not None
    assert [link.context.span_id for link in c.links] == [b.context.span_id]
    assert d.parent is None
    assert dict(a.attributes or {}) == {
        "selfplay.run": "runs/a",
        "selfplay.role": "worker",
        "selfplay.id": "w",
        "selfplay.matches": 2,
    }
    assert a.resource.attributes["service.name"] == "selfplay-worker"


def test_logs_name_the_span(exporter: InMemorySpanExporter) -> None:
    written: list[str] = []
    log = EventLog(written.append, run="runs/a", role="worker", id="w")
    with tracing.span("work") as span:
        log.event("inside")
    log.event("outside")
    inside, outside = map(json.loads, written)
    assert span.traceparent.startswith(f"00-{inside['trace_id']}-{inside['span_id']}-")
    assert "trace_id" not in outside and "span_id" not in outside


def test_an_error_is_in_the_span_and_goes_on(exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="broken"), tracing.span("work"):
        raise ValueError("broken")
    (span,) = exporter.get_finished_spans()
    assert not span.status.is_ok
    assert [event.name for event in span.events] == ["exception"]


def test_spans_reach_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[tuple[str, bytes]] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(
            "OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}"
        )
        monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
        monkeypatch.setattr(tracing, "_LEAVING_SECONDS", 120.0)
        told: list[str] = []
        with tracing.tracing("worker", lambda: NAMES, told.append), tracing.span("work"):
            pass
        server.shutdown()
    assert told == []
    ((path, body),) = requests
    assert path == "/v1/traces"
    (sent,) = ExportTraceServiceRequest.FromString(body).resource_spans
    assert [span.name for span in sent.scope_spans[0].spans] == ["work"]
    assert ("service.name", "mine") in [
        (one.key, one.value.string_value) for one in sent.resource.attributes
    ]


def test_a_collector_that_does_not_answer_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        monkeypatch.setattr(tracing, "_LEAVING_SECONDS", 0.05)
        with tracing.tracing("worker", lambda: NAMES, lambda text: None), tracing.span("work"):
            assert tracing.on()
    assert not tracing.on()
