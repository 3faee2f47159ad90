"""The hub's pages and OAuth endpoints as one ASGI app. Loaded by `ferryhub serve` only: an embedded hub has neither."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryhub.auth import passwords
from ferryhub.auth.options import AuthOptions, ProviderOptions
from ferryhub.auth.service import Accounts
from ferryhub.catalogue.database import Database
from ferryhub.web import http
from ferryhub.web.device import DevicePage
from ferryhub.web.http import Receive, Request, Response, Scope, Send
from ferryhub.web.oauth import PREFIX, OAuthEndpoints
from ferryhub.web.pages import Pages
from ferryhub.web.seal import FormSeal

if TYPE_CHECKING:
    from ferryhub.web.provider import ProviderPage

_log = logging.getLogger(__name__)


class Site:
    """Answers what is below `/oauth/`, and `/device` with what belongs to it."""

    def __init__(self, oauth: OAuthEndpoints, device: DevicePage) -> None:
        self._oauth = oauth
        self._device = device

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            response = await self._answer(await http.read(scope, receive))
        except http.Disconnected:
            return
        except http.BadRequest as error:
            body = {"error": "invalid_request", "error_description": str(error)}
            # What is left of the request is not waited for.
            response = http.json_response(400, body, connection="close")
        except Exception as error:  # noqa: BLE001 - the edge: nothing unknown may show its text to the network
            error_id = secrets.token_hex(6)
            _log.error("web_request_failed path=%s error_id=%s", scope["path"], error_id, exc_info=error)
            response = http.text_response(500, f"something went wrong inside the hub; its log has error {error_id}")
        await http.send_response(scope, send, response)

    async def _answer(self, request: Request) -> Response:
        if request.path.startswith(PREFIX):
            return await self._oauth(request)
        return await self._device(request)


@dataclass(frozen=True, slots=True, repr=False)
class SiteOptions:
    """What a site is made with."""

    auth: AuthOptions
    #: Of the hub; what is needed of it is derived.
    hub_secret: bytes
    #: The hub's address for its users; empty: as they call it.
    public_url: str
    #: At which people may sign in; none costs nothing.
    provider: ProviderOptions | None = None


@asynccontextmanager
async def open_site(database: Database, options: SiteOptions, forget: Callable[[], None]) -> AsyncIterator[Site]:
    """A site that is ready to answer. `forget` is called when what is known of tokens may be out of date."""
    accounts = Accounts(database, options.auth, forget)
    name = options.provider.name if options.provider else ""
    pages = Pages(FormSeal(options.hub_secret), provider=name, passwords=options.auth.passwords)
    try:
        await asyncio.to_thread(passwords.warm_up)
        async with _provider_page(database, options, pages) as provider:
            yield Site(OAuthEndpoints(accounts, options.public_url), DevicePage(accounts, pages, provider))
    finally:
        accounts.close()


@asynccontextmanager
async def _provider_page(database: Database, options: SiteOptions, pages: Pages) -> AsyncIterator[ProviderPage | None]:
    if options.provider is None:
        yield None
        return
    # An HTTP client and signatures, which no other hub needs.
    from ferryhub.auth.provider import Provider
    from ferryhub.auth.upstream import Upstream
    from ferryhub.web.provider import ProviderPage

    provider = Provider(options.provider)
    try:
        upstream = Upstream(database, provider, options.auth, options.hub_secret)
        yield ProviderPage(upstream, pages, options.auth)
    finally:
        await provider.close()
