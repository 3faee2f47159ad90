"""Builds the hub's byte side from its parts, for the composition root: uploads, downloads, endpoint and sweep.

All upload steps of the hub meet here; nothing is decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ferryhub.blobs.direct import DirectPlace
from ferryhub.blobs.downloads import Downloads
from ferryhub.blobs.endpoint import ByteEndpoint
from ferryhub.blobs.gate import PartGate
from ferryhub.blobs.localfs import LocalBlobStore
from ferryhub.blobs.places import Place, Places, closing
from ferryhub.blobs.receive import PartReceiver
from ferryhub.blobs.served import ServedPlace
from ferryhub.blobs.signing import UrlIssuer, UrlSigner
from ferryhub.blobs.sweep import GRACE_S, Sweeper
from ferryhub.blobs.threads import StoreThreads
from ferryhub.blobs.together import waited_for
from ferryhub.blobs.uploads import Uploads
from ferryhub.catalogue.clock import now_us as system_now_us
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.locations import StorageLocation
from ferryhub.catalogue.sessions import Terms
from ferrywire.reasons import FerryError

#: Calls of a store that wait for the network.
_DIRECT_THREADS: Final = 16


@dataclass(frozen=True, slots=True)
class BlobOptions:
    """How the hub keeps bytes; the fields of `HubSettings` that concern them."""

    root: Path
    url_secret: bytes
    local_files: bool = False
    session_ttl_s: float = 7 * 24 * 3600
    url_ttl_s: float = 3600
    default_quota_bytes: int = 1 << 50
    sweep_interval_s: float = 600
    sweep_grace_s: float = GRACE_S


@dataclass(frozen=True, slots=True)
class BlobService:
    """The hub's byte side."""

    uploads: Uploads
    downloads: Downloads
    #: The ASGI application for paths below `/blobs/`.
    endpoint: ByteEndpoint
    #: Its `run()` is the composition root's to keep as a task.
    sweeper: Sweeper
    places: Places


@asynccontextmanager
async def open_blobs(
    database: Database, options: BlobOptions, now_us: Callable[[], int] = system_now_us
) -> AsyncIterator[BlobService]:
    """The byte side; at the end its threads are waited for."""
    store = await asyncio.to_thread(LocalBlobStore, options.root)
    gate, signer, threads = PartGate(), UrlSigner(options.url_secret), StoreThreads()
    urls = UrlIssuer(signer, options.url_ttl_s, now_us)
    terms = Terms(int(options.session_ttl_s * 1e6), options.default_quota_bytes)
    local_files = store if options.local_files else None
    own = ServedPlace(database, store, threads=threads, gate=gate, urls=urls, local_files=local_files)
    places = Places(database, own, lambda location: _direct(database, location, options))
    async with closing(places), waited_for() as tasks:
        receiver = PartReceiver(
            database, store, threads=threads, gate=gate, now_us=now_us, ttl_us=terms.ttl_us, tasks=tasks
        )
        yield BlobService(
            Uploads(database, places, gate=gate, terms=terms, now_us=now_us),
            Downloads(database, places),
            ByteEndpoint(receiver, store, signer=signer, threads=threads, now_us=now_us),
            Sweeper(
                database,
                places,
                gate=gate,
                now_us=now_us,
                interval_s=options.sweep_interval_s,
                grace_s=options.sweep_grace_s,
            ),
            places,
        )


def _direct(database: Database, location: StorageLocation, options: BlobOptions) -> Place:
    try:
        # Half a second to import, for those alone who use it.
        from ferryhub.blobs.s3 import S3BlobStore
        from ferryhub.blobs.s3client import S3Options
    except ModuleNotFoundError as missing:
        message = (
            f"the storage location '{location.name}' needs {missing.name}: run pip install \"/path/to/ferryman[s3]\""
        )
        raise FerryError("UNIMPLEMENTED", message) from missing
    store = S3BlobStore(S3Options.of(location.options), options.url_ttl_s)
    return DirectPlace(database, store, threads=StoreThreads(_DIRECT_THREADS), rules=location.rules)
