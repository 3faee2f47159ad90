"""What the service manager is told, and when the watchdog goes hungry."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryd.lifecycle.notify import ServiceManager
from ferrywire.reasons import FerryError
from tests.support.notify import NotifySocket
from tests.support.waiting import wait_for

PERIOD_S = 0.01
WATCHDOG_USEC = str(int(2 * PERIOD_S * 1e6))


@pytest.fixture(params=["path", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NotifySocket]:
    address = tmp_path / "notify" if request.param == "path" else f"@ferryman-test-{os.getpid()}"
    with NotifySocket(address) as ear:
        yield ear


def _manager(ear: NotifySocket, **environ: str) -> ServiceManager:
    return ServiceManager({"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": WATCHDOG_USEC, **environ})


async def _well() -> str:
    return "2 running,\n3 queued"


async def _fed(ear: NotifySocket, times: int = 1) -> None:
    while ear.count("WATCHDOG=1") < times:  # noqa: ASYNC110 - a thread listens
        await asyncio.sleep(PERIOD_S)


def test_ready_status_and_stopping_arrive(ear: NotifySocket) -> None:
    manager = _manager(ear)
    manager.ready("serving")
    manager.status("all\nwell")
    manager.stopping()
    wait_for(lambda: len(ear.said) == 3)
    assert ear.said == ["READY=1\nSTATUS=serving", "STATUS=all well", "STOPPING=1\nSTATUS=stopping"]


async def test_the_watchdog_is_fed_while_the_queue_answers(ear: NotifySocket) -> None:
    async with asyncio.TaskGroup() as tasks:
        feeding = tasks.create_task(_manager(ear).feed_watchdog(_well))
        await _fed(ear, 3)
        feeding.cancel()
    assert ear.status == "2 running, 3 queued"


async def test_a_queue_that_hangs_is_not_reported_as_alive(ear: NotifySocket) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def hangs() -> str:
        asked.set()
        await answered.wait()
        return ""

    async with asyncio.TaskGroup() as tasks:
        feeding = tasks.create_task(_manager(ear).feed_watchdog(hangs))
        await asked.wait()
        await asyncio.sleep(10 * PERIOD_S)
        assert ear.said == []
        answered.set()
        await _fed(ear)
        feeding.cancel()


async def test_a_queue_that_fails_is_not_reported_and_asked_again(ear: NotifySocket) -> None:
    failures = 5

    async def fails_at_first() -> str:
        nonlocal failures
        if failures:
            failures -= 1
            assert ear.said == []
            raise FerryError("IO_ERROR", "the disk is gone", path="/queue.db")
        return "well again"

    async with asyncio.TaskGroup() as tasks:
        feeding = tasks.create_task(_manager(ear).feed_watchdog(fails_at_first))
        await _fed(ear)
        feeding.cancel()
    assert not failures
    assert ear.status == "well again"


async def test_a_blocked_loop_starves_the_watchdog(ear: NotifySocket) -> None:
    async with asyncio.TaskGroup() as tasks:
        feeding = tasks.create_task(_manager(ear).feed_watchdog(_well))
        await _fed(ear)
        assert ear.falls_silent(20 * PERIOD_S)  # and meanwhile the loop cannot turn
        feeding.cancel()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"NOTIFY_SOCKET": "/nowhere"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "1000"},
    ],
)
async def test_no_watchdog_asks_for_nothing(environ: dict[str, str]) -> None:
    async def never() -> str:
        raise AssertionError("nobody needs to know")

    await ServiceManager(environ).feed_watchdog(never)


def test_a_manager_that_does_not_listen_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager({"NOTIFY_SOCKET": "/nowhere/notify"}).ready("serving")
    assert "service_manager_not_told READY=1" in caplog.text


@pytest.mark.parametrize(
    ("environ", "present"), [({}, False), ({"NOTIFY_SOCKET": "/x"}, True), ({"INVOCATION_ID": "1"}, True)]
)
def test_a_service_is_recognised(environ: dict[str, str], present: bool) -> None:
    assert ServiceManager(environ).present is present
