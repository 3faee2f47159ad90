"""The blob contract on real S3 stores, and what only those can show."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from awscrt.checksums import crc64nvme

from ferryhub.blobs.crc64 import joined
from ferryhub.blobs.locations import UrlLocation
from ferryhub.blobs.s3 import S3BlobStore
from ferryhub.blobs.s3client import S3Options
from ferryhub.blobs.store import Gap, PartPut, StagedFile
from ferrywire.parts import MIB, part_count, part_span
from ferrywire.reasons import FerryError
from tests.contract.blob_store_suite import BlobStoreSuite, Rig, content
from tests.support.proxy import Proxy
from tests.support.s3 import S3Server
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

PART = 5 * MIB


def crc(data: bytes) -> bytes:
    return int(crc64nvme(data)).to_bytes(8, "big")


def send(
    to: UrlLocation, body: bytes, *, headers: Mapping[str, str] | None = None, tls: ssl.SSLContext | bool = True
) -> tuple[int, str]:
    """PUT to a signed URL; the status and, for an error, what the store calls it."""
    given = to.headers if headers is None else headers
    answer = httpx.put(to.url, content=body, headers=given, timeout=20, verify=tls)
    return answer.status_code, answer.text.partition("<Code>")[2].partition("</Code>")[0]


def fetch(at: UrlLocation, first: int, last: int) -> bytes:
    answer = httpx.get(at.url, headers={"Range": f"bytes={first}-{last}"}, timeout=20)
    assert answer.status_code in (200, 206)  # rclone's is 200, with the range's header all the same
    assert answer.headers["content-range"].startswith(f"bytes {first}-{last}/")
    return answer.content


class S3Rig(Rig):
    """Sends parts as a daemon does, and remembers upload ids as the catalogue does."""

    part = PART

    def __init__(self, server: S3Server, **options: Any) -> None:
        self.server = server
        self.options = S3Options(server.bucket(), endpoint=server.endpoint, prefix="some/where", **options)
        self.upload_ids: dict[str, str] = {}
        self.crcs: dict[str, bytes] = {}
        self.url_ttl_s = 60.0
        self.tls: ssl.SSLContext | bool = True
        self._stores: dict[tuple[S3Options, float], S3BlobStore] = {}

    def store(self) -> S3BlobStore:
        """One for all: it holds nothing but connections, and takes a fifth of a second to make."""
        key = (self.options, self.url_ttl_s)
        if key not in self._stores:
            self._stores[key] = S3BlobStore(self.options, self.url_ttl_s)
        return self._stores[key]

    def close(self) -> None:
        for store in self._stores.values():
            store.close()

    def known(self, file: StagedFile) -> StagedFile:
        return replace(file, upload_id=self.upload_ids.get(file.key, ""), crc64nvme=self.crcs.get(file.key, b""))

    def location(self, file: StagedFile, data: bytes, number: int) -> tuple[UrlLocation, bytes]:
        if file.size_bytes > file.part_bytes and file.key not in self.upload_ids:
            self.upload_ids[file.key] = self.store().begin(file)
        offset, length = part_span(file.size_bytes, file.part_bytes, number)
        piece = data[offset : offset + length]
        (to,) = self.store().put_urls([PartPut(self.known(file), number, length, crc(piece))])
        return to, piece

    def next_moment(self) -> None:
        second = int(time.time())
        wait_for(lambda: time.time() > second + 1, what="the next second")

    def put(self, file: StagedFile, data: bytes, number: int) -> None:
        to, piece = self.location(file, data, number)
        status = send(to, piece, tls=self.tls)
        # As the daemon has it: a name that may be written only once, and is taken, holds the part.
        assert status == (200, "") or (status == (412, "PreconditionFailed") and to.headers["if-none-match"] == "*")
        if file.size_bytes <= file.part_bytes:
            self.crcs[file.key] = crc(piece)


class S3Suite(BlobStoreSuite):
    """What both stores must show beside the contract."""

    def test_urls_read_any_range(self, rig: S3Rig) -> None:
        file = rig.new(PART + 5)
        data = content(file.size_bytes)
        rig.put_all(file, data)
        rig.publish(file)
        (at,) = rig.store().get_urls([rig.key(file)])
        assert [fetch(at, 0, 9), fetch(at, PART - 1, PART + 4)] == [data[:10], data[PART - 1 :]]

    def test_a_part_that_is_missing_is_named(self, rig: S3Rig) -> None:
        file = rig.new(3 * PART)
        data = content(file.size_bytes)
        rig.put(file, data, 1)
        rig.put(file, data, 2)
        assert rig.publish(file) == [Gap(rig.known(file), (3,))]
        rig.put(file, data, 3)
        assert rig.publish(file) == []

    def test_an_upload_that_the_store_has_lost_is_missing_as_a_whole(self, rig: S3Rig) -> None:
        file = rig.new(2 * PART)
        rig.put_all(file, content(file.size_bytes))
        known = rig.known(file)
        for _ in range(2):
            rig.store().abandon(known)
        assert rig.store().missing([known]) == [known]
        assert rig.publish(file) == [Gap(known)]
        status, code = send(*rig.location(file, content(file.size_bytes), 1))
        assert (status, code) == (404, "NoSuchUpload")

    def test_what_another_replica_completed_is_whole(self, rig: S3Rig) -> None:
        file = rig.new(2 * PART)
        rig.put_all(file, content(file.size_bytes))
        known = rig.known(file)
        assert rig.store().publish([known]) == []
        assert rig.store()._find_parts(known) == (None, [])
        assert rig.store().missing([known]) == []

    def test_a_url_is_for_one_size_and_one_part(self, rig: S3Rig) -> None:
        file = rig.new(2 * PART)
        to, piece = rig.location(file, content(file.size_bytes), 1)
        other = replace(to, url=to.url.replace("partNumber=1", "partNumber=2"))
        assert send(other, piece)[0] == 403
        assert send(to, piece[:-1])[0] in (400, 403)

    def test_an_expired_url_is_refused(self, rig: S3Rig) -> None:
        rig.url_ttl_s = 1
        file = rig.new(MIB)
        to, piece = rig.location(file, content(MIB), 1)
        time.sleep(max(0.0, to.expires_at + 1.1 - time.time()))
        status, code = send(to, piece)
        assert (status in (400, 403), code) == (True, "AccessDenied")
        assert rig.server.keys(rig.options.bucket) == {}

    def test_keys_have_the_prefix_and_foreign_ones_are_left_out(self, rig: S3Rig) -> None:
        file = rig.new(MIB)
        rig.put_all(file, content(MIB))
        rig.server.client().put_object(Bucket=rig.options.bucket, Key="some/where/else.txt", Body=b"x")
        rig.server.client().put_object(Bucket=rig.options.bucket, Key=f"other/{file.key}", Body=b"x")
        assert [stored.name for stored in rig.store().blobs()] == [rig.key(file)]
        assert f"some/where/{rig.key(file)}" in rig.server.keys(rig.options.bucket)

    def test_a_bucket_that_is_not_there_is_the_operators_to_mend(self, rig: S3Rig) -> None:
        rig.options = replace(rig.options, bucket="no-such-bucket")
        with pytest.raises(FerryError) as caught:
            rig.store().blobs_of(rig.new(1).session_id)
        assert (caught.value.reason, caught.value.retryable) == ("HUB_OVERLOADED", True)
        assert "NoSuchBucket" in caught.value.message


class TestSeaweedFS(S3Suite):
    @pytest.fixture
    def rig(self, weed_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
        yield from _rig(weed_server, monkeypatch)

    @pytest.mark.parametrize("size", [MIB, 2 * PART])
    def test_a_flipped_byte_is_refused_by_the_store(self, rig: S3Rig, size: int) -> None:
        file, data = rig.new(size), content(size)
        to, piece = rig.location(file, data, 1)
        assert send(to, bytes([piece[0] ^ 1]) + piece[1:]) == (400, "BadDigest")
        assert send(to, piece) == (200, "")

    def test_the_checksum_cannot_be_left_out_or_changed(self, rig: S3Rig) -> None:
        to, piece = rig.location(rig.new(MIB), content(MIB), 1)
        assert send(to, piece, headers={}) == (403, "SignatureDoesNotMatch")
        assert send(to, b"y" * MIB, headers={"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="})[1] == "SignatureDoesNotMatch"

    def test_when_it_cannot_be_told_which_part_is_newer_it_is_sent_again(self, rig: S3Rig) -> None:
        file = rig.new(2 * PART)
        rig.next_moment()
        rig.put(file, content(file.size_bytes, seed=2), 1)
        rig.put_all(file, content(file.size_bytes))
        gaps = rig.publish(file)
        assert gaps in ([], [Gap(rig.known(file), (1,))])  # the second may have changed in between
        if gaps:
            rig.next_moment()
            rig.put(file, content(file.size_bytes), 1)
            assert rig.publish(file) == []
        assert rig.read(file) == content(file.size_bytes)

    def test_the_checksum_of_the_whole_is_the_stores_too(self, rig: S3Rig) -> None:
        file = rig.new(2 * PART + 7)
        data = content(file.size_bytes)
        rig.put_all(file, data)
        pieces = [data[at : at + PART] for at in range(0, len(data), PART)]
        whole = joined((crc(piece), len(piece)) for piece in pieces)
        assert whole == crc(data)
        assert rig.store().publish([replace(rig.known(file), crc64nvme=whole)]) == []
        assert rig.read(file) == data

    def test_parts_that_do_not_give_the_checksum_of_the_whole_are_sent_again(self, rig: S3Rig) -> None:
        file = rig.new(2 * PART)
        rig.put_all(file, content(file.size_bytes))
        wrong = replace(rig.known(file), crc64nvme=bytes(8))
        assert rig.store().publish([wrong]) == [Gap(wrong)]
        assert rig.server.keys(rig.options.bucket) == {}
        assert rig.store().missing([wrong]) == [wrong]


class TestRclone(S3Suite):
    @pytest.fixture
    def rig(self, rclone_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
        for rig in _rig(rclone_server, monkeypatch):
            # It streams parts on as they come.
            rig.replaces_parts = False
            yield rig


def _rig(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Rig]:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    rig = S3Rig(server)
    try:
        yield rig
    finally:
        rig.close()


def test_ten_thousand_parts_make_a_file_of_five_tebibytes() -> None:
    from ferryhub.catalogue.manifest import MAX_FILE_BYTES
    from ferrywire.parts import DEFAULT_PART_BYTES, part_size

    size = 5 << 40
    part = part_size(size, DEFAULT_PART_BYTES)
    assert part_count(size, part) <= 10_000
    assert part % MIB == 0
    assert part <= 5 << 30
    assert sum(part_span(size, part, number)[1] for number in range(1, part_count(size, part) + 1)) == size
    assert size < MAX_FILE_BYTES


def test_a_store_that_cannot_be_reached_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}.items():
        monkeypatch.setenv(name, value)
    with Proxy("127.0.0.1", 9) as nobody:
        nobody.refusing = True
        store = S3BlobStore(S3Options("b", endpoint=nobody.url), 60)
        with pytest.raises(FerryError) as caught:
            list(store.blobs())
        store.close()
    assert (caught.value.reason, caught.value.retryable) == ("HUB_OVERLOADED", True)


def test_without_credentials_the_operator_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store = S3BlobStore(S3Options("b", endpoint="http://127.0.0.1:9"), 60)
    with pytest.raises(FerryError, match="NoCredentials"):
        store.get_urls(["01JD0000000000000000000000-0"])
    store.close()
