"""The hub's composition root: builds every object, owns their lifetimes; the CLI and the daemon alone import it.

In a process of its own `ferryhub serve` puts `Hub.asgi` behind a server; the daemon that embeds it uses `Hub.call`.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ferryhub.blobs.service import BlobOptions, BlobService, open_blobs
from ferryhub.catalogue import locations, principals, schema
from ferryhub.catalogue.database import Database, Statistics, sqlite_url
from ferryhub.catalogue.paging import PageSeal
from ferryhub.catalogue.settings import PAGE_SECRET, URL_SECRET
from ferryhub.config import HubSettings
from ferryhub.health import Health
from ferryhub.rpc.access import AccessService
from ferryhub.rpc.asset import AssetService
from ferryhub.rpc.collection import CollectionService
from ferryhub.rpc.content import ContentService
from ferryhub.rpc.direct import Direct
from ferryhub.rpc.identity import Identities
from ferryhub.rpc.project import ProjectService
from ferryhub.rpc.relationship import RelationshipService

if TYPE_CHECKING:
    from ferryhub.auth.options import ProviderOptions
    from ferryhub.rpc.edge import AsgiApp

#: Held by the hub that uses a state directory.
LOCK_NAME: Final = "hub.lock"
#: Where `ferryhub restore` makes a catalogue. It goes last: who finds it has a restore before him that was cut short.
RESTORING_NAME: Final = "restoring"
_log = logging.getLogger(__name__)


def create_hub(settings: HubSettings) -> Hub:
    """A hub that is not started: no file is touched and no event loop needed yet."""
    return Hub(settings)


@asynccontextmanager
async def open_catalogue(settings: HubSettings) -> AsyncIterator[tuple[Database, Mapping[str, bytes]]]:
    """The catalogue with its schema up to date, and the hub's secrets. Closed at the end.

    Error: `RuntimeError` for a state directory that was not restored to the end.
    """
    if (settings.state_dir / RESTORING_NAME).exists():
        raise RuntimeError(f"a restore into {settings.state_dir} was cut short: empty it and restore again")
    database = await asyncio.to_thread(lambda: Database(settings.database_url or sqlite_url(settings.catalogue_path)))
    try:
        secrets = await database.read(schema.secrets_if_current)
        if secrets is None:
            secrets = await database.write(schema.bring_up)
        yield database, secrets
    finally:
        await database.close()


def lock_state_dir(state_dir: Path) -> IO[bytes]:
    """Take a state directory for one hub until the file is closed or the process ends. Error: `RuntimeError`."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = (state_dir / LOCK_NAME).open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise RuntimeError(f"another hub uses {state_dir}; stop it first or choose another directory") from error
    return lock


