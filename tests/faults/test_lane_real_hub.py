"""The lanes and the hub's client against the real hub: over HTTP from a process of its own, and in this process."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ferryapi.hub.v1 import project_service_pb2 as projects
from ferryd.core.model import Part, Span, UploadSpec
from ferryd.core.ports import FileLocation, UploadFile, UrlLocation
from ferryd.lanes.pool import ByteLanes
from ferryd.remote.client import HubClient
from ferryd.remote.http import HttpTransport
from ferryd.remote.inprocess import Answer, DirectTransport
from ferryd.remote.transport import Transport
from ferryhub.app import create_hub
from ferryhub.config import HubSettings
from ferrywire.digest import of_blocks, to_text
from ferrywire.reasons import FerryError
from tests.support.hubs import HubServer
from tests.support.meters import CountingMeter
from tests.unit.lanes.samples import MIB, blocks, make_source, random_bytes, received

DATA = random_bytes(3 * MIB + 11)
SPANS = [Span(0, 2 * MIB), Span(2 * MIB, MIB + 11)]


@dataclass
class Bench:
    """A hub's client, the lanes, and a project to upload to."""

    hub: HubClient
    lanes: ByteLanes
    spec: UploadSpec
    kind: type

    async def session(self) -> str:
        files = [UploadFile("d/data.bin", len(DATA), 2 * MIB), UploadFile("empty", 0, MIB)]
        return (await self.hub.create_upload(self.spec, files, str(uuid.uuid4()))).session_id

    def parts(self) -> list[Part]:
        return [
            Part(0, number, blocks(DATA[span.offset : span.offset + span.length]))
            for number, span in enumerate(SPANS, 1)
        ]


async def bench(transport: Transport, client: HubClient, lanes: ByteLanes, kind: type) -> Bench:
    request = projects.CreateProjectRequest(name="P", request_id=str(uuid.uuid4()))
    reply = await transport.call(
        "/ferryapi.hub.v1.ProjectService/CreateProject", request.SerializeToString(), timeout_s=30
    )
    project = projects.Project.FromString(reply)
    spec = UploadSpec(("/x",), title="T", owner_type="project", owner_id=project.project_id, metadata={"n": 1})
    return Bench(client, lanes, spec, kind)


@pytest.fixture
async def over_http(hub_server: HubServer, lanes: ByteLanes) -> AsyncIterator[Bench]:
    transport = HttpTransport(hub_server.url, hub_server.token("me@example.org"))
    yield await bench(transport, HubClient(transport, transport.address, accept_files=False), lanes, UrlLocation)
    await transport.close()


@pytest.fixture
async def embedded(tmp_path: Path, lanes: ByteLanes) -> AsyncIterator[Bench]:
    hub = create_hub(HubSettings(state_dir=tmp_path / "hub", local_files=True))
    await hub.start()
    await hub.ensure_principal("usr_me", "me@example.org")

    async def answer() -> Answer:
        return hub.call

    transport = DirectTransport(answer, "usr_me")
    yield await bench(transport, HubClient(transport, None, accept_files=True), lanes, FileLocation)
    await hub.close()


@pytest.fixture
def lanes() -> Any:
    made = ByteLanes(threads=2, stall_timeout_s=30)
    yield made
    made.close()


@pytest.fixture(params=["over_http", "embedded"])
def any_hub(request: pytest.FixtureRequest) -> Bench:
    made = request.getfixturevalue(request.param)
    assert isinstance(made, Bench)
    return made


async def test_bytes_go_up_and_come_back(any_hub: Bench, tmp_path: Path) -> None:
    source, session, parts = make_source(tmp_path, DATA), await any_hub.session(), any_hub.parts()
    places = await any_hub.hub.sign_parts(session, parts)
    for part, span, place in zip(parts, SPANS, places, strict=True):
        assert isinstance(place, any_hub.kind)
        await any_hub.lanes.send(source, span, place, part.block_digests, CountingMeter())
    if any_hub.kind is FileLocation:
        await any_hub.hub.record_parts(session, parts)
    assert [part async for part in any_hub.hub.list_parts(session)] == parts
    digests = [of_blocks(blocks(DATA)), of_blocks(b"")]
    content = await any_hub.hub.commit_upload(session, digests)
    assert await any_hub.hub.commit_upload(session, digests) == content

    manifest, files = await any_hub.hub.get_manifest(content.asset_id, "")
    assert (manifest.title, manifest.content) == ("T", content)
    assert [(file.path, file.size_bytes, to_text(file.digest)) for file in files] == [
        ("d/data.bin", len(DATA), to_text(digests[0])),
        ("empty", 0, to_text(digests[1])),
    ]
    dest, found = tmp_path / "part", files[0].location
    dest.touch()
    assert found is not None
    for part, span in zip(parts, SPANS, strict=True):
        assert await received(any_hub.lanes, found, span, dest, CountingMeter()) == part.block_digests
    assert dest.read_bytes() == DATA


async def test_what_the_hub_refuses_has_its_reason(over_http: Bench, tmp_path: Path) -> None:
    source, session, parts = make_source(tmp_path, DATA), await over_http.session(), over_http.parts()
    (place, _) = await over_http.hub.sign_parts(session, parts)
    assert isinstance(place, UrlLocation)
    other = make_source(tmp_path, DATA[::-1], "other")
    digests = blocks(DATA[::-1][: SPANS[0].length])
    attempts = {
        "CHUNK_CORRUPT": over_http.lanes.send(other, SPANS[0], place, digests, CountingMeter()),
        "SIGNATURE_INVALID": over_http.lanes.send(
            source,
            SPANS[0],
            replace(place, url=place.url.replace("sig=", "sig=0")),
            parts[0].block_digests,
            CountingMeter(),
        ),
    }
    for reason, attempt in attempts.items():
        with pytest.raises(FerryError) as caught:
            await attempt
        assert caught.value.reason == reason
    assert [part async for part in over_http.hub.list_parts(session)] == []
    await over_http.hub.abort_upload(session)
    await over_http.hub.abort_upload(session)
    with pytest.raises(FerryError) as caught:
        await over_http.lanes.send(source, SPANS[0], place, parts[0].block_digests, CountingMeter())
    assert caught.value.reason == "SESSION_NOT_FOUND"


async def test_a_wrong_token(hub_server: HubServer) -> None:
    transport = HttpTransport(hub_server.url, "fat_" + "x" * 43)
    with pytest.raises(FerryError) as caught:
        await transport.call("/ferryapi.hub.v1.ProjectService/ListProjects", b"", 20)
    assert caught.value.reason == "TOKEN_INVALID"
    await transport.close()
