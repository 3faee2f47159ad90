"""What a location's options make of URLs and headers. Nothing is sent anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from ferryhub.blobs.locations import UrlLocation
from ferryhub.blobs.s3 import S3BlobStore
from ferryhub.blobs.s3client import S3Options
from ferryhub.blobs.store import PartPut, StagedFile
from ferrywire.ids import new_id
from ferrywire.parts import MIB

CRC = b"\x01\x02\x03\x04\x05\x06\x07\x08"
OPTIONS = S3Options("lake", endpoint="https://s3.example.org:9000", prefix="a/b")
SINGLE = StagedFile(new_id("upl"), 0, MIB, 64 * MIB)
SEVERAL = StagedFile(new_id("upl"), 7, 100 * MIB, 64 * MIB, "the-upload")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-itself")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    yield


def put_url(options: S3Options, file: StagedFile, number: int = 1, size: int = MIB) -> UrlLocation:
    store = S3BlobStore(options, 600)
    (to,) = store.put_urls([PartPut(file, number, size, CRC)])
    store.close()
    assert "the-secret-itself" not in to.url
    return to


def signed(to: UrlLocation) -> set[str]:
    return set(parse_qs(urlsplit(to.url).query)["X-Amz-SignedHeaders"][0].split(";"))


def test_a_file_of_one_part_goes_to_its_final_key() -> None:
    to = put_url(OPTIONS, SINGLE)
    assert to.url.startswith(f"https://s3.example.org:9000/lake/a/b/{SINGLE.key}-{CRC.hex()}?X-Amz-")
    assert signed(to) == {"content-length", "host", "if-none-match", "x-amz-checksum-crc64nvme"}
    assert to.headers == {"x-amz-checksum-crc64nvme": base64.b64encode(CRC).decode(), "if-none-match": "*"}
    assert to.report


def test_a_part_names_its_upload_and_number() -> None:
    query = parse_qs(urlsplit(put_url(OPTIONS, SEVERAL, 2, 36 * MIB).url).query)
    assert (query["uploadId"], query["partNumber"]) == (["the-upload"], ["2"])
    assert query["X-Amz-Expires"] == ["600"]


def test_virtual_hosts() -> None:
    parts = urlsplit(put_url(replace(OPTIONS, addressing="virtual"), SINGLE).url)
    assert (parts.hostname, parts.port) == ("lake.s3.example.org", 9000)
    assert parts.path == f"/a/b/{SINGLE.key}-{CRC.hex()}"


def test_aws_itself_by_region() -> None:
    options = S3Options("lake", region="eu-central-1", addressing="virtual")
    assert urlsplit(put_url(options, SINGLE).url).hostname == "lake.s3.eu-central-1.amazonaws.com"


def test_users_get_the_public_endpoint() -> None:
    to = put_url(replace(OPTIONS, endpoint="http://seaweed:8333", public_endpoint="https://data.example.org"), SINGLE)
    assert to.url.startswith("https://data.example.org/lake/")


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        ({"sse": "AES256"}, {"x-amz-server-side-encryption": "AES256"}),
        (
            {"sse": "aws:kms", "kms_key": "key-1"},
            {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "key-1"},
        ),
    ],
)
def test_encryption_is_asked_for_where_an_object_begins(options: dict[str, str], headers: dict[str, str]) -> None:
    to = put_url(replace(OPTIONS, **options), SINGLE)
    assert headers.items() <= to.headers.items()
    assert headers.keys() <= signed(to)
    assert put_url(replace(OPTIONS, **options), SEVERAL).headers.keys() == {"x-amz-checksum-crc64nvme"}


def test_a_store_without_the_checksum_is_asked_for_none() -> None:
    to = put_url(replace(OPTIONS, checksum=""), SINGLE)
    assert (to.headers, signed(to)) == ({}, {"content-length", "host"})
    assert urlsplit(to.url).path == f"/lake/a/b/{SINGLE.key}"


def test_a_store_that_knows_no_conditions_is_asked_for_none() -> None:
    assert "if-none-match" not in signed(put_url(replace(OPTIONS, write_once=False), SINGLE))


def test_several_parts_are_not_conditional_and_have_a_name_before_their_bytes_are_known() -> None:
    to = put_url(OPTIONS, SEVERAL)
    assert "if-none-match" not in to.headers
    assert urlsplit(to.url).path == f"/lake/a/b/{SEVERAL.key}"


def test_temporary_credentials_come_with_their_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session")
    assert parse_qs(urlsplit(put_url(OPTIONS, SINGLE).url).query)["X-Amz-Security-Token"] == ["a-session"]


def test_reading_signs_no_range_and_needs_no_report() -> None:
    store = S3BlobStore(OPTIONS, 600)
    (at,) = store.get_urls([SINGLE.key])
    store.close()
    assert signed(at) == {"host"}
    assert (at.headers, at.report) == ({}, False)
