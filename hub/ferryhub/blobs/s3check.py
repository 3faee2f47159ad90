"""Tries an S3 store out before an operator relies on it: rights, kinds of upload, and whether it verifies checksums.

Leaves nothing behind. For `ferryhub storage add` alone.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from botocore.exceptions import ClientError

from ferryhub.blobs.s3client import S3Options, clients, explained

_BODY: Final = b"ferryman"
_CRC: Final = "P0NsBArwEhg="
_WRONG_CRC: Final = "AAAAAAAAAAA="
UNVERIFIED: Final = (
    "this store does not verify CRC-64/NVME: a byte that is damaged on the way is noticed only when it is read"
)


def check(options: S3Options) -> list[str]:
    """Write, list, read and remove a small object; returns what the operator should know. `HUB_OVERLOADED` or
    `IO_ERROR` when something does not work."""
    client, _ = clients(options)
    name = f".ferryhub-check-{uuid.uuid4().hex}"
    at = {"Bucket": options.bucket, "Key": f"{options.prefix}/{name}" if options.prefix else name}
    try:
        with explained(options.bucket):
            verified = not options.checksum or _refuses_damage(client, at)
            client.put_object(**at, Body=_BODY, **({"ChecksumCRC64NVME": _CRC} if options.checksum else {}))
            client.get_object(**at)["Body"].read()
            client.list_objects_v2(Bucket=options.bucket, Prefix=at["Key"])
            client.delete_object(**at)
            upload = client.create_multipart_upload(**at)
            client.abort_multipart_upload(**at, UploadId=upload["UploadId"])
    finally:
        client.close()
    return [] if verified else [UNVERIFIED]


def _refuses_damage(client: Any, at: dict[str, str]) -> bool:
    try:
        client.put_object(**at, Body=_BODY, ChecksumCRC64NVME=_WRONG_CRC)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 400:
            raise
        return True
    return False
