"""A hub's byte side on a real socket, with a real catalogue and real files, and a client that speaks its formats."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from sqlalchemy import URL

from ferryapi.hub.v1 import asset_service_pb2 as asset_pb
from ferryapi.hub.v1 import content_service_pb2 as pb
from ferryapi.hub.v1 import project_service_pb2 as project_pb
from ferryhub.blobs.service import BlobOptions, BlobService, open_blobs
from ferryhub.catalogue import principals, schema, tokens
from ferryhub.catalogue.actor import ALL_SCOPES
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.database import Database, sqlite_url
from ferryhub.catalogue.paging import PageSeal
from ferryhub.catalogue.settings import PAGE_SECRET, URL_SECRET
from ferryhub.rpc.asset import AssetService
from ferryhub.rpc.content import ContentService
from ferryhub.rpc.edge import Edge
from ferryhub.rpc.identity import Identities
from ferryhub.rpc.project import ProjectService
from ferryhub.serving.connection import Connection
from ferrywire.digest import BlockHasher, of_blocks
from ferrywire.ids import new_id
from ferrywire.parts import MIB, part_count, part_span
from ferrywire.reasons import FerryError

M = TypeVar("M", bound=Message)
PART = 2 * MIB


class Clock:
    """The hub's clock, which a test can move."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now_us(self) -> int:
        return now_us() + int(self.ahead_s * 1e6)


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(f"{seed}:{size}").randbytes(size)


def blocks_of(data: bytes | memoryview) -> bytes:
    hasher = BlockHasher()
    hasher.update(memoryview(data))
    return hasher.block_digests()


def digest_of(data: bytes | memoryview) -> bytes:
    return of_blocks(blocks_of(data))


def file_of(path: str, data: bytes, part_bytes: int = PART) -> pb.UploadFile:
    return pb.UploadFile(path=path, size_bytes=len(data), part_size_bytes=part_bytes)


@dataclass
class Person:
    """Somebody with a token, calling a hub."""

    url: str
    token: str
    project_id: str = ""
    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=30))

    async def call(self, method: str, request: Message, reply: type[M], service: str = "ContentService") -> M:
        """One Connect call; an error comes out as `FerryError`."""
        headers = {"content-type": "application/proto", "authorization": f"Bearer {self.token}"}
        url = f"{self.url}/ferryapi.hub.v1.{service}/{method}"
        answer = await self.http.post(url, content=request.SerializeToString(), headers=headers)
        if answer.status_code != 200:
            raise _error(answer.json())
        return reply.FromString(answer.content)

    async def make_project(self, name: str = "P") -> str:
        request = project_pb.CreateProjectRequest(name=name, request_id=new_id("req"))
        made = await self.call("CreateProject", request, project_pb.Project, "ProjectService")
        self.project_id = made.project_id
        return made.project_id

    def new_asset(self, **fields: Any) -> asset_pb.Asset:
        return asset_pb.Asset(**{"title": "T", "owner_type": "project", "owner_id": self.project_id, **fields})

    async def create(self, files: Sequence[pb.UploadFile], **fields: Any) -> pb.UploadSession:
        """CreateUpload of a whole manifest; a new asset unless `asset_id` is given."""
        if "asset_id" not in fields:
            fields.setdefault("new_asset", self.new_asset())
        whole = {"total_size_bytes": sum(file.size_bytes for file in files), "total_file_count": len(files)}
        request = pb.CreateUploadRequest(files=files, **{"request_id": new_id("req"), **whole, **fields})
        return await self.call("CreateUpload", request, pb.UploadSession)

    async def sign(self, session_id: str, parts: Sequence[pb.Part], *, accept_files: bool = False) -> list[pb.Location]:
        request = pb.SignPartsRequest(session_id=session_id, parts=parts, accept_files=accept_files)
        return list((await self.call("SignParts", request, pb.SignPartsResponse)).locations)

    async def put(self, location: pb.Location, body: bytes, **kwargs: Any) -> httpx.Response:
        return await self.http.put(self.url + location.url.url, content=body, **kwargs)

    async def send_part(self, session_id: str, file_index: int, number: int, data: bytes) -> httpx.Response:
        """Sign and PUT one part of a file."""
        offset, length = part_span(len(data), PART, number)
        piece = data[offset : offset + length]
        part = pb.Part(file_index=file_index, part_number=number, digest=digest_of(piece))
        (location,) = await self.sign(session_id, [part])
        return await self.put(location, piece)

    async def send(self, session_id: str, files: Mapping[int, bytes]) -> None:
        for index, data in files.items():
            for number in range(1, part_count(len(data), PART) + 1):
                answer = await self.send_part(session_id, index, number, data)
                assert answer.status_code == 200, answer.text

    async def commit(self, session_id: str, datas: Sequence[bytes]) -> pb.Content:
        digests = b"".join(map(digest_of, datas))
        request = pb.CommitUploadRequest(session_id=session_id, file_digests=digests)
        return await self.call("CommitUpload", request, pb.Content)

    async def upload(self, files: Mapping[str, bytes], **fields: Any) -> pb.Content:
        """Everything from CreateUpload to CommitUpload."""
        session = await self.create([file_of(path, data) for path, data in files.items()], **fields)
        await self.send(session.session_id, dict(enumerate(files.values())))
        return await self.commit(session.session_id, list(files.values()))

    async def stored(self, session_id: str) -> list[tuple[int, int]]:
        """The (file, part) pairs the hub says it has."""
        reply = await self.call("ListParts", pb.ListPartsRequest(session_id=session_id), pb.ListPartsResponse)
        assert not reply.next_page_token
        return [(part.file_index, part.part_number) for part in reply.parts]

    async def manifest(self, asset_id: str = "", content_id: str = "", **fields: Any) -> pb.GetDownloadResponse:
        request = pb.GetDownloadRequest(asset_id=asset_id, content_id=content_id, **fields)
        return await self.call("GetDownload", request, pb.GetDownloadResponse)

    async def download(self, asset_id: str = "", content_id: str = "") -> dict[str, bytes]:
        manifest = await self.manifest(asset_id, content_id)
        return {file.path: await self.fetch(file) for file in manifest.files}

    async def fetch(self, file: pb.DownloadFile) -> bytes:
        if not file.HasField("location"):
            return b""
        answer = await self.http.get(self.url + file.location.url.url)
        assert answer.status_code == 200, answer.text
        return answer.content

    async def abort(self, session_id: str) -> None:
        await self.call("AbortUpload", pb.AbortUploadRequest(session_id=session_id), pb.AbortUploadResponse)

    async def asset(self, asset_id: str) -> asset_pb.Asset:
        return await self.call("GetAsset", asset_pb.GetAssetRequest(asset_id=asset_id), asset_pb.Asset, "AssetService")


