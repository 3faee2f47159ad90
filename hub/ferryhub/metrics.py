"""Prometheus metrics of a serving hub, on an address of their own: they are not for the hub's users.

Imported only when the hub is told to have them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from ferrywire.scraping import SECONDS


class Finished(Protocol):
    """What is counted of a request; see `requests.Request`."""

    what: str
    status: int
    received_bytes: int
    sent_bytes: int

    @property
    def took_s(self) -> float: ...


class Metrics:
    """Counts requests. `totals` and `levels` are asked when the metrics are fetched: names without prefix → numbers."""

    def __init__(self, *, totals: Callable[[], Mapping[str, int]], levels: Callable[[], Mapping[str, float]]) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Asked(totals, levels))
        Gauge("ferryhub_info", "The release that runs.", ["version"], registry=registry).labels(
            version("ferryman")
        ).set(1)
        self._running = Gauge("ferryhub_requests_running", "Requests being answered.", registry=registry)
        self._requests = Counter("ferryhub_requests", "Requests answered.", ["what", "status"], registry=registry)
        self._seconds = Histogram(
            "ferryhub_request_seconds", "How long requests took.", ["what"], registry=registry, buckets=SECONDS
        )
        self._received = Counter("ferryhub_received_bytes", "Bytes of request bodies.", ["what"], registry=registry)
        self._sent = Counter("ferryhub_sent_bytes", "Bytes of reply bodies.", ["what"], registry=registry)

    def began(self) -> None:
        """A request came."""
        self._running.inc()

    def ended(self, request: Finished) -> None:
        """It was answered, or its caller went away: status 0."""
        self._running.dec()
        self._requests.labels(request.what, str(request.status)).inc()
        self._seconds.labels(request.what).observe(request.took_s)
        self._received.labels(request.what).inc(request.received_bytes)
        self._sent.labels(request.what).inc(request.sent_bytes)


class _Asked:
    """Numbers that somebody else keeps."""

    def __init__(self, totals: Callable[[], Mapping[str, int]], levels: Callable[[], Mapping[str, float]]) -> None:
        self._totals = totals
        self._levels = levels

    def collect(self) -> Iterable[Any]:
        """Prometheus' name for asking."""
        for name, value in self._totals().items():
            yield CounterMetricFamily(f"ferryhub_{name}", name.replace("_", " "), value=value)
        for name, level in self._levels().items():
            yield GaugeMetricFamily(f"ferryhub_{name}", name.replace("_", " "), value=level)
