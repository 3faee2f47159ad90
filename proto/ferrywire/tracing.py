"""Traces of what daemon and hub do, for those who ask for them by OpenTelemetry's own environment variables. All steps.

Otherwise nothing of OpenTelemetry is imported and a span is a shared object that does nothing. A span says names, ids,
counts and reasons: never a path, a title, a URL, or the text of an error. No decision depends on anything here.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, Literal

from ferrywire.traceparent import HEADER, is_muted, traceparent

#: `internal` work is traced only as part of something; `consumer` takes up what was queued before.
Kind = Literal["internal", "server", "client", "consumer"]
Value = str | int | float | bool
#: How long the last spans may take to leave when the program ends, in seconds.
_FAREWELL_S: Final = 2.0
log = logging.getLogger(__name__)


class Span:
    """A piece of work as it is traced; this one is not."""

    def note(self, **attributes: Value) -> None:
        """Say more of it. The names get the prefix `ferryman.`."""

    def rename(self, name: str) -> None:
        """Call it something else than at its beginning."""

    def fail(self, reason: str) -> None:
        """It failed, by a reason of the error table or the name of an exception's class. The first word counts."""


class _Recorded(Span):
    def __init__(self, span: Any) -> None:
        self._span = span
        self._failed = False

    def note(self, **attributes: Value) -> None:
        self._span.set_attributes(_prefixed(attributes))

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def fail(self, reason: str) -> None:
        from opentelemetry.trace import StatusCode

        if not self._failed:
            self._failed = True
            self._span.set_attribute("error.type", reason)
            self._span.set_status(StatusCode.ERROR)


#: What makes spans, once `start` has been told to. Like the handlers of `logging` there is one in a process.
_tracer: Any = None
_OFF: Final[AbstractContextManager[Span]] = nullcontext(Span())


def span(name: str, *, kind: Kind = "internal", parent: str = "", **attributes: Value) -> AbstractContextManager[Span]:
    """Trace what is done inside the block, in this task or thread and those it starts. `parent` is the `traceparent`
    that a caller sent; without it the span belongs to the one around it. An exception marks it as failed."""
    if _tracer is None or is_muted() or (kind == "internal" and not traceparent()):
        return _OFF
    return _recorded(name, kind, parent, attributes)


def wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether OpenTelemetry's variables ask for traces."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if exporter:
        return exporter == "otlp"
    return any(environ.get(f"OTEL_EXPORTER_OTLP_{name}") for name in ("ENDPOINT", "TRACES_ENDPOINT"))


def start(program: str, version: str) -> Callable[[], None]:
    """Trace from now on if that is wanted. Returns what to call at the end; it takes 2 s at the most.

    A program that cannot trace says so in its log and goes on: what it is for matters more.
    """
    global _tracer
    if not wanted():
        return _nothing
    try:
        provider = _provider(program, version)
    except ModuleNotFoundError as missing:
        log.warning('traces_off: %s is not installed; run pip install "/path/to/ferryman[tracing]"', missing.name)
        return _nothing
    except Exception as error:  # noqa: BLE001 - the boundary to another project's code, which reads the environment
        log.warning("traces_off: OpenTelemetry cannot be set up (%s)", type(error).__name__)
        return _nothing
    _tracer = provider.get_tracer("ferryman", version)
    log.info("traces_on")
    return lambda: _end(provider)


def _nothing() -> None:
    pass


def _end(provider: Any) -> None:
    global _tracer
    _tracer = None
    # In a thread, for it waits for a collector that does not answer much longer than we do.
    ending = threading.Thread(target=provider.shutdown, name="traces-end", daemon=True)
    ending.start()
    ending.join(_FAREWELL_S)


def _provider(program: str, version: str) -> Any:
    protocols = [os.environ.get(f"OTEL_EXPORTER_OTLP_{name}", "") for name in ("TRACES_PROTOCOL", "PROTOCOL")]
    protocol = next(filter(None, protocols), "http/protobuf")
    if protocol != "http/protobuf":
        log.warning("traces_protocol: %s is not supported, http/protobuf is used", protocol)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # It tells of every batch that it cannot deliver, with its address; we tell once, without.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource.create({SERVICE_VERSION: version} | ({} if named else {SERVICE_NAME: program}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    # Spans wait for their batch in a queue that is bounded: when it is full, they are dropped.
    exporter: Any = _Telling(OTLPSpanExporter())
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class _Telling:
    """An exporter that says in the log when spans begin to get lost, and when they arrive again."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self._lost = False

    def export(self, spans: Sequence[Any]) -> Any:
        result = self._exporter.export(spans)
        if (lost := result.name != "SUCCESS") != self._lost:
            self._lost = lost
            log.warning("traces_lost: the collector does not take them" if lost else "traces_arrive again")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        done: bool = self._exporter.force_flush(timeout_millis)
        return done


@contextmanager
def _recorded(name: str, kind: Kind, parent: str, attributes: dict[str, Value]) -> Iterator[Span]:
    from opentelemetry.trace import SpanKind

    options = {"context": _context(parent), "kind": SpanKind[kind.upper()], "attributes": _prefixed(attributes)}
    # The text of an exception may hold a path or an address: it stays in the log.
    with _tracer.start_as_current_span(name, **options, record_exception=False, set_status_on_exception=False) as begun:
        recorded = _Recorded(begun)
        try:
            yield recorded
        except BaseException as error:
            recorded.fail(str(getattr(error, "reason", "")) or type(error).__name__)
            raise


def _context(parent: str) -> Any:
    if not parent:
        return None  # whatever is around it
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({HEADER: parent}, context=Context())


def _prefixed(attributes: Mapping[str, Value]) -> dict[str, Value]:
    return {f"ferryman.{name}": value for name, value in attributes.items()}
