"""The hub's client over a transport that answers from a script, message by message."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.protobuf.message import Message

from ferryapi.hub.v1 import content_service_pb2 as pb
from ferryd.core.model import Part, UploadSpec
from ferryd.core.ports import FileLocation, Hub, UploadFile, UrlLocation
from ferryd.remote.address import parse_address
from ferryd.remote.blips import Blips
from ferryd.remote.client import HubClient
from ferryd.remote.logged import LoggedHub
from ferryd.remote.retry import RetryingHub
from ferrywire.digest import of_blocks
from ferrywire.reasons import FerryError

REQUESTS: dict[str, type[Message]] = {
    "CreateUpload": pb.CreateUploadRequest,
    "AddUploadFiles": pb.AddUploadFilesRequest,
    "SignParts": pb.SignPartsRequest,
    "RecordParts": pb.RecordPartsRequest,
    "ListParts": pb.ListPartsRequest,
    "CommitUpload": pb.CommitUploadRequest,
    "AbortUpload": pb.AbortUploadRequest,
    "GetDownload": pb.GetDownloadRequest,
}
Answer = Callable[[Any], Message] | Message | FerryError | bytes


@dataclass
class Script:
    """A transport: each call takes the next answer."""

    answers: list[Answer]
    calls: list[tuple[str, Any]] = field(default_factory=list)

    async def call(self, method_path: str, body: bytes, timeout_s: float) -> bytes:
        method = method_path.rpartition("/")[2]
        request = REQUESTS[method].FromString(body)
        self.calls.append((method, request))
        answer = self.answers.pop(0)
        if isinstance(answer, FerryError):
            raise answer
        if isinstance(answer, bytes):
            return answer
        message = answer if isinstance(answer, Message) else answer(request)
        return message.SerializeToString()

    async def close(self) -> None: ...

    def hub(self, *, accept_files: bool = False) -> HubClient:
        return HubClient(self, parse_address("http://hub:1"), accept_files=accept_files)


@dataclass
class FastClock:
    """Time that passes only when somebody waits."""

    slept: list[float] = field(default_factory=list)
    at: float = 0.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


SPEC = UploadSpec(
    ("/x",), title="T", owner_type="project", owner_id="prj_1", tags=("a",), metadata={"n": 1, "l": [None]}
)


def files(count: int) -> list[UploadFile]:
    return [UploadFile(f"f{number}", number, 1 << 20) for number in range(count)]


def session(count: int) -> pb.UploadSession:
    return pb.UploadSession(session_id="upl_1", asset_id="ast_1", file_count=count)


def parts(count: int, blocks: int = 1) -> list[Part]:
    return [Part(0, number + 1, bytes([number % 256]) * 16 * blocks) for number in range(count)]


async def test_an_upload_of_a_new_asset() -> None:
    script = Script([session(3)])
    made = await script.hub().create_upload(SPEC, files(3), "req")
    assert (made.session_id, made.asset_id, made.content) == ("upl_1", "ast_1", None)
    ((_, request),) = script.calls
    assert (request.new_asset.title, request.new_asset.owner_id, list(request.new_asset.tags)) == ("T", "prj_1", ["a"])
    assert dict(request.new_asset.metadata)["n"] == 1
    assert (request.total_file_count, request.total_size_bytes, request.request_id) == (3, 3, "req")


async def test_a_new_version_names_its_asset() -> None:
    script = Script([session(1)])
    await script.hub().create_upload(UploadSpec(("/x",), asset_id="ast_9", message="m"), files(1), "req")
    assert script.calls[0][1].WhichOneof("target") == "asset_id"
    assert script.calls[0][1].message == "m"


async def test_metadata_that_is_not_json_is_refused() -> None:
    with pytest.raises(FerryError) as caught:
        await Script([]).hub().create_upload(UploadSpec(("/x",), metadata={"x": object()}), files(1), "req")
    assert (caught.value.reason, caught.value.metadata["field"]) == ("INVALID_ARGUMENT", "metadata")


async def test_large_manifests_go_in_pages_and_repeats_go_on() -> None:
    script = Script([session(10_000), session(20_000), session(20_003)])
    await script.hub().create_upload(SPEC, files(20_003), "req")
    sizes = [(method, len(request.files)) for method, request in script.calls]
    assert sizes == [("CreateUpload", 10_000), ("AddUploadFiles", 10_000), ("AddUploadFiles", 3)]
    assert [request.first_index for _, request in script.calls[1:]] == [10_000, 20_000]
    script = Script([session(20_000), session(20_003)])
    await script.hub().create_upload(SPEC, files(20_003), "req")
    assert [request.first_index for _, request in script.calls[1:]] == [20_000]
    script = Script([pb.UploadSession(session_id="upl_1", file_count=3, content=pb.Content(content_id="cnt_1"))])
    made = await script.hub().create_upload(SPEC, files(20_003), "req")
    assert made.content is not None
    assert made.content.content_id == "cnt_1"


async def test_pages_are_bounded_in_bytes_too() -> None:
    long_names = [UploadFile(f"{number}/" + "x" * 4000, 1, 1 << 20) for number in range(2000)]
    script = Script([session(0), *[session(2000)] * 20])
    await script.hub().create_upload(SPEC, long_names, "req")
    assert max(request.ByteSize() for _, request in script.calls) < 3 << 20
    assert sum(len(request.files) for method, request in script.calls if method == "AddUploadFiles") == 2000


def urls(request: pb.SignPartsRequest) -> pb.SignPartsResponse:
    reply = pb.SignPartsResponse()
    for part in request.parts:
        location = reply.locations.add()
        location.url.url = f"/blobs/{part.part_number}?digest={part.digest.hex()}"
        location.url.headers["x-y"] = "z"
        location.url.expire_time.FromSeconds(1000)
    return reply


async def test_parts_are_signed_in_order_and_in_batches() -> None:
    script, wanted = Script([urls, urls]), parts(1001)
    locations = await script.hub().sign_parts("upl_1", wanted)
    digest = of_blocks(wanted[1000].block_digests).hex()
    assert locations[1000] == UrlLocation(f"http://hub:1/blobs/1001?digest={digest}", {"x-y": "z"}, 1000.0)
    assert [len(request.parts) for _, request in script.calls] == [1000, 1]
    assert not script.calls[0][1].accept_files
    assert await Script([]).hub().sign_parts("upl_1", []) == []


def a_file(_: object) -> pb.SignPartsResponse:
    location = pb.Location(file=pb.LocalFile(path="/etc/passwd", offset_bytes=7))
    return pb.SignPartsResponse(locations=[location])


async def test_files_of_this_machine_only_from_a_hub_that_may() -> None:
    assert await Script([a_file]).hub(accept_files=True).sign_parts("upl_1", parts(1)) == [
        FileLocation("/etc/passwd", 7)
    ]
    with pytest.raises(FerryError) as caught:
        await Script([a_file]).hub().sign_parts("upl_1", parts(1))
    assert caught.value.reason == "INTERNAL"


@pytest.mark.parametrize(
    "answer", [pb.SignPartsResponse(), pb.SignPartsResponse(locations=[pb.Location()]), b"\xff\xff"]
)
async def test_replies_that_make_no_sense_are_errors(answer: Answer) -> None:
    with pytest.raises(FerryError) as caught:
        await Script([answer]).hub().sign_parts("upl_1", parts(1))
    assert caught.value.reason == "INTERNAL"


async def test_parts_are_recorded_with_their_blocks() -> None:
    script = Script([pb.RecordPartsResponse()] * 9)
    await script.hub().record_parts("upl_1", parts(30, blocks=10_000))
    assert sum(len(request.parts) for _, request in script.calls) == 30
    assert max(request.ByteSize() for _, request in script.calls) < 3 << 20
    assert script.calls[0][1].parts[0].block_digests == bytes(160_000)


def page(first: int, count: int, token: str) -> pb.ListPartsResponse:
    listed = [pb.Part(file_index=0, part_number=n, block_digests=b"d" * 16) for n in range(first, first + count)]
    return pb.ListPartsResponse(parts=listed, next_page_token=token)


async def listed(hub: Hub) -> list[int]:
    return [part.number async for part in hub.list_parts("upl_1")]


async def test_stored_parts_are_listed_page_by_page() -> None:
    script = Script([page(1, 2, "a"), page(3, 2, "b"), page(5, 1, "")])
    assert await listed(script.hub()) == [1, 2, 3, 4, 5]
    assert [request.page_token for _, request in script.calls] == ["", "a", "b"]


@pytest.mark.parametrize("second", [page(3, 1, "a"), page(3, 0, "b")])
async def test_a_listing_without_end_is_an_error(second: Message) -> None:
    with pytest.raises(FerryError):
        await listed(Script([page(1, 2, "a"), second, second]).hub())


async def test_commit_and_abort() -> None:
    script = Script([pb.Content(content_id="cnt_1", asset_id="ast_1", digest="xxh3b:0", size_bytes=5, file_count=2)])
    content = await script.hub().commit_upload("upl_1", [b"a" * 16, b"b" * 16])
    assert (content.content_id, content.digest, content.size_bytes, content.file_count) == ("cnt_1", "xxh3b:0", 5, 2)
    assert script.calls[0][1].file_digests == b"a" * 16 + b"b" * 16
    await Script([FerryError("SESSION_NOT_FOUND", "gone", sessionId="upl_1")]).hub().abort_upload("upl_1")


def download(token: str = "", content_id: str = "cnt_1", **changes: Any) -> pb.GetDownloadResponse:
    fields = {
        "path": "a/b",
        "size_bytes": 3 << 20,
        "part_size_bytes": 2 << 20,
        "digest": b"d" * 16,
        "part_digests": b"p" * 32,
        "location": pb.Location(url=pb.SignedUrl(url="/blobs/k?sig=1")),
    }
    file = pb.DownloadFile(**(fields | changes))
    content = pb.Content(content_id=content_id)
    return pb.GetDownloadResponse(content=content, title="T", files=[file], next_page_token=token)


async def test_a_manifest_comes_whole() -> None:
    empty = download(file_index=1, size_bytes=0, part_digests=b"", location=None)
    manifest, got = await Script([download("t"), empty]).hub().get_manifest("ast_1", "")
    assert (manifest.content.content_id, manifest.title) == ("cnt_1", "T")
    assert [(file.index, file.size_bytes) for file in got] == [(0, 3 << 20), (1, 0)]
    assert got[0].location == UrlLocation("http://hub:1/blobs/k?sig=1", {}, 0.0)
    assert got[1].location is None


async def test_each_file_of_a_manifest_has_a_location_of_its_own() -> None:
    places = [("a", 0), ("a", 7), ("b", 7), ("a", 9)]
    reply = pb.GetDownloadResponse(content=pb.Content(content_id="cnt_1"))
    for url, offset in places:
        signed = pb.SignedUrl(url=f"http://s3/{url}", headers={"x": url}, offset_bytes=offset)
        reply.files.append(download(location=pb.Location(url=signed)).files[0])
    _, got = await Script([reply]).hub().get_manifest("ast_1", "")
    expected = [UrlLocation(f"http://s3/{url}", {"x": url}, 0.0, offset=offset) for url, offset in places]
    assert [file.location for file in got] == expected


@pytest.mark.parametrize(
    "changes",
    [{"size_bytes": -1}, {"part_size_bytes": 0}, {"digest": b""}, {"part_digests": b"p" * 16}, {"location": None}],
)
async def test_a_manifest_that_does_not_add_up_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FerryError) as caught:
        await Script([download(**changes)]).hub().get_manifest("ast_1", "")
    assert caught.value.reason == "INTERNAL"


async def test_a_manifest_is_of_one_version() -> None:
    with pytest.raises(FerryError):
        await Script([download("t"), download(content_id="cnt_2")]).hub().get_manifest("ast_1", "")


async def test_a_deadline_of_ours_means_that_the_hub_cannot_be_reached() -> None:
    with pytest.raises(FerryError) as caught:
        await Script([FerryError("DEADLINE_EXCEEDED", "late")]).hub().commit_upload("upl_1", [])
    assert (caught.value.reason, caught.value.metadata["hub"]) == ("HUB_UNREACHABLE", "http://hub:1")


LOST = FerryError("HUB_UNREACHABLE", "lost", hub="h")


def retrying(script: Script, clock: FastClock) -> RetryingHub:
    return RetryingHub(script.hub(), Blips(clock, jitter=lambda: 1.0))


async def test_a_lost_call_is_tried_again() -> None:
    script, clock = Script([LOST, LOST, pb.Content(content_id="cnt_1")]), FastClock()
    assert (await retrying(script, clock).commit_upload("upl_1", [])).content_id == "cnt_1"
    assert clock.slept == [0.2, 0.4]


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (LOST, 3),
        (FerryError("HUB_OVERLOADED", "busy", retry_after_s=1.0), 3),
        (FerryError("HUB_OVERLOADED", "busy", retry_after_s=30.0), 1),
        (FerryError("RATE_LIMITED", "slow down"), 1),
        (FerryError("PARTS_MISSING", "missing", missingCount=1), 1),
        (FerryError("TOKEN_EXPIRED", "old"), 1),
    ],
)
async def test_only_blips_are_retried_and_not_for_ever(error: FerryError, calls: int) -> None:
    script = Script([error] * 9)
    with pytest.raises(FerryError) as caught:
        await retrying(script, FastClock()).commit_upload("upl_1", [])
    assert caught.value is error
    assert len(script.calls) == calls


async def test_what_took_long_is_not_tried_again() -> None:
    clock = FastClock()

    def slow(_: object) -> Message:
        clock.at += 60
        raise LOST

    script = Script([slow, LOST])
    with pytest.raises(FerryError):
        await retrying(script, clock).commit_upload("upl_1", [])
    assert len(script.calls) == 1


async def test_a_listing_that_broke_goes_on_without_repeats() -> None:
    script = Script([page(1, 2, "a"), LOST, page(1, 2, "a"), page(3, 2, "")])
    assert await listed(retrying(script, FastClock())) == [1, 2, 3, 4]


async def test_the_log_tells_ids_and_reasons_and_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    script = Script([urls, FerryError("TOKEN_EXPIRED", "old"), page(1, 1, "")])
    hub = LoggedHub(script.hub(), FastClock())
    with caplog.at_level(logging.DEBUG, "ferryd.remote"):
        await hub.sign_parts("upl_1", parts(2))
        with pytest.raises(FerryError):
            await hub.create_upload(SPEC, files(1), "req")
        assert await listed(hub) == [1]
    assert "method=sign_parts id=upl_1 count=2 outcome=ok" in caplog.text
    assert "method=create_upload id=req count=1 outcome=TOKEN_EXPIRED" in caplog.text
    assert "blobs" not in caplog.text
    assert "title" not in caplog.text
