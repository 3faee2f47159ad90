"""Our signatures are those that botocore makes of the same request: of any key, header, credential and address."""

from __future__ import annotations

import calendar
import time
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import NoCredentialsError
from hypothesis import given, settings
from hypothesis import strategies as st

from ferryhub.blobs.s3sign import Presigner

_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)
_WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
#: (endpoint, addressing, bucket, region).
ADDRESSES = [
    ("", "path", "lake", "us-east-1"),
    ("", "virtual", "lake", "eu-central-1"),
    ("", "virtual", "lake", "cn-north-1"),
    ("", "virtual", "la.ke", "eu-central-1"),
    ("http://127.0.0.1:8333", "path", "lake", "us-east-1"),
    ("http://[::1]:8333", "path", "lake", "us-east-1"),
    ("http://store:80/below/it", "path", "lake", "us-east-1"),
    ("https://s3.example.org:443", "virtual", "lake", "here"),
    ("https://s3.example.org:9000/", "virtual", "lake", "here"),
]


@cache
def rig(address: tuple[str, str, str, str], keys: tuple[str, ...]) -> tuple[Any, Presigner]:
    endpoint, addressing, bucket, region = address
    session = boto3.Session(*keys, region_name=region)
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": addressing},
        request_checksum_calculation="when_required",
    )
    client = session.client("s3", endpoint_url=endpoint or None, config=config)
    return client, Presigner(client, session.get_credentials(), bucket)


def taken_apart(url: str) -> tuple[str, str, str, dict[str, str]]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc, parts.path, dict(parse_qsl(parts.query, strict_parsing=True))


def at_of(url: str) -> int:
    return calendar.timegm(time.strptime(taken_apart(url)[3]["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))


#: Access key, secret key, and the token of temporary ones.
KEYS = ("AKIAEXAMPLE", "se/c+ret=")
ALL_KEYS = [KEYS, ("AKIA/EXAMPLE", "s%20 ü"), (*KEYS, "tok/en+=="), (*KEYS, "a token ü")]


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_address_is_botocores(address: tuple[str, str, str, str]) -> None:
    client, ours = rig(address, KEYS)
    theirs = client.generate_presigned_url("get_object", Params={"Bucket": address[2], "Key": "a/b c"}, ExpiresIn=60)
    assert taken_apart(ours.url("GET", "a/b c", ttl_s=60, at=at_of(theirs))) == taken_apart(theirs)


@settings(max_examples=40, deadline=None)
@given(
    key=_TEXT,
    keys=st.sampled_from(ALL_KEYS),
    ttl_s=st.integers(1, 604_800),
    crc=_WORD,
    conditional=st.booleans(),
)
def test_one_part_is_signed_as_botocore_does(
    key: str, keys: tuple[str, ...], ttl_s: int, crc: str, conditional: bool
) -> None:
    client, ours = rig(ADDRESSES[4], keys)
    wanted = {"Bucket": "lake", "Key": key, "ContentLength": 7, "ChecksumCRC64NVME": crc, "SSEKMSKeyId": "k 1"}
    headers = {
        "content-length": "7",
        "x-amz-checksum-crc64nvme": crc,
        "x-amz-server-side-encryption-aws-kms-key-id": "k 1",
    }
    if conditional:
        wanted["IfNoneMatch"] = headers["if-none-match"] = "*"
    theirs = client.generate_presigned_url("put_object", Params=wanted, ExpiresIn=ttl_s)
    mine = ours.url("PUT", key, ttl_s=ttl_s, headers=headers, at=at_of(theirs))
    assert taken_apart(mine) == taken_apart(theirs)


@settings(max_examples=20, deadline=None)
@given(upload_id=_TEXT, number=st.integers(1, 10_000))
def test_one_of_several_parts_is_signed_as_botocore_does(upload_id: str, number: int) -> None:
    client, ours = rig(ADDRESSES[4], KEYS)
    wanted = {"Bucket": "lake", "Key": "k", "UploadId": upload_id, "PartNumber": number, "ContentLength": 7}
    theirs = client.generate_presigned_url("upload_part", Params=wanted, ExpiresIn=60)
    query = {"uploadId": upload_id, "partNumber": str(number)}
    mine = ours.url("PUT", "k", ttl_s=60, query=query, headers={"content-length": "7"}, at=at_of(theirs))
    assert taken_apart(mine) == taken_apart(theirs)


def test_credentials_that_were_renewed_are_used() -> None:
    class Renewing:
        secret = "first"

        def get_frozen_credentials(self) -> Any:
            return boto3.Session("AKIA", self.secret).get_credentials().get_frozen_credentials()

    client, _ = rig(ADDRESSES[4], KEYS)
    credentials = Renewing()
    ours = Presigner(client, credentials, "lake")
    first = ours.url("GET", "k", ttl_s=60, at=0)
    credentials.secret = "second"
    assert first == Presigner(client, Renewing(), "lake").url("GET", "k", ttl_s=60, at=0)
    assert first != ours.url("GET", "k", ttl_s=60, at=0)


def test_without_credentials_nothing_is_signed() -> None:
    client, _ = rig(ADDRESSES[4], KEYS)
    with pytest.raises(NoCredentialsError):
        Presigner(client, None, "lake").url("GET", "k", ttl_s=60)
