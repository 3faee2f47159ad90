"""Uploads, downloads and handles: arguments, progress, results, and every way that waiting can end."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

import ferryman
from ferryapi.daemon.v1 import transfer_service_pb2 as pb
from ferryman import Client, DaemonError, DaemonTimeoutError, ProgressEvent
from ferrywire.reasons import FerryError
from ferrywire.status import to_status
from tests.unit.sdk.fake import FakeDaemon, abort, hang

State = pb.Transfer.State
NEW: dict[str, Any] = {"title": "T", "owner_type": "project", "owner_id": "prj_1"}


def transfer(state: str, done: int = 0, total: int = 100, **fields: Any) -> pb.Transfer:
    fields = {"transfer_id": "trf_1", "kind": pb.Transfer.UPLOAD, "chunk_count": 4, "file_count": 1, **fields}
    return pb.Transfer(state=State.Value(state), persisted_bytes=done, size_bytes=total, **fields)


def serve(daemon: FakeDaemon, *snapshots: pb.Transfer, method: str = "CreateUpload") -> None:
    """A daemon that queues a transfer and then streams these snapshots."""
    daemon.reply(f"TransferService/{method}", snapshots[0])
    daemon.stream(
        "TransferService/WatchTransfers",
        lambda _context: (pb.WatchTransfersResponse(transfer=snapshot) for snapshot in snapshots),
    )


DONE = transfer("SUCCEEDED", 100, chunk_index=4, asset_id="ast_1", content_id="cnt_1", digest="xxh3b:0")


def test_upload_sends_everything_and_returns_the_result(client: Client, daemon: FakeDaemon, tmp_path: Path) -> None:
    serve(daemon, transfer("QUEUED"), DONE)
    result = client.upload(
        tmp_path / "a.csv",
        **NEW,
        description="d",
        alias="raw-1",
        tags=["x"],
        metadata={"k": 1},
        collection_id="col_1",
        chunk_size_mb=8,
        priority=5,
    )
    assert result == ferryman.UploadResult("ast_1", "cnt_1", "trf_1", "xxh3b:0", 100, 1)
    (sent,) = daemon.sent("TransferService/CreateUpload", pb.CreateUploadRequest)
    assert list(sent.paths) == [str(tmp_path / "a.csv")]
    assert (sent.title, sent.owner_type, sent.owner_id, sent.alias) == ("T", "project", "prj_1", "raw-1")
    assert (sent.chunk_size_mb, sent.priority, sent.collection_id, list(sent.tags)) == (8, 5, "col_1", ["x"])
    assert sent.metadata["k"] == 1
    assert sent.client.endswith(f":{os.getpid()}")
    assert len(sent.client) <= 64


def test_a_version_needs_only_the_asset(client: Client, daemon: FakeDaemon) -> None:
    serve(daemon, DONE)
    first = client.upload("/x", **NEW)
    client.upload("/x", asset=first)
    client.upload("/x", asset="ast_1", **NEW)
    client.update_content(first, ["/x", "/y"], message="m")
    client.contents.add("raw-1", "/x")
    sent = daemon.sent("TransferService/CreateUpload", pb.CreateUploadRequest)[1:]
    assert [request.asset_id for request in sent] == ["ast_1", "ast_1", "ast_1", "raw-1"]
    assert [request.title for request in sent] == [""] * 4
    assert (list(sent[2].paths), sent[2].message) == (["/x", "/y"], "m")


def test_missing_arguments_are_a_type_error_as_python_s_own(client: Client, daemon: FakeDaemon) -> None:
    with pytest.raises(TypeError, match="'title'"):
        client.upload("/x", owner_type="project", owner_id="p")
    with pytest.raises(TypeError, match="'title', 'owner_type', 'owner_id'"):
        client.assets.upload("/x")
    with pytest.raises(TypeError):
        client.transfers.upload("/x", title="t")
    assert daemon.requests == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"owner_type": "org"},
        {"title": 7},
        {"tags": "csv"},
        {"metadata": {"k": float("nan")}},
        {"chunk_size_mb": 0},
        {"chunk_size_mb": -1},
        {"chunk_size_mb": 10**9},
        {"priority": 101},
        {"transfer_timeout_s": -1},
        {"asset": "ast_1", "alias": "new"},
        {"local_path": []},
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(
    client: Client, daemon: FakeDaemon, wrong: dict[str, Any]
) -> None:
    with pytest.raises(DaemonError) as caught:
        client.upload(**{"local_path": "/x", **NEW, **wrong})
    assert caught.value.code == "invalid_argument"
    assert daemon.requests == []


def test_progress_never_goes_back_and_ends_at_100(client: Client, daemon: FakeDaemon) -> None:
    moving = [transfer("RUNNING", done, chunk_index=done // 25, rate_bps=2e6) for done in (0, 25, 25, 50, 25, 75)]
    serve(daemon, transfer("QUEUED"), *moving, DONE)
    events: list[ProgressEvent] = []
    thread = threading.get_ident()
    client.upload(
        "/x",
        **NEW,
        on_progress=lambda e: (events.append(e), pytest.fail("thread") if threading.get_ident() != thread else None),
    )
    assert [event.bytes_done for event in events] == [0, 25, 50, 75, 100]
    assert [event.percent for event in events][-1] == 100.0
    assert {event.chunk_count for event in events} == {4}
    assert events[1].rate_mbps == 2.0


def test_an_empty_file_is_100_percent_once(client: Client, daemon: FakeDaemon) -> None:
    serve(daemon, transfer("QUEUED", 0, 0), transfer("RUNNING", 0, 0), transfer("SUCCEEDED", 0, 0, chunk_count=0))
    events: list[ProgressEvent] = []
    client.upload("/x", **NEW, on_progress=events.append)
    assert [(event.percent, event.bytes_total, event.chunk_count) for event in events] == [(100.0, 0, 0)]


def test_a_callback_that_raises_comes_out_and_the_transfer_is_found_again(client: Client, daemon: FakeDaemon) -> None:
    serve(daemon, transfer("RUNNING", 25), DONE)
    daemon.reply("TransferService/GetTransfer", transfer("RUNNING", 25))

    def fail(event: ProgressEvent) -> None:
        raise ValueError(event.transfer_id)

    with pytest.raises(ValueError, match="trf_1"):
        client.upload("/x", **NEW, on_progress=fail)
    assert client.transfers.get("trf_1").wait().asset_id == "ast_1"
    assert not daemon.sent("TransferService/CancelTransfer", pb.CancelTransferRequest)


def test_the_wait_ends_and_the_transfer_is_named(client: Client, daemon: FakeDaemon) -> None:
    serve(daemon, transfer("RUNNING", 25))
    daemon.stream("TransferService/WatchTransfers", hang(threading.Event()))
    with pytest.raises(DaemonTimeoutError, match=r"0.05 s; transfer trf_1 goes on") as caught:
        client.upload("/x", **NEW, transfer_timeout_s=0.05)
    assert (caught.value.code, caught.value.metadata["transferId"]) == ("deadline_exceeded", "trf_1")
    with pytest.raises(DaemonTimeoutError, match="trf_1"):
        client.upload("/x", **NEW, transfer_timeout_s=0)


def test_a_failed_transfer_raises_its_own_error(client: Client, daemon: FakeDaemon) -> None:
    error = to_status(FerryError("SOURCE_CHANGED", "/x changed", path="/x"))
    serve(daemon, transfer("RUNNING", 25), transfer("FAILED", 25, error=error))
    events: list[ProgressEvent] = []
    with pytest.raises(DaemonError) as caught:
        client.upload("/x", **NEW, on_progress=events.append)
    assert (caught.value.code, caught.value.reason) == ("failed_precondition", "SOURCE_CHANGED")
    assert caught.value.metadata == {"path": "/x", "transferId": "trf_1"}
    assert [event.bytes_done for event in events] == [25]
    serve(daemon, transfer("CANCELLED"))
    with pytest.raises(DaemonError) as caught:
        client.upload("/x", **NEW)
    assert caught.value.code == "cancelled"


def test_a_daemon_that_dies_while_we_wait_is_a_connection_error_naming_the_transfer(
    client: Client, daemon: FakeDaemon
) -> None:
    began = threading.Event()
    serve(daemon, transfer("RUNNING"))
    daemon.stream("TransferService/WatchTransfers", hang(began))
    killer = threading.Thread(target=lambda: (began.wait(10), daemon.stop()))
    killer.start()
    with pytest.raises(ferryman.ConnectionError, match=r"client.transfers.get\('trf_1'\).wait\(\)") as caught:
        client.upload("/x", **NEW)
    killer.join()
    assert caught.value.metadata["transferId"] == "trf_1"


def test_waiting_follows_the_daemon_through_a_drain(
    client: Client, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferryman.channel.GONE_S", 0.0)
    serve(daemon, transfer("QUEUED"))
    rounds = iter(range(10))

    def watch(context: grpc.ServicerContext) -> Iterator[Message]:
        attempt = next(rounds)
        yield pb.WatchTransfersResponse(transfer=transfer("RUNNING", 10 * attempt))
        yield pb.WatchTransfersResponse()
        if attempt < 5:
            abort(context, FerryError("SHUTTING_DOWN", "stopping"))
        yield pb.WatchTransfersResponse(transfer=DONE)

    daemon.stream("TransferService/WatchTransfers", watch)
    events: list[ProgressEvent] = []
    assert client.upload("/x", **NEW, on_progress=events.append).asset_id == "ast_1"
    assert [event.bytes_done for event in events] == [0, 10, 20, 30, 40, 50, 100]


def test_a_daemon_that_only_ever_stops_is_given_up(
    client: Client, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferryman.channel.GONE_S", 0.0)
    serve(daemon, transfer("QUEUED"))

    def watch(context: grpc.ServicerContext) -> Iterator[Message]:
        yield pb.WatchTransfersResponse(transfer=transfer("QUEUED"))
        abort(context, FerryError("SHUTTING_DOWN", "stopping"))

    daemon.stream("TransferService/WatchTransfers", watch)
    with pytest.raises(DaemonError, match="trf_1 goes on") as caught:
        client.upload("/x", **NEW)
    assert caught.value.reason == "SHUTTING_DOWN"


def test_download_returns_its_files(client: Client, daemon: FakeDaemon, tmp_path: Path) -> None:
    serve(
        daemon,
        transfer("QUEUED", 0, 0, kind=pb.Transfer.DOWNLOAD),
        transfer("SUCCEEDED", 8, 8, kind=pb.Transfer.DOWNLOAD, asset_id="ast_1", content_id="cnt_2"),
        method="CreateDownload",
    )
    files = [pb.TransferFile(path="a", local_path="/d/a", size_bytes=8), pb.TransferFile(path="b", skipped=True)]
    daemon.reply(
        "TransferService/ListTransferFiles",
        pb.ListTransferFilesResponse(files=files[:1], next_page_token="1"),
        pb.ListTransferFilesResponse(files=files[1:]),
    )
    events: list[ProgressEvent] = []
    result = client.download(
        "raw-1",
        dest_dir=tmp_path / "d",
        if_exists="rename",
        include="*.csv",
        content_id="cnt_2",
        on_progress=events.append,
    )
    assert [(f.local_path, f.size, f.path, f.skipped) for f in result.files] == [
        ("/d/a", 8, "a", False),
        ("", 0, "b", True),
    ]
    assert (result.asset_id, result.content_id, result.transfer_id) == ("ast_1", "cnt_2", "trf_1")
    assert [event.percent for event in events] == [100.0]
    (sent,) = daemon.sent("TransferService/CreateDownload", pb.CreateDownloadRequest)
    assert (sent.dest_dir, sent.if_exists, list(sent.include)) == (str(tmp_path / "d"), 4, ["*.csv"])
    with pytest.raises(DaemonError, match="fail, skip, replace, rename"):
        client.download("raw-1", tmp_path, if_exists="overwrite")


def test_a_handle_controls_its_transfer(client: Client, daemon: FakeDaemon) -> None:
    serve(daemon, transfer("QUEUED"), transfer("RUNNING", 50), DONE)
    for method, state in {
        "PauseTransfer": "PAUSED",
        "ResumeTransfer": "QUEUED",
        "CancelTransfer": "CANCELLED",
        "RetryTransfer": "QUEUED",
        "SetPriority": "QUEUED",
        "GetTransfer": "RUNNING",
    }.items():
        daemon.reply(f"TransferService/{method}", transfer(state))
    handle = client.transfers.upload("/x", **NEW)
    assert (handle.id, handle.pause().state, handle.resume().state) == ("trf_1", "paused", "queued")
    assert (handle.retry().state, handle.set_priority(7).state, handle.cancel().settled) == ("queued", "queued", True)
    assert handle.info().kind == "upload"
    assert [event.percent for event in handle.events()] == [0.0, 50.0, 100.0]
    assert daemon.sent("TransferService/SetPriority", pb.SetPriorityRequest)[0].priority == 7
    daemon.fail("TransferService/PauseTransfer", FerryError("ILLEGAL_TRANSITION", "no", state="x", event="y"))
    with pytest.raises(DaemonError) as caught:
        handle.pause()
    assert caught.value.code == "failed_precondition"


def test_listing_watching_and_limits(client: Client, daemon: FakeDaemon) -> None:
    serve(daemon, transfer("RUNNING", 50), DONE)
    daemon.reply("TransferService/ListTransfers", pb.ListTransfersResponse(transfers=[DONE], total_size=12))
    daemon.reply("TransferService/GetLimits", pb.Limits(running_transfers=4))
    daemon.reply("TransferService/SetLimits", pb.Limits(bandwidth_bps=2048, running_transfers=4))
    page = client.transfers.list(states=["succeeded"])
    assert (page.total_size, page[0].state, page[0].settled) == (12, "succeeded", True)
    assert daemon.sent("TransferService/ListTransfers", pb.ListTransfersRequest)[0].states == [State.SUCCEEDED]
    assert [info.state for info in client.transfers.watch([page[0]])] == ["running", "succeeded"]
    assert client.transfers.limits().running_transfers == 4
    assert client.transfers.set_limits(bandwidth_bps=2048).bandwidth_bps == 2048
    (sent,) = daemon.sent("TransferService/SetLimits", pb.SetLimitsRequest)
    assert (sent.HasField("bandwidth_bps"), sent.HasField("running_transfers")) == (True, False)
    with pytest.raises(DaemonError, match="states must be one of"):
        client.transfers.list(states=["done"])
