"""Traces by OpenTelemetry: a match's way from its search to the update that learns from it first.

Nothing here does anything unless the environment asks for traces and the extra `otel` is installed;
see `tracing`. Processes share no more than a `traceparent` (W3C Trace Context), a text that stands
in the files of matches and in checkpoints.
"""

import contextlib
import importlib.metadata
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

_LEAVING_SECONDS = 2.0
"""How long the last spans may take: whoever ends a process does not wait long."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_EXPORTERS = "OTEL_TRACES_EXPORTER"
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

_tracer: Any = None
_names: Callable[[], Mapping[str, str]] = dict


class Span:
    """A span of a trace. Without traces it is empty, and its methods do nothing."""

    def __init__(self, span: Any = None) -> None:
        """Wraps a span of OpenTelemetry; None for an empty one."""
        self._span = span

    @property
    def traceparent(self) -> str:
        """Names this span for other processes; "" if it is empty."""
        if self._span is None:
            return ""
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        context = trace.set_span_in_context(self._span)
        TraceContextTextMapPropagator().inject(carrier, context)
        return carrier.get("traceparent", "")

    def set(self, **attributes: Any) -> None:
        """Sets attributes, whose names get the prefix "selfplay."."""
        if self._span is not None:
            self._span.set_attributes(_prefixed(attributes))

    def note(self, text: str) -> None:
        """Adds an event: something that happened now."""
        if self._span is not None:
            self._span.add_event(text)

    def end(self) -> None:
        """Ends the span; it is exported later, in another thread."""
        if self._span is not None:
            self._span.end()

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Makes it the parent of spans that begin meanwhile, and names it in logs."""
        if self._span is None:
            yield
            return
        from opentelemetry import trace

        with trace.use_span(self._span):
            yield


def on() -> bool:
    """Returns whether this process makes traces."""
    return _tracer is not None


def current() -> Span:
    """Returns the current span, an empty one if there is none."""
    if _tracer is None:
        return Span()
    from opentelemetry import trace

    return Span(trace.get_current_span())


def begin(
    name: str,
    *,
    parent: str = "",
    links: Iterable[str] = (),
    start_ns: int | None = None,
    **attributes: Any,
) -> Span:
    """Begins a span, which the caller must end.

    Args:
        name: the kind of work, such as "play chunk".
        parent: a `traceparent`; "" for the current span, or a new trace if there is none.
        links: `traceparent`s of other spans that led to this one; empty ones are left out.
        start_ns: when it began, in nanoseconds since 1970; None for now.
        attributes: as for `Span.set`.
    """
    if _tracer is None:
        return Span()
    from opentelemetry import trace

    contexts = [trace.get_current_span(_context(link)).get_span_context() for link in links if link]
    return Span(
        _tracer.start_span(
            name,
            context=_context(parent) if parent else None,
            links=[trace.Link(context) for context in contexts if context.is_valid],
            start_time=start_ns,
            attributes=_prefixed({**_names(), **attributes}),
        )
    )


@contextlib.contextmanager
def span(name: str, **options: Any) -> Iterator[Span]:
    """Yields a span that is current meanwhile, and ends with the context; see `begin`.

    An exception that leaves the context is recorded in the span.
    """
    one = begin(name, **options)
    try:
        with one.current():
            yield one
    finally:
        one.end()


def log_ids() -> dict[str, str]:
    """Returns "trace_id" and "span_id" of the current span in hexadecimal, for logs; else none."""
    if _tracer is None:
        return {}
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }


@contextlib.contextmanager
def tracing(
    role: str,
    names: Callable[[], Mapping[str, str]],
    tell: Callable[[str], None],
    *,
    environ: Mapping[str, str] = os.environ,
) -> Iterator[None]:
    """Makes traces meanwhile, if the environment asks for them.

    It does if one of OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and
    OTEL_TRACES_EXPORTER is set. A collector that does not answer costs spans, never time, and is
    told of once.

    Args:
        role: of the process; part of the name of the service unless OTEL_SERVICE_NAME names it.
        names: returns attributes that every span gets.
        tell: shows a line about what is wrong.
        environ: the environment.
    """
    processors: list[SpanProcessor] = []
    if _asked_for(environ):
        try:
            processors = _processors(environ)
        except ImportError:
            tell("no traces: install the extra otel, pip install 'selfplay-jax[otel]'")
        # Whatever a variable of theirs says, the process must go on.
        except Exception as error:
            tell(f"no traces: {error}")
    if not processors:
        yield
        return
    with _told_once(tell), exporting_to(processors, role, names):
        yield


@contextlib.contextmanager
def exporting_to(
    processors: Iterable["SpanProcessor"], role: str, names: Callable[[], Mapping[str, str]]
) -> Iterator[None]:
    """Makes traces meanwhile, for these processors of spans; see `tracing`."""
    global _tracer, _names
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    resource = Resource.create()
    if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": f"selfplay-{role}"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for processor in processors:
        provider.add_span_processor(processor)
    before = _tracer, _names
    _tracer, _names = provider.get_tracer("selfplay"), names
    try:
        yield
    finally:
        _tracer, _names = before
        # In a thread, because a collector that does not answer would keep the process.
        last = threading.Thread(target=provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(_LEAVING_SECONDS)


def _asked_for(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get(_EXPORTERS) == "none":
        return False
    return any(environ.get(name) for name in (_EXPORTERS, *_ENDPOINTS))


def _processors(environ: Mapping[str, str]) -> "list[SpanProcessor]":
    """Returns what sends spans to the exporters that the environment names.

    Raises:
        ImportError: the SDK, or the exporter of the extra, is not installed.
        LookupError: there is no exporter of that name.
    """
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    found: list[SpanProcessor] = []
    for name in (environ.get(_EXPORTERS) or "otlp").split(","):
        name = name.strip()
        if name == "otlp":
            protocol = next((environ[key] for key in _PROTOCOLS if environ.get(key)), "http")
            name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
        entries = importlib.metadata.entry_points(group="opentelemetry_traces_exporter", name=name)
        if not entries:
            if name == "otlp_proto_http":
                raise ImportError(name)
            raise LookupError(f"no exporter {name} is installed ({_EXPORTERS})")
        found.append(BatchSpanProcessor(next(iter(entries)).load()()))
    return found


class _First(logging.Handler):
    """Tells the first record, and drops the rest: exporters try again every few seconds."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._told = False

    def emit(self, record: logging.LogRecord) -> None:
        """Takes one record."""
        if not self._told:
            self._told = True
            self._tell(f"traces are not exported: {record.getMessage()}")


@contextlib.contextmanager
def _told_once(tell: Callable[[str], None]) -> Iterator[None]:
    logger = logging.getLogger("opentelemetry")
    handler, passes_on = _First(tell), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = passes_on


def _context(traceparent: str) -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent})


def _prefixed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {f"selfplay.{name}": value for name, value in attributes.items() if value is not None}
