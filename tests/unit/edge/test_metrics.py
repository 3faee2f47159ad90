"""The daemon's metrics: few labels whatever is called, what cannot be had left out, and a table that names them all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric

from ferryd.engine.run import Counters
from ferryd.lifecycle.metrics import Metrics, Sources
from ferryhub.metrics import Metrics as HubMetrics
from ferryhub.requests import Request
from ferrywire.reasons import FerryError

PAGE = Path(__file__).parents[3] / "docs/howto/observe.md"


async def _waiting() -> Iterable[tuple[tuple[str, str], int]]:
    return [(("paused", "user"), 2)]


def _sources(counters: Counters) -> Sources:
    return Sources(lambda: counters, lambda: [(("upload", "failed"), 1)], _waiting, lambda: 0.5)


async def _page(metrics: Metrics) -> str:
    """As a scrape sees it: in a thread, while the loop runs."""
    return (await asyncio.to_thread(generate_latest, metrics.registry)).decode()


async def test_what_is_told_and_what_is_kept_are_shown() -> None:
    counters = Counters()
    counters.add_sent(7)
    counters.resent_bytes = 3
    counters.failed_parts["CHUNK_CORRUPT"] += 1
    metrics = Metrics("9.9", _sources(counters))
    metrics.answered("TransferService/CreateUpload", "OK", 0.004)
    metrics.answered("TransferService/WatchTransfers", "CANCELLED", None)
    metrics.hub_answered("AssetService/GetAsset", "HUB_UNREACHABLE", 20.0)
    metrics.committed(0.003)
    lines = (await _page(metrics)).splitlines()
    for line in (
        'ferryd_info{version="9.9"} 1.0',
        'ferryd_transfers{state="paused",waiting_for="user"} 2.0',
        'ferryd_transfers_settled_total{kind="upload",state="failed"} 1.0',
        "ferryd_sent_bytes_total 7.0",
        "ferryd_resent_bytes_total 3.0",
        'ferryd_parts_failed_total{reason="CHUNK_CORRUPT"} 1.0',
        'ferryd_rpc_calls_total{code="OK",method="TransferService/CreateUpload"} 1.0',
        'ferryd_rpc_calls_total{code="CANCELLED",method="TransferService/WatchTransfers"} 1.0',
        'ferryd_rpc_seconds_bucket{le="0.005",method="TransferService/CreateUpload"} 1.0',
        'ferryd_hub_calls_total{method="AssetService/GetAsset",outcome="HUB_UNREACHABLE"} 1.0',
        "ferryd_queue_commit_seconds_count 1.0",
        "ferryd_loop_lag_seconds 0.5",
    ):
        assert line in lines
    assert not [line for line in lines if line.startswith("ferryd_rpc_seconds") and "Watch" in line]


async def test_a_client_cannot_make_labels_without_end() -> None:
    metrics = Metrics("1", _sources(Counters()))
    for number in range(1000):
        metrics.answered(f"AssetService/Nonsense{number}", "UNIMPLEMENTED", 0.1)
        metrics.hub_answered(f"AssetService/Unanswered{number}", "HUB_UNREACHABLE", 0.1)
    page = await _page(metrics)
    assert "Nonsense" not in page
    assert 100 < len(set(re.findall(r'method="([^"]+)"', page))) <= 201
    assert 'ferryd_rpc_calls_total{code="UNIMPLEMENTED",method="other"} 1000.0' in page


@pytest.mark.parametrize("failure", [FerryError("IO_ERROR", "bad disk", path="p"), asyncio.CancelledError()])
async def test_a_queue_that_cannot_be_read_hides_nothing_else(failure: BaseException) -> None:
    async def broken() -> Iterable[tuple[tuple[str, str], int]]:
        raise failure

    counters = Counters()
    page = await _page(Metrics("1", Sources(lambda: counters, list, broken, lambda: 0.0)))
    assert "ferryd_transfers{" not in page
    assert "ferryd_sent_bytes_total 0.0" in page


def _names(families: Iterable[Metric]) -> set[str]:
    return {f"{one.name}_total" if one.type == "counter" else one.name for one in families}


async def test_the_page_has_a_row_for_each_metric() -> None:
    daemon = Metrics("1", _sources(Counters()))
    hub = HubMetrics(
        totals=lambda: {"database_reads": 0, "database_writes": 0, "database_repeats": 0},
        levels=lambda: {"database_calls_running": 0, "draining": 0},
    )
    hub.ended(Request("x", 0.0))
    shown = _names(await asyncio.to_thread(lambda: list(daemon.registry.collect()))) | _names(hub.registry.collect())
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `ferry")]
    named = {name for row in rows for name in re.findall(r"`(ferry\w+)`", row)}
    assert named == {name for name in shown if name.startswith("ferry")}
