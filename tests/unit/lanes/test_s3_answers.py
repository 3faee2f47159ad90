"""What S3 stores say to a lane, and the CRC that they are sent: real sockets, answers as stores give them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from awscrt.checksums import crc64nvme

from ferryd.core.model import Span
from ferryd.core.ports import UrlLocation
from ferryd.lanes.pool import ByteLanes
from ferryd.lanes.replies import Method, Reply, error_of
from ferrywire.reasons import FerryError
from tests.support.byte_server import ByteServer, Request
from tests.support.meters import CountingMeter
from tests.unit.lanes.samples import MIB, blocks, make_source, random_bytes, received


def xml(code: str, *, declared: bool = True) -> bytes:
    head = b'<?xml version="1.0" encoding="UTF-8"?>\n' if declared else b""
    return head + f"<Error><Code>{code}</Code><Message>words</Message></Error>".encode()


@pytest.mark.parametrize("size", [0, 1, MIB, 3 * MIB + 17])
async def test_the_crc_is_that_of_the_bytes(lanes: ByteLanes, tmp_path: Path, size: int) -> None:
    data = random_bytes(size)
    found = await lanes.hash(make_source(tmp_path, data), Span(0, size), CountingMeter(), crc64nvme=True)
    assert found.crc64nvme == crc64nvme(data).to_bytes(8, "big")
    assert found.block_digests == blocks(data)


async def test_nobody_computes_a_crc_unasked(lanes: ByteLanes, tmp_path: Path) -> None:
    assert (await lanes.hash(make_source(tmp_path, b"x"), Span(0, 1), CountingMeter())).crc64nvme == b""


async def test_a_missing_library_is_named(lanes: ByteLanes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "awscrt.checksums", None)
    with pytest.raises(FerryError, match=r"pip install \"/path/to/ferryman\[daemon\]\"") as caught:
        await lanes.hash(make_source(tmp_path, b"x"), Span(0, 1), CountingMeter(), crc64nvme=True)
    assert (caught.value.reason, caught.value.retryable) == ("UNIMPLEMENTED", False)


@pytest.mark.parametrize(
    ("method", "status", "code", "reason"),
    [
        ("PUT", 400, "BadDigest", "CHUNK_CORRUPT"),
        ("PUT", 400, "InvalidDigest", "CHUNK_CORRUPT"),
        ("PUT", 400, "XAmzContentChecksumMismatch", "CHUNK_CORRUPT"),
        ("PUT", 403, "AccessDenied", "SIGNATURE_INVALID"),
        ("PUT", 400, "AccessDenied", "SIGNATURE_INVALID"),  # rclone
        ("GET", 403, "SignatureDoesNotMatch", "SIGNATURE_INVALID"),
        ("PUT", 400, "ExpiredToken", "SIGNATURE_INVALID"),
        ("PUT", 404, "NoSuchUpload", "PARTS_MISSING"),
        ("PUT", 404, "NoSuchBucket", "HUB_OVERLOADED"),
        ("GET", 404, "NoSuchKey", "CONTENT_NOT_FOUND"),
        ("PUT", 503, "SlowDown", "HUB_OVERLOADED"),
        ("PUT", 500, "InternalError", "HUB_OVERLOADED"),
        ("PUT", 400, "RequestTimeout", "HUB_OVERLOADED"),
        ("PUT", 501, "NotImplemented", "UNIMPLEMENTED"),
        ("PUT", 507, "XMinioStorageFull", "DISK_FULL"),
        ("PUT", 429, "TooManyRequests", "HUB_OVERLOADED"),
        ("PUT", 418, "NeverHeardOf", "INTERNAL"),
        ("PUT", 409, "ConditionalRequestConflict", "HUB_OVERLOADED"),
        ("PUT", 412, "PreconditionFailed", "INTERNAL"),
        ("GET", 416, "InvalidRange", "BLOB_DAMAGED"),
    ],
)
@pytest.mark.parametrize("declared", [False, True])
def test_the_code_counts_where_it_says_more_than_the_status(
    method: Method, status: int, code: str, reason: str, declared: bool
) -> None:
    error = error_of(Reply(method, "https://store", status, {}, xml(code, declared=declared)))
    assert error.reason == reason
    assert set(error.row.metadata) <= error.metadata.keys()


def test_retry_after_is_kept() -> None:
    error = error_of(Reply("PUT", "https://store", 503, {"retry-after": "7"}, xml("SlowDown")))
    assert (error.reason, error.retry_after_s) == ("HUB_OVERLOADED", 7.0)


@pytest.mark.parametrize(
    "body", [b"<Error>", b"<Code>BadDigest</Code>", b"<Error><Code>" + b"A" * 70 + b"</Code>", b"\xff"]
)
def test_half_an_answer_is_judged_by_its_status(body: bytes) -> None:
    assert error_of(Reply("PUT", "https://store", 403, {}, body)).reason == "SIGNATURE_INVALID"


@pytest.mark.parametrize(("header", "stored"), [({"if-none-match": "*"}, True), ({}, False)])
async def test_a_name_that_is_taken_holds_the_part_where_it_may_be_written_only_once(
    lanes: ByteLanes, tmp_path: Path, header: dict[str, str], stored: bool
) -> None:
    def taken(request: Request) -> bool:
        request.reply(412, xml("PreconditionFailed"))
        return False

    data = random_bytes(MIB)
    with ByteServer(script=[taken]) as server:
        to = UrlLocation(server.url + "/b/k", header, 0, True)
        sending = lanes.send(make_source(tmp_path, data), Span(0, len(data)), to, blocks(data), CountingMeter())
        if stored:
            await sending
        else:
            with pytest.raises(FerryError) as caught:
                await sending
            assert caught.value.reason == "INTERNAL"


async def test_a_refusal_in_the_middle_of_the_body_is_read(lanes: ByteLanes, tmp_path: Path) -> None:
    def refuse(request: Request) -> bool:
        request.reply(403, xml("AccessDenied"), Content_Type="application/xml")
        return False

    data = random_bytes(8 * MIB)
    with ByteServer(script=[refuse]) as server, pytest.raises(FerryError) as caught:
        to = UrlLocation(server.url + "/b/k?X-Amz-Signature=secret", {"x-amz-checksum-crc64nvme": "AA=="}, 0, True)
        await lanes.send(make_source(tmp_path, data), Span(0, len(data)), to, blocks(data), CountingMeter())
    assert caught.value.reason in ("SIGNATURE_INVALID", "HUB_UNREACHABLE")
    assert "secret" not in str(caught.value)


async def test_a_range_that_comes_with_a_200_is_a_range(lanes: ByteLanes, tmp_path: Path) -> None:
    blob = random_bytes(3 * MIB)

    def give(request: Request) -> bool:
        request.reply(200, blob[MIB : 2 * MIB], Content_Range=f"bytes {MIB}-{2 * MIB - 1}/{len(blob)}")
        return True

    def lie(request: Request) -> bool:
        request.reply(200, blob[:MIB], Content_Range=f"bytes 0-{MIB - 1}/{len(blob)}")
        return True

    dest = tmp_path / ".x.ferry-part"
    dest.write_bytes(bytes(len(blob)))
    with ByteServer(script=[give, lie]) as server:
        at = UrlLocation(server.url + "/b/k", {}, 0)
        assert await received(lanes, at, Span(MIB, MIB), dest, CountingMeter()) == blocks(blob[MIB : 2 * MIB])
        with pytest.raises(FerryError) as caught:
            await received(lanes, at, Span(MIB, MIB), dest, CountingMeter())
    assert caught.value.reason == "HUB_UNREACHABLE"
