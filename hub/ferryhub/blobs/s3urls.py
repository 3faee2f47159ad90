"""URLs of an S3 store that let a caller put one part, or read one blob, and nothing else. Upload step 8, D7.

Pure but for the time; signing costs a fraction of a millisecond of CPU. Never log a URL made here.
"""

from __future__ import annotations

import base64
import time
from typing import Any, Final

from ferryhub.blobs.locations import UrlLocation
from ferryhub.blobs.s3client import S3Options
from ferryhub.blobs.store import PartPut, StagedFile

_ENCRYPTION_HEADERS: Final = {
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
}


class S3Urls:
    """Signs with a boto3 client. `ttl_s` is how long a URL works."""

    def __init__(self, options: S3Options, signer: Any, ttl_s: int) -> None:
        self._options = options
        self._signer = signer
        self._ttl_s = ttl_s

    def put(self, part: PartPut, at: dict[str, Any]) -> UrlLocation:
        """Where to PUT a part of the object that is `at` Bucket and Key. Its size and checksum are signed too."""
        wanted: dict[str, Any] = {**at, "ContentLength": part.size_bytes}
        headers = {}
        if self._options.checksum:
            wanted["ChecksumCRC64NVME"] = headers["x-amz-checksum-crc64nvme"] = text_of(part.crc64nvme)
        if not is_single(part.file):
            wanted |= {"UploadId": part.file.upload_id, "PartNumber": part.number}
            return self._signed("upload_part", wanted, headers)
        if self._options.checksum and self._options.write_once:
            wanted["IfNoneMatch"] = headers["if-none-match"] = "*"
        wanted |= (chosen := encryption(self._options))
        headers |= {_ENCRYPTION_HEADERS[name]: value for name, value in chosen.items()}
        return self._signed("put_object", wanted, headers)

    def get(self, at: dict[str, Any]) -> UrlLocation:
        """Where to GET an object. The range is not signed."""
        return self._signed("get_object", at, {})

    def _signed(self, method: str, wanted: dict[str, Any], headers: dict[str, str]) -> UrlLocation:
        url = self._signer.generate_presigned_url(method, Params=wanted, ExpiresIn=self._ttl_s)
        return UrlLocation(url, int(time.time()) + self._ttl_s, headers, report=method != "get_object")


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
