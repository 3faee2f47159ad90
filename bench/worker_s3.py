"""Peers that are libraries: `worker_s3.py boto3|crt|obstore up|down ENDPOINT BUCKET KEY PATH`.

Keys of the store come from the environment. A key that ends in "/" is a directory of objects. Options are those the
projects' own documents give for speed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

MIB = 1 << 20
REGION = "us-east-1"
AT_ONCE = 32
#: (key, file) of everything that moves.
Pairs = list[tuple[str, Path]]


def with_boto3(direction: str, endpoint: str, bucket: str, pairs: Pairs) -> None:
    import boto3
    from boto3.s3.transfer import TransferConfig
    from botocore.config import Config

    config = Config(s3={"addressing_style": "path"}, max_pool_connections=AT_ONCE)
    client = boto3.client("s3", endpoint_url=endpoint, region_name=REGION, config=config)
    chosen = TransferConfig(
        multipart_threshold=64 * MIB,
        multipart_chunksize=64 * MIB,
        max_concurrency=4,
        use_threads=len(pairs) == 1,
        preferred_transfer_client="classic",
    )

    def move(pair: tuple[str, Path]) -> None:
        if direction == "up":
            client.upload_file(str(pair[1]), bucket, pair[0], Config=chosen)
        else:
            client.download_file(bucket, pair[0], str(pair[1]), Config=chosen)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(move, pairs))


def with_crt(direction: str, endpoint: str, bucket: str, pairs: Pairs) -> None:
    import botocore.session
    from awscrt.auth import AwsCredentialsProvider
    from botocore.config import Config
    from s3transfer.crt import BotocoreCRTRequestSerializer, CRTTransferManager, create_s3_crt_client

    keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    credentials = AwsCredentialsProvider.new_static(*keys)
    client = create_s3_crt_client(REGION, credentials, use_ssl=False)
    wanted = {"endpoint_url": endpoint, "region_name": REGION, "config": Config(s3={"addressing_style": "path"})}
    serializer = BotocoreCRTRequestSerializer(botocore.session.get_session(), wanted)
    with CRTTransferManager(client, serializer) as manager:
        if direction == "up":
            futures = [manager.upload(str(path), bucket, key) for key, path in pairs]
        else:
            futures = [manager.download(bucket, key, str(path)) for key, path in pairs]
        for future in futures:
            future.result()


def with_obstore(direction: str, endpoint: str, bucket: str, pairs: Pairs) -> None:
    import obstore
    from obstore.store import S3Store

    store: Any = S3Store(bucket, endpoint=endpoint, region=REGION, client_options={"allow_http": True})

    async def move(turn: asyncio.Semaphore, key: str, path: Path) -> None:
        async with turn:
            if direction == "up":
                await obstore.put_async(store, key, path)
                return
            answer = await obstore.get_async(store, key)
            with path.open("wb") as file:
                async for piece in answer.stream(min_chunk_size=MIB):
                    file.write(piece)

    async def move_all() -> None:
        turn = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(move(turn, *pair) for pair in pairs))

    asyncio.run(move_all())


def pairs_up(key: str, path: Path) -> Iterator[tuple[str, Path]]:
    if not path.is_dir():
        yield key, path
        return
    for top, _, names in os.walk(path):
        for name in names:
            file = Path(top) / name
            yield key + file.relative_to(path).as_posix(), file


def pairs_down(endpoint: str, bucket: str, key: str, path: Path) -> Iterator[tuple[str, Path]]:
    """Everything below the key, found as any program of theirs would, by listing."""
    path.mkdir(parents=True, exist_ok=True)
    if not key.endswith("/"):
        yield key, path / key.rpartition("/")[2]
        return
    import boto3

    pages = boto3.client("s3", endpoint_url=endpoint, region_name=REGION).get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=bucket, Prefix=key):
        for found in page.get("Contents", ()):
            file = path / found["Key"].removeprefix(key)
            file.parent.mkdir(parents=True, exist_ok=True)
            yield found["Key"], file


def main(kind: str, direction: str, endpoint: str, bucket: str, key: str, path: str) -> None:
    move = {"boto3": with_boto3, "crt": with_crt, "obstore": with_obstore}[kind]
    found = pairs_up(key, Path(path)) if direction == "up" else pairs_down(endpoint, bucket, key, Path(path))
    move(direction, endpoint, bucket, list(found))
    os._exit(0)  # obstore's threads abort a Python that ends in the usual way


if __name__ == "__main__":
    main(*sys.argv[1:])
