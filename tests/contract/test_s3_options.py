"""What a location may ask of an S3 store, on a real one: TLS, buckets in the host name, encryption, credentials that
end."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from ferryhub.blobs.s3 import S3BlobStore
from ferryhub.blobs.s3check import check
from ferryhub.blobs.s3client import S3Options
from ferryhub.blobs.store import StagedFile
from ferrywire.parts import MIB
from ferrywire.reasons import FerryError
from tests.contract.blob_store_suite import content
from tests.contract.test_s3_store import PART, S3Rig
from tests.support.s3 import KMS_KEY, S3Server
from tests.support.s3secure import BUCKET, DOMAIN, temporary_credentials

pytestmark = pytest.mark.slow


class SecureRig(S3Rig):
    """Sends to a store whose authority it knows, as a daemon with `SSL_CERT_FILE` does."""

    def __init__(self, server: S3Server, **options: Any) -> None:
        super().__init__(server, **{"ca_bundle": str(server.ca), **options})
        self.tls = ssl.create_default_context(cafile=str(server.ca))

    def head(self, file: StagedFile) -> dict[str, Any]:
        """What the store itself says of a blob."""
        key = f"{self.options.prefix}/{self.key(file)}"
        found: dict[str, Any] = self.server.client().head_object(
            Bucket=self.options.bucket, Key=key, ChecksumMode="ENABLED"
        )
        return found

    def fetch(self, file: StagedFile, first: int, last: int) -> bytes:
        (at,) = self.store().get_urls([self.key(file)])
        answer = httpx.get(at.url, headers={"Range": f"bytes={first}-{last}"}, verify=self.tls, timeout=20)
        assert answer.status_code == 206, answer.text
        return answer.content


@pytest.fixture
def make(secure_weed: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SecureRig]]:
    for name, value in secure_weed.env.items():
        monkeypatch.setenv(name, value)
    made: list[SecureRig] = []

    def make(**options: Any) -> SecureRig:
        rig = SecureRig(secure_weed)
        rig.options = replace(rig.options, **options)
        made.append(rig)
        return rig

    yield make
    for rig in made:
        rig.close()


def moves(rig: SecureRig) -> list[StagedFile]:
    """Bring a file of one part and one of several to the store and look at them from outside."""
    files = [rig.new(MIB), rig.new(PART + 7)]
    for file in files:
        rig.put_all(file, content(file.size_bytes))
        assert rig.publish(file) == []
        assert rig.read(file) == content(file.size_bytes)
        assert rig.fetch(file, MIB - 9, MIB - 1) == content(file.size_bytes)[MIB - 9 : MIB]
    return files


def test_buckets_in_the_host_name(make: Callable[..., SecureRig]) -> None:
    rig = make(bucket=BUCKET, addressing="virtual", prefix="virtual/hosts")
    rig.options = replace(rig.options, endpoint=f"https://{DOMAIN}:{rig.server.port}")
    assert check(rig.options).notes == []
    files = moves(rig)
    (at,) = rig.store().get_urls([rig.key(files[0])])
    assert at.url.startswith(f"https://{BUCKET}.{DOMAIN}:{rig.server.port}/virtual/hosts/")
    kept = rig.server.keys(BUCKET)  # of other tests, too
    assert {f"virtual/hosts/{rig.key(file)}": file.size_bytes for file in files}.items() <= kept.items()


@pytest.mark.parametrize(("sse", "key"), [("AES256", ""), ("aws:kms", KMS_KEY)])
def test_the_store_encrypts_what_it_keeps(make: Callable[..., SecureRig], sse: str, key: str) -> None:
    rig = make(sse=sse, kms_key=key)
    assert check(rig.options).notes == []
    for file in moves(rig):
        head = rig.head(file)
        assert head["ServerSideEncryption"] == sse
        assert bool(head.get("SSEKMSKeyId")) == bool(key)


def test_a_key_that_is_not_there_is_found_out_before_the_store_is_used(make: Callable[..., SecureRig]) -> None:
    with pytest.raises(FerryError):
        check(make(sse="aws:kms", kms_key="no-such-key").options)


def test_who_sends_cannot_leave_out_the_encryption(make: Callable[..., SecureRig]) -> None:
    rig = make(sse="AES256")
    to, piece = rig.location(rig.new(MIB), content(MIB), 1)
    headers = {name: value for name, value in to.headers.items() if "encryption" not in name}
    assert httpx.put(to.url, content=piece, headers=headers, verify=rig.tls).status_code == 403


def test_credentials_that_end_are_renewed(
    make: Callable[..., SecureRig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make(profile="temporary")
    for name, value in temporary_credentials(rig.server, tmp_path).items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    file = rig.new(2 * PART)
    before, piece = rig.location(file, content(file.size_bytes), 1)
    held = rig.store()._signer._request_signer._credentials
    held._time_fetcher = lambda: datetime.now(UTC) + timedelta(minutes=50)
    rig.put(file, content(file.size_bytes), 2)
    held._time_fetcher = lambda: datetime.now(UTC)
    after, _ = rig.location(file, content(file.size_bytes), 1)
    given = (tmp_path / "given").read_text().split()
    assert [key_of(before.url), key_of(after.url)] == given
    assert given[0] != given[1]
    for to in (before, after):  # the older one works for what is left of it
        assert httpx.put(to.url, content=piece, headers=to.headers, verify=rig.tls).status_code == 200
    bare = after.url.replace("X-Amz-Security-Token", "X-Nothing")
    assert httpx.put(bare, content=piece, headers=after.headers, verify=rig.tls).status_code == 403
    assert rig.publish(file) == []
    assert rig.read(file) == content(file.size_bytes)


def key_of(url: str) -> str:
    """Whose signature it is."""
    return parse_qs(urlsplit(url).query)["X-Amz-Credential"][0].partition("/")[0]


def test_a_private_authority_is_trusted_only_when_it_is_named(make: Callable[..., SecureRig]) -> None:
    options = S3Options("any", endpoint=make().server.endpoint)
    stranger = S3BlobStore(options, 60)
    with pytest.raises(FerryError, match="SSLError"):
        list(stranger.blobs())
    stranger.close()
