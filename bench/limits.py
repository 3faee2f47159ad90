"""What the S3 store leaves room for: PUTs and GETs of the same bytes by the least code there is, beside everybody else.

Signed before anything is measured. Those that are safe hash every byte; the store verifies what they put, and what they
get is durable. Multipart uploads are completed when their time is over. It is no peer: with a request for
each file, or part, we know of no less that anybody could do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from awscrt.checksums import crc64nvme
from botocore.config import Config
from botocore.credentials import Credentials
from contenders import LIMIT, Program, worker
from loads import MIB, Load

from ferryhub.blobs.s3sign import Presigner
from ferryhub.blobs.s3urls import text_of

_PART_BYTES, _LANES, _SMALL_LANES = 64 * MIB, 4, 32
_TTL_S = 3600


def s3(endpoint: str, bucket: str, env: Mapping[str, str], root: Path, servers: Sequence[int]) -> Iterator[Program]:
    """`env` has the keys; plans are written to `root`."""
    keys = Credentials(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        config=config,
    )
    signer = Presigner(client, keys, bucket)
    place = urlsplit(client.meta.endpoint_url)

    def command(way: str, how: str, lanes: int, todo: Sequence[object]) -> list[str]:
        plan = root / f"plan-{way}-{how}.json"
        plan.write_text(json.dumps(todo))
        return [*worker("bare"), str(place.hostname), str(place.port), str(lanes), str(plan), way, how]

    for name, safe in ((f"{LIMIT} sockets", False), (f"{LIMIT} sockets, safe", True)):
        how = "safe" if safe else "plain"

        def send(load: Load, key: str, *, safe: bool = safe, how: str = how) -> list[str]:
            of = _files if load.many else _parts
            puts = [_put(signer, *one, verified=safe) for one in of(client, bucket, load, key)]
            return command("put", how, _SMALL_LANES if load.many else _LANES, puts)

        def fetch(load: Load, key: str, dest: Path, *, how: str = how) -> list[str]:
            if not load.many:
                _complete(client, bucket, key)
                url = _signed_get(signer, key)
                return command("get", how, _LANES, [_range(url, dest / load.root.name, *span) for span in _spans(load)])
            gets = [
                [_signed_get(signer, f"{key}{n}"), {}, str(dest / file.relative_to(load.root)), 0, 0]
                for n, file in enumerate(load.files)
            ]
            return command("get", how, _SMALL_LANES, gets)

        yield Program(name, send, fetch, servers=servers)


def _files(client: Any, bucket: str, load: Load, key: str) -> Iterator[tuple[str, dict[str, str], Path, int, int]]:
    for number, file in enumerate(load.files):
        yield f"{key}{number}", {}, file, 0, file.stat().st_size


def _parts(client: Any, bucket: str, load: Load, key: str) -> Iterator[tuple[str, dict[str, str], Path, int, int]]:
    upload = client.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm="CRC64NVME")["UploadId"]
    for number, (offset, size) in enumerate(_spans(load), 1):
        yield key, {"uploadId": upload, "partNumber": str(number)}, load.root, offset, size


def _spans(load: Load) -> Iterator[tuple[int, int]]:
    for offset in range(0, load.size_bytes, _PART_BYTES):
        yield offset, min(_PART_BYTES, load.size_bytes - offset)


def _complete(client: Any, bucket: str, key: str) -> None:
    (upload,) = client.list_multipart_uploads(Bucket=bucket, Prefix=key)["Uploads"]
    found = client.list_parts(Bucket=bucket, Key=key, UploadId=upload["UploadId"])["Parts"]
    parts = [{name: part[name] for name in ("PartNumber", "ETag")} for part in found]
    client.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload["UploadId"], MultipartUpload={"Parts": parts}
    )


def _put(
    signer: Presigner, key: str, query: dict[str, str], path: Path, offset: int, size: int, *, verified: bool
) -> list[object]:
    """As the worker takes it. A file of one part is written once, as ours are."""
    headers = {}
    if verified:
        headers["x-amz-checksum-crc64nvme"] = text_of(_crc(path, offset, size))
        headers |= {} if query else {"if-none-match": "*"}
    signed = {**headers, "content-length": str(size)}
    url = urlsplit(signer.url("PUT", key, ttl_s=_TTL_S, query=query, headers=signed))
    return [f"{url.path}?{url.query}", headers, str(path), offset, size]


def _signed_get(signer: Presigner, key: str) -> str:
    url = urlsplit(signer.url("GET", key, ttl_s=_TTL_S))
    return f"{url.path}?{url.query}"


def _range(target: str, dest: Path, offset: int, size: int) -> list[object]:
    return [target, {"range": f"bytes={offset}-{offset + size - 1}"}, str(dest), offset, size]


def _crc(path: Path, offset: int, size: int) -> bytes:
    crc = 0
    with path.open("rb") as file:
        file.seek(offset)
        while size:
            crc = crc64nvme(more := file.read(min(MIB, size)), crc)
            size -= len(more)
    return crc.to_bytes(8, "big")
