"""Tries an S3 store out before an operator relies on it: rights, kinds of upload, and what it verifies and refuses.

Leaves nothing behind. For `ferryhub storage add` alone.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Final

from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import URLLib3Session

from ferryhub.blobs.s3client import S3Options, clients, explained
from ferryhub.blobs.s3sign import Presigner
from ferryhub.blobs.s3urls import encryption

_BODY: Final = b"ferryman"
_CRC: Final = "P0NsBArwEhg="
_WRONG_CRC: Final = "AAAAAAAAAAA="
UNVERIFIED: Final = (
    "this store does not verify CRC-64/NVME: a byte that is damaged on the way is noticed only when it is read"
)
REPLACEABLE: Final = (
    "this store does not know If-None-Match: who sent a file of one part can replace its bytes as long as the URL works"
)


UNREACHED: Final = (
    "the public endpoint does not answer here as the store does ({}): unless users reach it, nothing of theirs moves"
)
_PUBLIC_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a store does; None where it was not tried. As text: one line for the operator."""

    verified: bool | None
    once: bool | None
    #: What went wrong at the public endpoint, if it has one; empty: nothing.
    public: str | None

    @property
    def notes(self) -> list[str]:
        """What the operator should know."""
        notes = [UNVERIFIED] if self.verified is False else []
        notes += [REPLACEABLE] if self.once is False else []
        return [*notes, UNREACHED.format(self.public)] if self.public else notes

    def __str__(self) -> str:
        said = [f"checksums {_words(self.verified, 'verified')}", f"write-once {_words(self.once, 'kept')}"]
        said += [] if self.public is None else [f"public endpoint {_words(not self.public, 'reached')}"]
        return ", ".join(said)


def check(options: S3Options) -> Found:
    """Write, list, read and remove a small object. `HUB_OVERLOADED` or `IO_ERROR` when something does not work."""
    client, signer, credentials = clients(options)
    name = f".ferryhub-check-{uuid.uuid4().hex}"
    at = {"Bucket": options.bucket, "Key": f"{options.prefix}/{name}" if options.prefix else name}
    try:
        with explained(options.bucket):
            try:
                public = None if signer is client else Presigner(signer, credentials, options.bucket)
                return _tried(client, public, options, at)
            finally:
                client.delete_object(**at)
    finally:
        client.close()
        signer.close()


def _tried(client: Any, public: Presigner | None, options: S3Options, at: dict[str, str]) -> Found:
    begun = {**at, **encryption(options)}
    verified = _refuses(client, 400, **begun, Body=_BODY, ChecksumCRC64NVME=_WRONG_CRC) if options.checksum else None
    known = {"ChecksumCRC64NVME": _CRC} if options.checksum else {}
    client.put_object(**begun, Body=_BODY, **known)
    once = options.checksum and options.write_once
    kept = _refuses(client, 412, **begun, Body=_BODY, **known, IfNoneMatch="*") if once else None
    client.get_object(**at)["Body"].read()
    problem = None if public is None else _problem(public, options, at["Key"])
    client.list_objects_v2(Bucket=options.bucket, Prefix=at["Key"])
    client.delete_object(**at)
    upload = client.create_multipart_upload(**begun)
    client.abort_multipart_upload(**at, UploadId=upload["UploadId"])
    return Found(verified, kept, problem)


def _problem(public: Presigner, options: S3Options, key: str) -> str:
    """Read the object as users would, at the address that they get. Never says that address: it is signed."""
    url = public.url("GET", key, ttl_s=60)
    session = URLLib3Session(verify=options.ca_bundle or True, timeout=_PUBLIC_TIMEOUT_S)
    try:
        reply = session.send(AWSRequest("GET", url).prepare())
    except BotoCoreError as error:
        return type(error).__name__
    finally:
        session.close()
    if reply.status_code != 200:
        return f"status {reply.status_code}"
    return "" if reply.content == _BODY else "other bytes"


def _words(found: bool | None, good: str) -> str:
    return "not tried" if found is None else good if found else f"not {good}"


def _refuses(client: Any, status: int, **put: Any) -> bool:
    try:
        client.put_object(**put)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != status:
            raise
        return True
    return False
