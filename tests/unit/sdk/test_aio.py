"""The awaited client: the same calls, in any loop, without blocking it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ferryman
from ferryapi.daemon.v1 import auth_service_pb2 as auth_pb
from ferryapi.daemon.v1 import transfer_service_pb2 as pb
from ferryapi.hub.v1 import project_service_pb2 as project_pb
from ferryman import AsyncClient, DaemonError, DaemonTimeoutError, ProgressEvent
from ferrywire.reasons import FerryError
from tests.unit.sdk.fake import FakeDaemon, hang, hang_until_over
from tests.unit.sdk.test_transfers import DONE, NEW, serve, transfer

ME = auth_pb.AuthStatus(user_id="usr_1")
WHO = "AuthService/GetAuthStatus"


@pytest.fixture
async def client(daemon: FakeDaemon) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(auto_start=False) as connected:
        yield connected


async def test_the_main_calls(client: AsyncClient, daemon: FakeDaemon, tmp_path: Path) -> None:
    daemon.reply(WHO, ME)
    daemon.reply("ProjectService/CreateProject", project_pb.Project(project_id="prj_1"))
    serve(daemon, transfer("QUEUED"), transfer("RUNNING", 50), DONE)
    events: list[ProgressEvent] = []
    assert (await client.auth_status()).user_id == "usr_1"
    project = await client.create_project("P")
    new = {"title": "T", "owner_type": "project", "owner_id": project.project_id}
    result = await client.upload(tmp_path / "x", **new, on_progress=events.append)
    assert (result.asset_id, [event.percent for event in events]) == ("ast_1", [0.0, 50.0, 100.0])
    assert (await client.contents.add(result, "/x")).content_id == "cnt_1"
    with pytest.raises(TypeError, match="'title'"):
        await client.upload("/x")


async def test_a_handle_can_be_awaited_and_iterated(client: AsyncClient, daemon: FakeDaemon) -> None:
    serve(daemon, transfer("QUEUED"), transfer("RUNNING", 50), DONE)
    daemon.reply("TransferService/GetTransfer", transfer("RUNNING"))
    handle = await client.transfers.upload("/x", **NEW)
    assert (await handle).content_id == "cnt_1"
    assert [event.percent async for event in (await client.transfers.get(handle)).events()] == [0.0, 50.0, 100.0]
    assert [info.state async for info in client.transfers.watch([handle])] == ["queued", "running", "succeeded"]


async def test_a_download(client: AsyncClient, daemon: FakeDaemon, tmp_path: Path) -> None:
    done = transfer("SUCCEEDED", 8, 8, kind=pb.Transfer.DOWNLOAD)
    serve(daemon, done, method="CreateDownload")
    files = [pb.TransferFile(path="a", local_path="/d/a", size_bytes=8)]
    daemon.reply("TransferService/ListTransferFiles", pb.ListTransferFilesResponse(files=files))
    assert [file.local_path for file in (await client.download("raw-1", tmp_path)).files] == ["/d/a"]


async def test_listings(client: AsyncClient, daemon: FakeDaemon) -> None:
    pages = [
        project_pb.ListProjectsResponse(projects=[project_pb.Project(name="a")], next_page_token="1"),
        project_pb.ListProjectsResponse(projects=[project_pb.Project(name="b")]),
    ]
    daemon.reply("ProjectService/ListProjects", *pages)
    page = await client.projects.list()
    assert ([project.name for project in page.items], page.next_token) == (["a"], "1")
    assert [project.name async for project in page] == ["a", "b"]
    daemon.fail("ProjectService/ListProjects", FerryError("PAGE_TOKEN_INVALID", "no"))
    with pytest.raises(DaemonError):
        await client.projects.list(page_token="x")


async def test_timeouts_and_cancelling_leave_the_client_usable(client: AsyncClient, daemon: FakeDaemon) -> None:
    daemon.reply(WHO, ME)
    serve(daemon, transfer("RUNNING"))
    began = threading.Event()
    daemon.stream("TransferService/WatchTransfers", hang(began))
    with pytest.raises(DaemonTimeoutError, match="trf_1"):
        await client.upload("/x", **NEW, transfer_timeout_s=0.05)
    began.clear()
    waiting = asyncio.create_task(client.upload("/x", **NEW))
    await asyncio.to_thread(began.wait, 60)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await client.auth_status()).user_id == "usr_1"


async def test_a_dead_daemon_names_the_transfer(client: AsyncClient, daemon: FakeDaemon) -> None:
    began = threading.Event()
    serve(daemon, transfer("RUNNING"))
    daemon.stream("TransferService/WatchTransfers", hang(began))
    waiting = asyncio.create_task(client.upload("/x", **NEW))
    await asyncio.to_thread(began.wait, 60)
    await asyncio.to_thread(daemon.stop)
    with pytest.raises(ferryman.ConnectionError, match="trf_1"):
        await waiting


async def test_closing_ends_running_calls_with_an_error(daemon: FakeDaemon) -> None:
    began = threading.Event()
    daemon.answers[WHO] = hang_until_over(began)
    client = AsyncClient(auto_start=False)
    waiting = asyncio.create_task(client.auth_status())
    await asyncio.to_thread(began.wait, 60)
    await client.close()
    await client.close()
    with pytest.raises(DaemonError) as caught:
        await waiting
    assert caught.value.code == "cancelled"
    with pytest.raises(DaemonError, match="client is closed"):
        await client.auth_status()


async def test_many_tasks_connect_once(daemon: FakeDaemon) -> None:
    daemon.reply(WHO, ME)
    async with AsyncClient(auto_start=False) as client:
        client._connection.drop(client._connection._wire)
        found = await asyncio.gather(*(client.auth_status() for _ in range(50)))
    assert {status.user_id for status in found} == {"usr_1"}


def test_one_client_in_two_loops_and_a_restart_between_calls(daemon: FakeDaemon) -> None:
    daemon.reply(WHO, ME)
    client = AsyncClient(auto_start=False)

    async def ask() -> str:
        return (await client.auth_status()).user_id

    assert asyncio.run(ask()) == "usr_1"
    daemon.stop()
    daemon.start()
    assert asyncio.run(ask()) == "usr_1"
    asyncio.run(client.close())


def test_loops_of_many_threads_share_a_client(daemon: FakeDaemon) -> None:
    daemon.reply(WHO, ME)
    client = AsyncClient(auto_start=False)
    together = threading.Barrier(8)

    async def ask() -> str:
        together.wait()
        return (await client.auth_status()).user_id

    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(lambda _: asyncio.run(ask()), range(8))) == ["usr_1"] * 8