@dataclass
class Rig:
    """A running hub."""

    root: Path
    url: str
    database: Database
    blobs: BlobService
    clock: Clock
    stack: AsyncExitStack

    async def person(self, email: str, *, project: bool = True) -> Person:
        principal = await self.database.write(principals.ensure_by_email, email)
        token = await self.database.write(_token, principal)
        person = Person(self.url, token)
        self.stack.push_async_callback(person.http.aclose)
        if project:
            await person.make_project()
        return person

    @property
    def files(self) -> list[Path]:
        """Every file the store has, staged or published."""
        return sorted(path for path in (self.root / "blobs").rglob("*") if path.is_file())


@asynccontextmanager
async def running(
    root: Path,
    *,
    quota_bytes: int = 1 << 40,
    local_files: bool = False,
    database_url: URL | None = None,
    http: Any = Connection,
) -> AsyncIterator[Rig]:
    """A hub on a free port, with its state below `root`. Run it again on the same root for a restart. `http` is the
    server's protocol: our own, or one that knows ASGI alone."""
    clock = Clock()
    async with AsyncExitStack() as stack:
        database = await asyncio.to_thread(lambda: Database(database_url or sqlite_url(root / "catalogue.db")))
        stack.push_async_callback(database.close)
        secrets = await database.write(schema.bring_up)
        options = BlobOptions(
            root / "blobs", secrets[URL_SECRET], local_files=local_files, default_quota_bytes=quota_bytes
        )
        blobs = await stack.enter_async_context(open_blobs(database, options, clock.now_us))
        pages = PageSeal(secrets[PAGE_SECRET])
        services = {
            "ContentService": ContentService(database, pages, blobs.uploads, blobs.downloads),
            "AssetService": AssetService(database, pages),
            "ProjectService": ProjectService(database, pages, quota_bytes=quota_bytes),
        }
        edge = Edge(services, Identities(database), blobs.endpoint)
        url = await stack.enter_async_context(_serving(edge, http))
        clients = await stack.enter_async_context(AsyncExitStack())
        yield Rig(root, url, database, blobs, clock, clients)


@asynccontextmanager
async def _serving(app: Any, http: Any) -> AsyncIterator[str]:
    config = uvicorn.Config(app, port=0, lifespan="off", log_level="error", loop="asyncio", ws="none", http=http)
    server = uvicorn.Server(config)
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        await server.shutdown()


def _token(conn: Any, principal_id: str) -> str:
    return tokens.create(conn, principal_id, ALL_SCOPES).secret


def _error(answer: Mapping[str, Any]) -> FerryError:
    info = error_details_pb2.ErrorInfo()
    for detail in answer.get("details", []):
        if detail["type"] == "google.rpc.ErrorInfo":
            info.ParseFromString(base64.b64decode(detail["value"] + "=="))
    assert info.reason, json.dumps(dict(answer))
    return FerryError(info.reason, answer.get("message", ""), **dict(info.metadata))
