"""A collector of traces: takes OTLP over HTTP, keeps what came, and can refuse or keep its callers waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collected:
    """A span as it arrived."""

    def __init__(self, service: str, span: Any) -> None:
        self.service = service
        self.name: str = span.name
        self.trace_id: str = span.trace_id.hex()
        self.span_id: str = span.span_id.hex()
        self.parent_id: str = span.parent_span_id.hex()
        self.failed: bool = span.status.code == 2
        self.said: str = span.status.message
        self.events = len(span.events)
        self.attributes = {
            each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in span.attributes
        }


class Collector:
    """Listens on a free port of this machine."""

    def __init__(self) -> None:
        self.spans: list[Collected] = []
        #: Every request as it was, to look for secrets in.
        self.raw: list[bytes] = []
        self.waiting = threading.Event()
        self._answer = threading.Event()
        self._answer.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="collector", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def env(self) -> dict[str, str]:
        """What makes a program send here, soon, and only once, however slow this machine is."""
        patient = {"OTEL_EXPORTER_OTLP_TIMEOUT": "60", "OTEL_BSP_EXPORT_TIMEOUT": "60000"}
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "50", **patient}

    def hold(self) -> None:
        """Answer nobody from now on."""
        self._answer.clear()

    def close(self) -> None:
        self._answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def named(self, service: str, name: str) -> list[Collected]:
        """The spans of this name that have arrived."""
        return [span for span in list(self.spans) if (span.service, span.name) == (service, name)]

    def below(self, parent: Collected) -> list[Collected]:
        """Its children that have arrived."""
        return [span for span in list(self.spans) if span.parent_id == parent.span_id]

    def _take(self, body: bytes) -> None:
        self.raw.append(body)
        for each in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {one.key: one.value.string_value for one in each.resource.attributes}
            # All at once: a parent is never seen without its children that came with it.
            self.spans += [Collected(names["service.name"], span) for scope in each.scope_spans for span in scope.spans]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if not collector._answer.is_set():
                    collector.waiting.set()
                    collector._answer.wait()
                    self.close_connection = True
                    return
                collector._take(body)
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that takes everything."""
    made = Collector()
    yield made
    made.close()