class Hub:
    """One hub. `start()` it, `call` it or hand out `asgi`, `close()` it, all in one event loop."""

    def __init__(self, settings: HubSettings) -> None:
        self._settings = settings
        self._lifetime = AsyncExitStack()
        self._database: Database | None = None
        self._make_asgi: Callable[[], AsgiApp] | None = None
        self._direct: Direct | None = None
        self._identities: Identities | None = None
        self._health: Health | None = None

    @property
    def call(self) -> Direct:
        """Answers calls of a started hub from inside this process, for users that the caller vouches for."""
        if self._direct is None:
            raise RuntimeError("start the hub before using it")
        return self._direct

    @property
    def asgi(self) -> AsgiApp:
        """The ASGI app of a started hub, for callers from the network."""
        if self._make_asgi is None:
            raise RuntimeError("start the hub before using it")
        return self._make_asgi()

    async def start(self) -> None:
        """Open the catalogue, migrate it when that is due, and start sweeping.

        Error: `RuntimeError` when another hub uses the state directory. On failure everything is closed again.
        """
        async with AsyncExitStack() as stack:
            stack.enter_context(await asyncio.to_thread(lock_state_dir, self._settings.state_dir))
            database, secrets = await stack.enter_async_context(open_catalogue(self._settings))
            self._database, self._identities = database, Identities(database)
            blobs = await stack.enter_async_context(open_blobs(database, self._blob_options(secrets[URL_SECRET])))
            site = await stack.enter_async_context(
                _site(self._settings, database, self._identities, secrets[PAGE_SECRET])
            )
            if self._settings.sweep_interval_s > 0:
                await stack.enter_async_context(_tending(blobs))
            services = self._services(database, blobs, PageSeal(secrets[PAGE_SECRET]))
            await self._warn_of_own_files(database)
            self._health = Health(database, blobs.places)
            self._direct = Direct(services, self._identities)
            self._make_asgi = cache(partial(_edge, services, self._identities, blobs.endpoint, site, self._health))
            self._lifetime = stack.pop_all()

    async def ensure_principal(self, principal_id: str, email: str) -> None:
        """Make a user exist on whose behalf an in-process caller acts, with all scopes. Error: `INVALID_ARGUMENT`."""
        if self._database is None or self._identities is None:
            raise RuntimeError("start the hub before using it")
        await self._database.write(principals.ensure, principal_id, email)
        self._identities.forget_all()

    @property
    def draining(self) -> bool:
        """Whether it was told that it will be closed soon."""
        return self._health is not None and self._health.draining

    def drain(self) -> None:
        """Say at `/readyz` that requests should go elsewhere; they are still answered here until `close`."""
        if self._health is not None:
            self._health.draining = True

    def statistics(self) -> Statistics:
        """What the database had to do since the start."""
        return Statistics() if self._database is None else self._database.statistics()

    async def close(self) -> None:
        """Stop sweeping and close the catalogue. Harmless on a hub that is not started."""
        if self._direct is not None:
            self._direct.close()
        self._make_asgi = self._direct = None
        await self._lifetime.aclose()

    async def _warn_of_own_files(self, database: Database) -> None:
        """Several hubs may share a database; the files of one are seen by that one alone."""
        if self._settings.database_url and await database.read(locations.default_name) == locations.OWN_FILES:
            _log.warning("bytes_on_this_machine dir=%s: with several hubs, use S3", self._settings.blobs_dir)

    def _services(self, database: Database, blobs: BlobService, pages: PageSeal) -> dict[str, object]:
        return {
            "ProjectService": ProjectService(database, pages, quota_bytes=self._settings.default_quota_bytes),
            "CollectionService": CollectionService(database, pages),
            "AssetService": AssetService(database, pages),
            "ContentService": ContentService(database, pages, blobs.uploads, blobs.downloads),
            "RelationshipService": RelationshipService(database, pages),
            "AccessService": AccessService(database, pages),
        }

    def _blob_options(self, url_secret: bytes) -> BlobOptions:
        settings = self._settings
        return BlobOptions(
            root=settings.blobs_dir,
            url_secret=url_secret,
            local_files=settings.local_files,
            session_ttl_s=settings.session_ttl_s,
            url_ttl_s=settings.url_ttl_s,
            default_quota_bytes=settings.default_quota_bytes,
            sweep_interval_s=settings.sweep_interval_s,
            sweep_grace_s=settings.sweep_grace_s,
        )


def _edge(
    services: Mapping[str, object], identities: Identities, blobs: AsgiApp, site: AsgiApp | None, health: Health
) -> AsgiApp:
    # Connect is of no use to an embedded hub, and it takes a tenth of a second to import.
    from ferryhub.rpc.edge import Edge

    return Edge(services, identities, blobs, site=site, problem=health.problem)


@asynccontextmanager
async def _site(
    settings: HubSettings, database: Database, identities: Identities, secret: bytes
) -> AsyncIterator[AsgiApp | None]:
    if not settings.web:
        yield None
        return
    # A third of a second to import, and of no use to an embedded hub.
    from ferryhub.auth.options import AuthOptions
    from ferryhub.web.site import SiteOptions, open_site

    auth = AuthOptions(
        access_ttl_s=settings.access_ttl_s,
        refresh_ttl_s=settings.refresh_ttl_s,
        refresh_grace_s=settings.refresh_grace_s,
        device_ttl_s=settings.device_ttl_s,
        device_interval_s=settings.device_interval_s,
        passwords=settings.passwords,
    )
    options = SiteOptions(auth, hub_secret=secret, public_url=settings.public_url, provider=_provider(settings))
    async with open_site(database, options, identities.forget_all) as site:
        yield site


def _provider(settings: HubSettings) -> ProviderOptions | None:
    """Error: `RuntimeError` for settings with which nobody could sign in."""
    given = settings.provider
    if given is None:
        if not settings.passwords:
            raise RuntimeError("without passwords there must be an OpenID provider, or nobody could sign in")
        return None
    from ferryhub.auth.options import ProviderOptions

    if not settings.public_url:
        raise RuntimeError("an OpenID provider needs --public-url: it must know where to send browsers back to")
    secret = given.client_secret_file.read_text(encoding="utf-8").strip()
    if not secret:
        raise RuntimeError(f"{given.client_secret_file} holds no client secret")
    return ProviderOptions(
        issuer=given.issuer,
        client_id=given.client_id,
        client_secret=secret,
        redirect_uri=settings.public_url.rstrip("/") + "/device/callback",
        name=given.name or urlsplit(given.issuer).netloc,
        email_domains=frozenset(each.lower() for each in given.new_users_of),
    )


@asynccontextmanager
async def _tending(blobs: BlobService) -> AsyncIterator[None]:
    """What the byte side does by itself while the hub runs."""
    async with asyncio.TaskGroup() as tasks:
        own = [
            tasks.create_task(blobs.sweeper.run(), name="hub sweep"),
            tasks.create_task(blobs.places.prepare(), name="hub places"),
        ]
        yield
        for task in own:
            task.cancel()
