"""Traces: when they are wanted, that they cost nothing otherwise, and what a span may say. No collector is needed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from ferrywire import tracing
from ferrywire.reasons import FerryError
from ferrywire.traceparent import muted, traceparent

CALLER = "00-000000000000000000000000000000a1-00000000000000b2-01"


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Traces into memory until the test ends."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    return exporter


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x", "OTEL_METRICS_EXPORTER": "otlp"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
    ],
)
def test_opentelemetry_s_variables_decide(environ: dict[str, str], wanted: bool) -> None:
    assert tracing.wanted(environ) is wanted


def test_off_is_one_object_that_does_nothing() -> None:
    with tracing.span("x", kind="server", parent=CALLER, a=1) as span:
        span.note(b=2)
        span.fail("IO_ERROR")
        assert tracing.span("y") is tracing.span("z")


def test_without_the_extra_it_is_said_and_all_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@collector:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with caplog.at_level(logging.WARNING):
        tracing.start("ferryd", "1")()
    assert 'pip install "/path/to/ferryman[tracing]"' in caplog.text
    assert "secret" not in caplog.text
    assert tracing.span("x") is tracing.span("y")


def test_a_variable_that_makes_no_sense_is_said_and_all_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@collector:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with caplog.at_level(logging.WARNING, logger="ferrywire"):
        tracing.start("ferryd", "1")()
    assert "grpc is not supported" in caplog.text
    assert "secret" not in caplog.text


def test_a_span_says_why_it_failed_and_not_what_the_error_says(exported: InMemorySpanExporter) -> None:
    with (
        pytest.raises(FerryError),
        tracing.span("call", kind="server", parent=CALLER, request_id="r"),
        tracing.span("inner"),
    ):
        raise FerryError("IO_ERROR", "cannot read /home/ann/secret", path="/home/ann/secret")
    inner, call = exported.get_finished_spans()
    assert call.context and call.parent and inner.parent
    assert (f"{call.context.trace_id:x}", f"{call.parent.span_id:x}") == ("a1", "b2")
    assert inner.parent.span_id == call.context.span_id
    assert call.attributes == {"ferryman.request_id": "r", "error.type": "IO_ERROR"}
    assert call.status.status_code is StatusCode.ERROR
    assert not call.status.description and not call.events
    assert "secret" not in call.to_json() + inner.to_json()


def test_the_first_reason_counts(exported: InMemorySpanExporter) -> None:
    with pytest.raises(LookupError), tracing.span("call", kind="server") as span:
        span.fail("PROJECT_NOT_FOUND")
        raise LookupError
    assert exported.get_finished_spans()[0].attributes == {"error.type": "PROJECT_NOT_FOUND"}


def test_what_is_part_of_nothing_is_not_traced(exported: InMemorySpanExporter) -> None:
    with tracing.span("database read"):
        pass
    assert exported.get_finished_spans() == ()


def _sampled() -> bool:
    return bool(int(traceparent()[-2:], 16) & 1)


def test_muted_is_untraced_here_and_where_it_calls(exported: InMemorySpanExporter) -> None:
    with tracing.span("upload", kind="consumer"):
        assert _sampled()
        with muted(), tracing.span("parts"), tracing.span("SignParts", kind="client"):
            assert traceparent()
            assert not _sampled()
        assert _sampled()
    assert [span.name for span in exported.get_finished_spans()] == ["upload"]


@pytest.mark.parametrize("odd", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "é" * 55])
def test_a_parent_that_is_none_begins_a_trace(exported: InMemorySpanExporter, odd: str) -> None:
    with tracing.span("call", kind="server", parent=odd):
        pass
    assert exported.get_finished_spans()[0].parent is None


@pytest.fixture
def in_a_program_s_own_span() -> Iterator[None]:
    context = trace.SpanContext(0xA1, 0xB2, is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(context)):
        yield


def test_the_span_of_a_program_that_traces_itself_goes_along(in_a_program_s_own_span: None) -> None:
    assert traceparent() == CALLER


def test_outside_of_every_span_nothing_goes_along() -> None:
    assert traceparent() == ""


def test_nothing_is_imported_before_it_is_wanted() -> None:
    code = (
        "import sys\nfrom ferrywire import tracing\nfrom ferrywire.traceparent import traceparent\n"
        "tracing.start('x', '1')()\nassert not traceparent()\n"
        "with tracing.span('x', kind='server'): pass\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
