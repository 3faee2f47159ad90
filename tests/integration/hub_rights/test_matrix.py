"""Who may call what: every rpc of the hub against every kind of token and every role. A new rpc needs a row here."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from google.protobuf import json_format
from sqlalchemy import URL

from ferrywire.digest import of_blocks
from ferrywire.ids import new_id
from ferrywire.parts import MIB
from tests.integration.hub_rights.world import BAD_TOKENS, ROLES, RPCS, World, build, request_id, world
from tests.unit.hub.conftest import database_url as database_url

pytestmark = pytest.mark.slow


@dataclass
class Things:
    """A project with one of each: everything a caller could reach for."""

    world: World
    ids: dict[str, str]

    async def link(self) -> str:
        """A new link between the two assets."""
        link = {"from_asset_id": self.ids["asset"], "to_asset_id": self.ids["other"], "type": f"t{new_id('x')}"}
        made = await self.world.ok("RelationshipService/CreateRelationship", "owner", relationship=link)
        return str(made.relationship_id)

    async def session(self, who: str) -> str:
        """A new session, for a new version of the asset, of who may write, or of the owner."""
        opener = who if who in ("editor", "owner") else "owner"
        made = await self.world.ok("ContentService/CreateUpload", opener, **_upload(asset_id=self.ids["asset"]))
        return str(made.session_id)


def _upload(**target: Any) -> dict[str, Any]:
    files = [{"path": "f", "size_bytes": 0, "part_size_bytes": MIB}]
    return {**target, "files": files, "total_file_count": 1, "request_id": request_id()}


@dataclass(frozen=True)
class Row:
    """What an rpc asks for. `request` makes one for a caller; `role` is the least that passes."""

    request: Callable[[Things, str], Awaitable[dict[str, Any]]]
    #: A role on the project; "anybody" with a token; or "session": whoever opened the session and nobody else.
    role: str
    scope: str
    #: What somebody without any role is told.
    hidden: str = ""
    #: What the right caller is told: nothing, or the reason why this very request cannot be done.
    done: str = ""


def _of(**fields: str | int | dict[str, Any]) -> Callable[[Things, str], Awaitable[dict[str, Any]]]:
    """A request whose values that start with `$` are ids of things."""

    def filled(value: Any, ids: dict[str, str]) -> Any:
        if isinstance(value, dict):
            return {key: filled(each, ids) for key, each in value.items()}
        return ids[value[1:]] if isinstance(value, str) and value.startswith("$") else value

    async def request(things: Things, _who: str) -> dict[str, Any]:
        return {name: filled(value, things.ids) for name, value in fields.items()}

    return request


def _with_session(**fields: Any) -> Callable[[Things, str], Awaitable[dict[str, Any]]]:
    async def request(things: Things, who: str) -> dict[str, Any]:
        return {"session_id": await things.session(who), **fields}

    return request


async def _new_collection(things: Things, _who: str) -> dict[str, Any]:
    return {"parent_id": things.ids["root"], "name": new_id("x")}


async def _new_version(things: Things, _who: str) -> dict[str, Any]:
    return _upload(asset_id=things.ids["asset"])


async def _new_link(things: Things, _who: str) -> dict[str, Any]:
    link = {"from_asset_id": things.ids["asset"], "to_asset_id": things.ids["other"], "type": new_id("x")}
    return {"relationship": link}


async def _a_link(things: Things, _who: str) -> dict[str, Any]:
    return {"relationship_id": await things.link()}


_PART: Final = {"file_index": 0, "part_number": 1, "digest": "A" * 22 + "=="}
_FILE: Final = {"path": "f", "size_bytes": 0, "part_size_bytes": MIB}

TABLE: Final[dict[str, Row]] = {
    "AccessService/GetIdentity": Row(_of(), "anybody", "any"),
    "AccessService/SetGrant": Row(
        _of(grant={"principal_id": "stranger2@x.org", "resource_id": "$collection", "role": "viewer"}),
        "owner",
        "write",
        "RESOURCE_NOT_FOUND",
        done="PRINCIPAL_NOT_FOUND",
    ),
    "AccessService/ListGrants": Row(_of(resource_id="$project"), "viewer", "read", "RESOURCE_NOT_FOUND"),
    "AccessService/RemoveGrant": Row(
        _of(resource_id="$asset", principal_id="stranger@x.org"), "owner", "write", "RESOURCE_NOT_FOUND"
    ),
    "ProjectService/CreateProject": Row(_of(name="P"), "anybody", "write"),
    "ProjectService/GetProject": Row(_of(project_id="$project"), "viewer", "read", "PROJECT_NOT_FOUND"),
    "ProjectService/ListProjects": Row(_of(), "anybody", "read"),
    "CollectionService/CreateCollection": Row(_new_collection, "editor", "write", "COLLECTION_NOT_FOUND"),
    "CollectionService/GetCollection": Row(_of(collection_id="$collection"), "viewer", "read", "COLLECTION_NOT_FOUND"),
    "CollectionService/ListCollections": Row(_of(parent_id="$root"), "viewer", "read", "COLLECTION_NOT_FOUND"),
    "AssetService/GetAsset": Row(_of(asset_id="$asset"), "viewer", "read", "ASSET_NOT_FOUND"),
    "AssetService/ListAssets": Row(_of(project_id="$project"), "viewer", "read", "PROJECT_NOT_FOUND"),
    "AssetService/UpdateAsset": Row(
        _of(asset={"asset_id": "$asset", "title": "N"}, update_mask="title"), "editor", "write", "ASSET_NOT_FOUND"
    ),
    "ContentService/CreateUpload": Row(_new_version, "editor", "write", "ASSET_NOT_FOUND"),
    "ContentService/AddUploadFiles": Row(
        _with_session(first_index=0, files=[_FILE]), "session", "write", "SESSION_NOT_FOUND"
    ),
    # The file is empty, so it has no part: the right caller gets as far as that.
    "ContentService/SignParts": Row(
        _with_session(parts=[_PART]), "session", "write", "SESSION_NOT_FOUND", done="INVALID_ARGUMENT"
    ),
    # This hub records what it receives itself: the right caller is told so.
    "ContentService/RecordParts": Row(
        _with_session(parts=[_PART]), "session", "write", "SESSION_NOT_FOUND", done="INVALID_ARGUMENT"
    ),
    "ContentService/ListParts": Row(_with_session(), "session", "write", "SESSION_NOT_FOUND"),
    "ContentService/CommitUpload": Row(
        _with_session(file_digests="A" * 22 + "=="), "session", "write", "SESSION_NOT_FOUND", done="DIGEST_MISMATCH"
    ),
    "ContentService/AbortUpload": Row(_with_session(), "session", "write", "SESSION_NOT_FOUND"),
    "ContentService/GetDownload": Row(_of(asset_id="$asset"), "viewer", "read", "ASSET_NOT_FOUND"),
    "ContentService/GetContent": Row(_of(content_id="$content"), "viewer", "read", "CONTENT_NOT_FOUND"),
    "ContentService/ListContents": Row(_of(asset_id="$asset"), "viewer", "read", "ASSET_NOT_FOUND"),
    "RelationshipService/CreateRelationship": Row(_new_link, "editor", "write", "ASSET_NOT_FOUND"),
    "RelationshipService/ListRelationships": Row(_of(asset_id="$asset"), "viewer", "read", "ASSET_NOT_FOUND"),
    "RelationshipService/DeleteRelationship": Row(_a_link, "editor", "write", "RELATIONSHIP_NOT_FOUND"),
    "RelationshipService/GetLineage": Row(_of(asset_id="$asset"), "viewer", "read", "ASSET_NOT_FOUND"),
}


@pytest.fixture
async def things(tmp_path: Path, database_url: URL) -> AsyncIterator[Things]:
    async with world(tmp_path / "hub", database_url) as hub:
        project = await hub.ok("ProjectService/CreateProject", "owner", name="P")
        for role in ("viewer", "editor"):
            grant = {"principal_id": f"{role}@x.org", "resource_id": project.project_id, "role": role}
            await hub.ok("AccessService/SetGrant", "owner", grant=grant)
        root = project.root_collection_id
        below = await hub.ok("CollectionService/CreateCollection", "owner", parent_id=root, name="C")
        ids = {"project": project.project_id, "root": root, "collection": below.collection_id}
        asset, content = await _asset(hub, ids)
        other, _ = await _asset(hub, ids)
        yield Things(hub, ids | {"asset": asset, "other": other, "content": content})


async def _asset(hub: World, ids: dict[str, str]) -> tuple[str, str]:
    new = {"title": "A", "owner_type": "project", "owner_id": ids["project"], "collection_id": ids["collection"]}
    session = await hub.ok("ContentService/CreateUpload", "owner", **_upload(new_asset=new))
    digests = base64.b64encode(of_blocks(b"")).decode()
    made = await hub.ok("ContentService/CommitUpload", "owner", session_id=session.session_id, file_digests=digests)
    return session.asset_id, made.content_id


def test_the_table_has_every_rpc() -> None:
    assert sorted(TABLE) == sorted(RPCS)


@pytest.mark.parametrize("rpc", sorted(TABLE))
async def test_tokens(things: Things, rpc: str) -> None:
    """A bad token is refused whatever is asked; a good one does what its scopes say."""
    row = TABLE[rpc]
    request = await row.request(things, "owner")
    for who, reason in BAD_TOKENS.items():
        reply = await things.world.call(rpc, who, request)
        assert (reply.status, reply.reason) == (401, reason), who
    reply = await things.world.call(rpc, "owner-read", request)
    wanted = "SCOPE_DENIED" if row.scope == "write" else row.done
    assert reply.reason == wanted, reply


@pytest.mark.parametrize("rpc", sorted(TABLE))
async def test_writing_is_not_reading_and_admin_is_everything(things: Things, rpc: str) -> None:
    row = TABLE[rpc]
    if row.scope == "read":
        reply = await things.world.call(rpc, "owner-write", await row.request(things, "owner"))
        assert reply.reason == "SCOPE_DENIED", reply
    reply = await things.world.call(rpc, "owner-admin", await row.request(things, "owner"))
    assert reply.reason == row.done, reply


@pytest.mark.parametrize("rpc", sorted(TABLE))
async def test_roles(things: Things, rpc: str) -> None:
    """A role passes where it is enough; where it is not, a visible thing is denied and an invisible one not there."""
    row = TABLE[rpc]
    for who in ("stranger", *ROLES):
        reply = await things.world.call(rpc, who, await row.request(things, who))
        assert reply.reason == _verdict(row, who), (who, reply)


def _verdict(row: Row, who: str) -> str:
    if row.role == "anybody":
        return row.done
    if row.role == "session":
        return row.done if who in ("editor", "owner") else row.hidden
    if who == "stranger":
        return row.hidden
    return row.done if ROLES.index(who) >= ROLES.index(row.role) else "PERMISSION_DENIED"


@pytest.mark.parametrize("rpc", sorted(rpc for rpc, row in TABLE.items() if row.hidden))
async def test_what_is_hidden_looks_like_what_is_not_there(things: Things, rpc: str) -> None:
    request = await TABLE[rpc].request(things, "stranger")
    hidden = json_format.MessageToJson(build(RPCS[rpc], request))
    nothing = _ID.sub(lambda found: new_id(found[1]), hidden)
    replies = [await things.world.send(rpc, "stranger", body.encode(), as_json=True) for body in (hidden, nothing)]
    seen = [(reply.status, reply.reason, _ID.sub("ID", reply.message)) for reply in replies]
    assert seen[0] == seen[1]
    assert seen[0][1] == TABLE[rpc].hidden


_ID = re.compile(r"\b([a-z]{3})_[0-9A-HJKMNP-TV-Z]{26}\b")


async def test_a_session_is_nobody_elses(things: Things) -> None:
    """Not even an owner of the project uses an editor's session, whatever they call on it."""
    session_id = await things.session("editor")
    for rpc, row in TABLE.items():
        if row.role == "session":
            request = {**await row.request(things, "owner"), "session_id": session_id}
            reply = await things.world.call(rpc, "owner", request)
            assert reply.reason == row.hidden, rpc
