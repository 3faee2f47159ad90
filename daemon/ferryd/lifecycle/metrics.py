"""Prometheus metrics of the daemon. Imported only when config.toml asks for them.

Labels have few values, whatever happens: names of methods, codes, reasons, states. Never a path, a title or an id.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from ferryd.core.observing import Observer
from ferrywire.scraping import SECONDS

#: Clients choose the names of methods, within services that exist.
_MOST_METHODS: Final = 200
_OTHER: Final = "other"
#: How long the queue may take to count, in seconds: then that family is left out.
_PATIENCE_S: Final = 5.0


class Moved(Protocol):
    """What the engine counts of parts and bytes."""

    sent_bytes: int
    received_bytes: int
    resent_bytes: int
    sent_parts: int
    received_parts: int
    retried_parts: int

    @property
    def failed_parts(self) -> Mapping[str, int]: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Who is asked when metrics are fetched; in a thread, but for `unsettled`."""

    moved: Callable[[], Moved]
    #: By kind and state, since the start.
    settled: Callable[[], Iterable[tuple[tuple[str, str], int]]]
    #: By state and what is waited for, now.
    unsettled: Callable[[], Awaitable[Iterable[tuple[tuple[str, str], int]]]]
    loop_lag_s: Callable[[], float]


class Metrics(Observer):
    """Counts what it is told, and asks `sources` for the rest. Made in the event loop."""

    def __init__(self, version: str, sources: Sources) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Asked(sources, asyncio.get_running_loop()))
        Gauge("ferryd_info", "The release that runs.", ["version"], registry=registry).labels(version).set(1)
        self._methods: set[str] = set()
        self._calls = Counter("ferryd_rpc_calls", "Calls answered.", ["method", "code"], registry=registry)
        self._call_seconds = Histogram(
            "ferryd_rpc_seconds",
            "How long calls took, but for those that stream.",
            ["method"],
            registry=registry,
            buckets=SECONDS,
        )
        self._hub_calls = Counter(
            "ferryd_hub_calls", "Calls made to hubs, forwarded ones too.", ["method", "outcome"], registry=registry
        )
        self._hub_seconds = Histogram(
            "ferryd_hub_seconds", "How long hubs took to answer.", ["method"], registry=registry, buckets=SECONDS
        )
        self._commit_seconds = Histogram(
            "ferryd_queue_commit_seconds", "How long the queue's commits took.", registry=registry, buckets=SECONDS
        )

    def answered(self, method: str, code: str, took_s: float | None) -> None:
        """See `Observer`."""
        method = self._known(method, code)
        self._calls.labels(method, code).inc()
        if took_s is not None:
            self._call_seconds.labels(method).observe(took_s)

    def hub_answered(self, method: str, outcome: str, took_s: float) -> None:
        """See `Observer`."""
        method = self._known(method, outcome)
        self._hub_calls.labels(method, outcome).inc()
        self._hub_seconds.labels(method).observe(took_s)

    def committed(self, took_s: float) -> None:
        """See `Observer`."""
        self._commit_seconds.observe(took_s)

    def _known(self, method: str, outcome: str) -> str:
        """The method, or a word for all that do not exist."""
        if method not in self._methods:
            if outcome == "UNIMPLEMENTED" or len(self._methods) >= _MOST_METHODS:
                return _OTHER
            self._methods.add(method)
        return method


class _Asked:
    """Numbers that somebody else keeps."""

    def __init__(self, sources: Sources, loop: asyncio.AbstractEventLoop) -> None:
        self._sources = sources
        self._loop = loop

    def describe(self) -> list[Metric]:
        """Prometheus' name for what will come: nothing is asked at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Prometheus' name for asking; in a thread of the server's."""
        yield from _moved(self._sources.moved())
        settled = CounterMetricFamily("ferryd_transfers_settled", "Transfers that came to their end.", labels=_SETTLED)
        for (kind, state), count in sorted(self._sources.settled()):
            settled.add_metric([kind, state], count)
        yield settled
        lag = "How late the event loop was at worst in the last minute."
        yield GaugeMetricFamily("ferryd_loop_lag_seconds", lag, value=self._sources.loop_lag_s())
        yield from self._unsettled()

    def _unsettled(self) -> Iterator[Metric]:
        async def ask() -> Iterable[tuple[tuple[str, str], int]]:
            return await self._sources.unsettled()

        asked = asyncio.run_coroutine_threadsafe(ask(), self._loop)
        try:
            counts = asked.result(_PATIENCE_S)
        except (TimeoutError, concurrent.futures.CancelledError):
            asked.cancel()
            return
        except Exception:  # noqa: BLE001 - a queue that cannot be read must not hide what can be
            return
        family = GaugeMetricFamily("ferryd_transfers", "Transfers that are not at their end.", labels=_UNSETTLED)
        for (state, waiting_for), count in sorted(counts):
            family.add_metric([state, waiting_for], count)
        yield family


_SETTLED: Final = ["kind", "state"]
_UNSETTLED: Final = ["state", "waiting_for"]


def _moved(moved: Moved) -> Iterator[Metric]:
    for name, text, value in (
        ("sent_bytes", "Bytes sent, repeated ones too.", moved.sent_bytes),
        ("received_bytes", "Bytes received, repeated ones too.", moved.received_bytes),
        ("resent_bytes", "Bytes of parts that moved again.", moved.resent_bytes),
        ("parts_sent", "Parts that a receiver has durably.", moved.sent_parts),
        ("parts_received", "Parts that are durably here.", moved.received_parts),
        ("parts_retried", "Parts that were tried again.", moved.retried_parts),
    ):
        yield CounterMetricFamily(f"ferryd_{name}", text, value=value)
    failed = CounterMetricFamily("ferryd_parts_failed", "Tries of parts that failed.", labels=["reason"])
    for reason, count in sorted(dict(moved.failed_parts).items()):
        failed.add_metric([reason], count)
    yield failed
