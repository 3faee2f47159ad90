"""A hub with people of every role and tokens of every kind, and how to call any rpc by name in either encoding."""

from __future__ import annotations

import base64
import importlib
import pkgutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from sqlalchemy import URL

import ferryapi.hub.v1
from ferryhub.app import create_hub, open_catalogue
from ferryhub.catalogue import principals, tokens
from ferryhub.catalogue.actor import SCOPES
from ferryhub.config import HubSettings
from ferrywire.ids import new_id

ROLES = ("viewer", "editor", "owner")
#: Tokens that open nothing, and the reason each is refused with.
BAD_TOKENS = {
    "": "NOT_SIGNED_IN",
    "unknown": "TOKEN_INVALID",
    "expired": "TOKEN_EXPIRED",
    "revoked": "TOKEN_INVALID",
    "disabled": "TOKEN_INVALID",
}


def rpcs() -> dict[str, MethodDescriptor]:
    """Every rpc of `ferryapi.hub.v1`, as `Service/Method`."""
    found = {}
    for module in pkgutil.iter_modules(ferryapi.hub.v1.__path__):
        if module.name.endswith("_service_pb2"):
            services = importlib.import_module(f"ferryapi.hub.v1.{module.name}").DESCRIPTOR.services_by_name
            for service in services.values():
                found |= {f"{service.name}/{method.name}": method for method in service.methods}
    return found


RPCS = rpcs()


@dataclass
class Reply:
    """What came back: a message when `reason` is empty, else an error."""

    status: int
    reason: str
    message: str
    body: Any = None


@dataclass
class World:
    """A hub, and a token for each word: the roles, `stranger`, the owner's with one scope alone, and the bad ones."""

    http: httpx.AsyncClient
    tokens: dict[str, str]

    async def call(self, rpc: str, who: str, request: dict[str, Any] | Message, *, as_json: bool = False) -> Reply:
        method = RPCS[rpc]
        message = request if isinstance(request, Message) else build(method, request)
        body = json_format.MessageToJson(message).encode() if as_json else message.SerializeToString()
        return await self.send(rpc, who, body, as_json=as_json)

    async def send(self, rpc: str, who: str, body: bytes, *, as_json: bool) -> Reply:
        """Post a body as it is."""
        headers = {"content-type": "application/json" if as_json else "application/proto"}
        if token := self.tokens[who]:
            headers["authorization"] = f"Bearer {token}"
        answer = await self.http.post(f"/ferryapi.hub.v1.{rpc}", content=body, headers=headers)
        if answer.status_code == 200:
            reply = GetMessageClass(RPCS[rpc].output_type)()
            if as_json:
                json_format.Parse(answer.content, reply, max_recursion_depth=1000)
            else:
                reply.ParseFromString(answer.content)
            return Reply(200, "", "", reply)
        error = answer.json()
        return Reply(answer.status_code, _reason(error), error.get("message", ""), error)

    async def ok(self, rpc: str, who: str, **request: Any) -> Any:
        reply = await self.call(rpc, who, request)
        assert not reply.reason, (rpc, who, reply)
        return reply.body


def build(method: MethodDescriptor, request: dict[str, Any]) -> Message:
    """The request message of a method."""
    return json_format.ParseDict(request, GetMessageClass(method.input_type)())


@asynccontextmanager
async def world(root: Path, database: URL | None = None) -> AsyncIterator[World]:
    """A fresh hub below `root`, called without a socket; its catalogue in a file there, or in another database."""
    url = "" if database is None else database.render_as_string(hide_password=False)
    settings = HubSettings(state_dir=root, sweep_interval_s=0, database_url=url)
    async with AsyncExitStack() as stack:
        hub = create_hub(settings)
        await hub.start()
        stack.push_async_callback(hub.close)
        async with open_catalogue(settings) as (catalogue, _):
            kept = await catalogue.write(_people)
        transport = httpx.ASGITransport(hub.asgi, raise_app_exceptions=False)  # type: ignore[arg-type]
        http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://hub"))
        yield World(http, {**kept, "": "", "unknown": "fat_" + "x" * 43})


def _people(conn: Any) -> dict[str, str]:
    made = {}
    for name in (*ROLES, "stranger"):
        principal = principals.ensure_by_email(conn, f"{name}@x.org")
        made[name] = tokens.create(conn, principal, ("read", "write")).secret
    owner = principals.ensure_by_email(conn, "owner@x.org")
    for scope in SCOPES:
        made[f"owner-{scope}"] = tokens.create(conn, owner, (scope,)).secret
    made["expired"] = tokens.create(conn, owner, SCOPES, expires_at=1).secret
    revoked = tokens.create(conn, owner, SCOPES)
    assert tokens.revoke(conn, revoked.id)
    robot = principals.add(conn, "bot", "robot")
    made["disabled"] = tokens.create(conn, robot, SCOPES).secret
    principals.set_disabled(conn, robot, True)
    return made | {"revoked": revoked.secret}


def _reason(error: dict[str, Any]) -> str:
    info = error_details_pb2.ErrorInfo()
    for detail in error.get("details", []):
        if detail["type"] == "google.rpc.ErrorInfo":
            info.ParseFromString(base64.b64decode(detail["value"] + "=="))
    return info.reason or f"no reason: {error}"


def request_id() -> str:
    return new_id("req")
