"""Tries an S3 store out before an operator relies on it: rights, kinds of upload, and what it verifies and refuses.

Leaves nothing behind. For `ferryhub storage add` alone.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from botocore.exceptions import ClientError

from ferryhub.blobs.s3client import S3Options, clients, explained
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


def check(options: S3Options) -> list[str]:
    """Write, list, read and remove a small object; returns what the operator should know. `HUB_OVERLOADED` or
    `IO_ERROR` when something does not work."""
    client, _ = clients(options)
    name = f".ferryhub-check-{uuid.uuid4().hex}"
    at = {"Bucket": options.bucket, "Key": f"{options.prefix}/{name}" if options.prefix else name}
    try:
        with explained(options.bucket):
            try:
                return _tried(client, options, at)
            finally:
                client.delete_object(**at)
    finally:
        client.close()


def _tried(client: Any, options: S3Options, at: dict[str, str]) -> list[str]:
    begun = {**at, **encryption(options)}
    verified = not options.checksum or _refuses(client, 400, **begun, Body=_BODY, ChecksumCRC64NVME=_WRONG_CRC)
    known = {"ChecksumCRC64NVME": _CRC} if options.checksum else {}
    client.put_object(**begun, Body=_BODY, **known)
    once = options.checksum and options.write_once
    kept = not once or _refuses(client, 412, **begun, Body=_BODY, **known, IfNoneMatch="*")
    client.get_object(**at)["Body"].read()
    client.list_objects_v2(Bucket=options.bucket, Prefix=at["Key"])
    client.delete_object(**at)
    upload = client.create_multipart_upload(**begun)
    client.abort_multipart_upload(**at, UploadId=upload["UploadId"])
    return [note for note, fine in ((UNVERIFIED, verified), (REPLACEABLE, kept)) if not fine]


def _refuses(client: Any, status: int, **put: Any) -> bool:
    try:
        client.put_object(**put)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != status:
            raise
        return True
    return False
