"""The hub's front door, a plain ASGI app: sends each request to its service, its byte endpoint or a 404.

For calls from the network; those from inside this process are in `direct.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from importlib.metadata import version
from typing import Any, Final

from ferryapi.hub.v1.access_service_connect import AccessServiceASGIApplication
from ferryapi.hub.v1.asset_service_connect import AssetServiceASGIApplication
from ferryapi.hub.v1.collection_service_connect import CollectionServiceASGIApplication
from ferryapi.hub.v1.content_service_connect import ContentServiceASGIApplication
from ferryapi.hub.v1.project_service_connect import ProjectServiceASGIApplication
from ferryapi.hub.v1.relationship_service_connect import RelationshipServiceASGIApplication
from ferryhub.rpc.caller import set_caller
from ferryhub.rpc.codec import codecs
from ferryhub.rpc.errors import ErrorInterceptor
from ferryhub.rpc.faults import MAX_REQUEST_BYTES
from ferryhub.rpc.identity import Identities, IdentityInterceptor

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

BLOBS_PREFIX: Final = "/blobs/"
OAUTH_PREFIX: Final = "/oauth/"
PAGES: Final = frozenset({"/device", "/device.css", "/device/callback"})
#: Which release answers; `ferry doctor` compares it with its own.
VERSION_HEADER: Final = b"ferryman-version"

_APPLICATIONS: Final = {
    "ProjectService": ProjectServiceASGIApplication,
    "CollectionService": CollectionServiceASGIApplication,
    "AssetService": AssetServiceASGIApplication,
    "RelationshipService": RelationshipServiceASGIApplication,
    "AccessService": AccessServiceASGIApplication,
    "ContentService": ContentServiceASGIApplication,
}


class Edge:
    """Routes by path. `services` are the service objects by their short name; `blobs` serves the byte endpoints.

    `site` serves the sign-in page and the OAuth endpoints, if the hub has them. `problem` says why the hub is not
    ready, empty when it is.
    """

    def __init__(
        self,
        services: Mapping[str, Any],
        identities: Identities,
        blobs: AsgiApp,
        *,
        site: AsgiApp | None = None,
        problem: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self._problem = problem
        interceptors = (ErrorInterceptor(), IdentityInterceptor(identities))
        self._blobs = blobs
        self._site = site
        self._services: dict[str, AsgiApp] = {}
        for name, service in services.items():
            options: dict[str, Any] = {"interceptors": interceptors, "codecs": codecs()}
            application = _APPLICATIONS[name](service, read_max_bytes=MAX_REQUEST_BYTES, **options)
            self._services[application.path] = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the hub speaks HTTP, not {scope['type']}")
        path: str = scope["path"]
        if path.startswith(BLOBS_PREFIX):
            await self._blobs(scope, receive, send)
        elif service := self._services.get(path.rpartition("/")[0]):
            await _serve(service, scope, receive, send)
        elif self._site is not None and (path.startswith(OAUTH_PREFIX) or path in PAGES):
            await self._site(scope, receive, send)
        elif path == "/healthz":
            await _plain(send, 200, b"ok", (VERSION_HEADER, version("ferryman").encode()))
        elif path == "/readyz":
            problem = await self._problem() if self._problem is not None else ""
            await _plain(send, 503 if problem else 200, problem.encode() or b"ok")
        else:
            await _plain(send, 404, b"not found")


async def _serve(service: AsgiApp, scope: Scope, receive: Receive, send: Send) -> None:
    set_caller(None)  # requests of one connection may share a context
    await service(scope, receive, send)


async def _plain(send: Send, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
