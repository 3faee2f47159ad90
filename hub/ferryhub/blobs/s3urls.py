"""URLs of an S3 store that let a caller put one part, or read one blob, and nothing else. Upload step 8, D7.

What of a request is signed is said here, how is `s3sign.py`'s. Pure but for the time. Never log a URL made here.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Final

from ferryhub.blobs.locations import UrlLocation
from ferryhub.blobs.s3client import S3Options
from ferryhub.blobs.s3sign import Presigner
from ferryhub.blobs.store import PartPut, StagedFile

_ENCRYPTION_HEADERS: Final = {
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
}


class S3Urls:
    """`ttl_s` is how long a URL works."""

    def __init__(self, options: S3Options, signer: Presigner, ttl_s: int) -> None:
        self._options = options
        self._signer = signer
        self._ttl_s = ttl_s

    def put(self, part: PartPut, key: str) -> UrlLocation:
        """Where to PUT a part of the object with this key. Its size and checksum are signed too."""
        headers = {}
        if self._options.checksum:
            headers["x-amz-checksum-crc64nvme"] = text_of(part.crc64nvme)
        if not is_single(part.file):
            query = {"uploadId": part.file.upload_id, "partNumber": str(part.number)}
            return self._signed("PUT", key, headers, part.size_bytes, query)
        if self._options.checksum and self._options.write_once:
            headers["if-none-match"] = "*"
        headers |= {_ENCRYPTION_HEADERS[name]: value for name, value in encryption(self._options).items()}
        return self._signed("PUT", key, headers, part.size_bytes)

    def get(self, key: str) -> UrlLocation:
        """Where to GET an object. The range is not signed."""
        return self._signed("GET", key, {})

    def _signed(
        self,
        method: str,
        key: str,
        headers: dict[str, str],
        size_bytes: int | None = None,
        query: Mapping[str, str] | None = None,
    ) -> UrlLocation:
        signed = headers if size_bytes is None else {**headers, "content-length": str(size_bytes)}
        url = self._signer.url(method, key, ttl_s=self._ttl_s, query=query, headers=signed)
        return UrlLocation(url, int(time.time()) + self._ttl_s, headers, report=method == "PUT")


def encryption(options: S3Options) -> dict[str, str]:
    """What begins an object so that the store encrypts it as the location asks."""
    chosen = {"ServerSideEncryption": options.sse, "SSEKMSKeyId": options.kms_key}
    return {name: value for name, value in chosen.items() if value}


def is_single(file: StagedFile) -> bool:
    """Whether the file is one part, which makes it one PutObject."""
    return file.size_bytes <= file.part_bytes


def text_of(crc: bytes) -> str:
    """A checksum as S3 writes it."""
    return base64.b64encode(crc).decode()
