"""Whose names below a bucket's prefix are: two catalogues must not share them, for the sweep of each would remove what
only the other one knows. A small object says which catalogue it is. For `ferryhub storage add` alone.
"""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import ClientError

from ferryhub.blobs.s3client import S3Options, clients, code_of, explained
from ferryhub.blobs.s3urls import encryption
from ferryhub.blobs.store import is_blob_key
from ferrywire.reasons import FerryError

#: Below the prefix. No sweep touches it.
MARK: Final = ".ferryhub-owner"
#: So many names are looked at to find a hub that was here before there was a mark.
_NAMES: Final = 1000
_TAKEN_MEANWHILE: Final = ("PreconditionFailed", "ConditionalRequestConflict", "412")


def claim(options: S3Options, owner: str) -> None:
    """Mark the names as this catalogue's, unless they are already. Error: `NAME_TAKEN` when they are another's."""
    client, _, _ = clients(options)
    prefix = f"{options.prefix}/" if options.prefix else ""
    at = {"Bucket": options.bucket, "Key": prefix + MARK}
    try:
        with explained(options.bucket):
            found = _read(client, at)
            if not found:
                if _bytes_of_a_hub(client, options.bucket, prefix):
                    raise _taken(options.bucket, prefix, "or --no-check when it is this hub")
                _write(client, options, at, owner)
                found = _read(client, at)
            if found != owner:
                raise _taken(options.bucket, prefix, f"or remove {prefix + MARK} when that hub is no more")
    finally:
        client.close()


def _read(client: Any, at: dict[str, str]) -> str:
    try:
        body: bytes = client.get_object(**at)["Body"].read()
    except ClientError as error:
        if code_of(error) not in ("NoSuchKey", "404", "NotFound"):
            raise
        return ""
    return body.decode("ascii", "replace").strip()


def _write(client: Any, options: S3Options, at: dict[str, str], owner: str) -> None:
    once = {"IfNoneMatch": "*"} if options.write_once else {}
    try:
        client.put_object(**at, **encryption(options), **once, Body=f"{owner}\n".encode())
    except ClientError as error:
        if code_of(error) not in _TAKEN_MEANWHILE:
            raise


def _bytes_of_a_hub(client: Any, bucket: str, prefix: str) -> bool:
    found = client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=_NAMES).get("Contents", ())
    return any(is_blob_key(each["Key"].removeprefix(prefix)) for each in found)


def _taken(bucket: str, prefix: str, otherwise: str) -> FerryError:
    message = (
        f"another hub keeps bytes in bucket '{bucket}' below '{prefix}', and each would remove those of the other: "
        f"choose another --prefix, {otherwise}"
    )
    return FerryError("NAME_TAKEN", message, name=bucket)
