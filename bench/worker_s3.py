"""Peers that are libraries: `worker_s3.py boto3|crt|obstore up|down ENDPOINT BUCKET KEY PATH`.

Keys of the store come from the environment. A key that ends in "/" is a directory of objects. Options are what was
quickest here of those that the projects' own documents give: docs/performance.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

MIB = 1 << 20
REGION = "us-east-1"
PART = 64 * MIB
#: Objects at once where there are many, for who does not know better by itself.
AT_ONCE = 32


class Store(Protocol):
    """A bucket."""

    def put(self, key: str, path: Path) -> object: ...

    def get(self, key: str, path: Path) -> object: ...

    def keys(self, prefix: str) -> Iterable[str]: ...


class Boto3:
    at_once = 16

    def __init__(self, endpoint: str, bucket: str, *, many: bool) -> None:
        import boto3
        from boto3.s3.transfer import TransferConfig
        from botocore.config import Config

        config = Config(s3={"addressing_style": "path"}, max_pool_connections=AT_ONCE)
        self._client = boto3.client("s3", endpoint_url=endpoint, region_name=REGION, config=config)
        self._bucket = bucket
        self._chosen = TransferConfig(
            multipart_threshold=PART,
            multipart_chunksize=PART,
            max_concurrency=4,
            use_threads=not many,
            preferred_transfer_client="classic",
        )

    def put(self, key: str, path: Path) -> None:
        self._client.upload_file(str(path), self._bucket, key, Config=self._chosen)

    def get(self, key: str, path: Path) -> None:
        self._client.download_file(self._bucket, key, str(path), Config=self._chosen)

    def keys(self, prefix: str) -> Iterator[str]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            yield from (found["Key"] for found in page.get("Contents", ()))


class Crt:
    """AWS's client in C, without boto3 before it. Nothing is signed but heads, and nothing hashed."""

    at_once = 64

    def __init__(self, endpoint: str, bucket: str, *, many: bool) -> None:
        from awscrt.auth import AwsCredentialsProvider
        from awscrt.s3 import S3Client, S3RequestTlsMode, create_default_s3_signing_config

        keys = AwsCredentialsProvider.new_static(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
        tls = endpoint.startswith("https:")
        self._client = S3Client(
            region=REGION,
            tls_mode=S3RequestTlsMode.ENABLED if tls else S3RequestTlsMode.DISABLED,
            tls_connection_options=self._trust() if tls else None,
            signing_config=create_default_s3_signing_config(region=REGION, credential_provider=keys),
            part_size=PART,
            max_active_connections_override=AT_ONCE if many else 4,
        )
        self._endpoint, self._bucket = endpoint, bucket

    def put(self, key: str, path: Path) -> None:
        self._moved("PUT", key, {"content-length": str(path.stat().st_size)}, send_filepath=str(path))

    def get(self, key: str, path: Path) -> None:
        self._moved("GET", key, {}, recv_filepath=str(path))

    def keys(self, prefix: str) -> Iterable[str]:
        return Boto3(self._endpoint, self._bucket, many=True).keys(prefix)

    def _trust(self) -> object:
        """It does not look into the environment for whom to trust."""
        from awscrt.io import ClientTlsContext, TlsContextOptions

        options = TlsContextOptions()
        options.override_default_trust_store_from_path(ca_filepath=os.environ["SSL_CERT_FILE"])
        return ClientTlsContext(options).new_connection_options()

    def _moved(self, method: str, key: str, headers: dict[str, str], **file: str) -> None:
        from awscrt.http import HttpHeaders, HttpRequest
        from awscrt.s3 import S3RequestType

        kind = S3RequestType.PUT_OBJECT if method == "PUT" else S3RequestType.GET_OBJECT
        head = HttpHeaders([("host", self._endpoint.partition("://")[2]), *headers.items()])
        request = HttpRequest(method, f"/{self._bucket}/{key}", head)
        self._client.make_request(type=kind, request=request, **file).finished_future.result()


class Obstore:
    """Of the Rust crate object_store. Payloads are not signed."""

    at_once = AT_ONCE

    def __init__(self, endpoint: str, bucket: str, *, many: bool) -> None:
        from obstore.store import S3Store

        known = {"endpoint": endpoint, "region": REGION, "client_options": {"allow_http": True}}
        self._store: Any = S3Store(bucket, **known, unsigned_payload=True)

    def put(self, key: str, path: Path) -> None:
        import obstore

        obstore.put(self._store, key, path)

    def get(self, key: str, path: Path) -> None:
        import obstore

        with path.open("wb") as file:
            for piece in obstore.get(self._store, key).stream(min_chunk_size=8 * MIB):
                file.write(piece)

    def keys(self, prefix: str) -> Iterator[str]:
        import obstore

        for page in obstore.list(self._store, prefix.rstrip("/"), chunk_size=1000):
            yield from (found["path"] for found in page)


STORES: dict[str, Any] = {"boto3": Boto3, "crt": Crt, "obstore": Obstore}


def pairs_up(key: str, path: Path) -> Iterator[tuple[str, Path]]:
    if not path.is_dir():
        yield key, path
        return
    for top, _, names in os.walk(path):
        for name in names:
            file = Path(top) / name
            yield key + file.relative_to(path).as_posix(), file


def pairs_down(store: Store, key: str, path: Path) -> Iterator[tuple[str, Path]]:
    """Everything below the key, found as any program of theirs would, by listing."""
    path.mkdir(parents=True, exist_ok=True)
    if not key.endswith("/"):
        yield key, path / key.rpartition("/")[2]
        return
    for found in store.keys(key):
        file = path / found.removeprefix(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        yield found, file


def main(kind: str, direction: str, endpoint: str, bucket: str, key: str, path: str) -> None:
    store = STORES[kind](endpoint, bucket, many=key.endswith("/"))
    move: Callable[[str, Path], object] = store.put if direction == "up" else store.get
    found = pairs_up(key, Path(path)) if direction == "up" else pairs_down(store, key, Path(path))
    with ThreadPoolExecutor(store.at_once) as threads:
        for done in [threads.submit(move, name, file) for name, file in found]:
            done.result()
    os._exit(0)  # obstore's threads abort a Python that ends in the usual way


if __name__ == "__main__":
    main(*sys.argv[1:])
