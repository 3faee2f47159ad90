"""A hub in its own process, killed between and within parts: what it said is stored is stored."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import httpx
import pytest

from ferryapi.hub.v1 import content_service_pb2 as pb
from tests.integration.hub_content.rig import PART, Person, content, digest_of, file_of
from tests.support.hubs import HubServer
from tests.support.waiting import wait_for

PARTS = 24


@pytest.fixture
async def alice(hub_server: HubServer) -> AsyncIterator[Person]:
    token = await asyncio.to_thread(hub_server.token, "alice@example.org")
    person = Person(hub_server.url, token)
    await person.make_project()
    yield person
    await person.http.aclose()


@pytest.mark.slow
async def test_a_killed_hub_keeps_every_part_it_confirmed(hub_server: HubServer, alice: Person) -> None:
    data = content(PARTS * PART - 1)
    session = (await alice.create([file_of("f", data)])).session_id
    confirmed: set[int] = set()
    news = asyncio.Semaphore(0)

    async def send(number: int) -> None:
        answer = await alice.send_part(session, 0, number, data)
        assert answer.status_code == 200, answer.text
        confirmed.add(number)
        news.release()

    for round_ in range(3):
        missing = sorted(set(range(1, PARTS + 1)) - confirmed)
        random.Random(round_).shuffle(missing)
        sending = [asyncio.ensure_future(send(number)) for number in missing[:8]]
        # Half are confirmed when the power goes; the others are somewhere between their first byte and their row.
        for _ in range(4):
            await news.acquire()
        await asyncio.to_thread(hub_server.kill)
        results = await asyncio.gather(*sending, return_exceptions=True)
        assert all(result is None or isinstance(result, httpx.HTTPError) for result in results)
        await alice.http.aclose()
        alice.http = httpx.AsyncClient(timeout=30)
        await asyncio.to_thread(hub_server.start)
        stored = {number for _, number in await alice.stored(session)}
        assert confirmed <= stored, "a confirmed part was lost"
        confirmed |= stored
    for number in set(range(1, PARTS + 1)) - confirmed:
        await send(number)
    made = await alice.commit(session, [data])
    assert await alice.download(made.asset_id) == {"f": data}


@pytest.mark.slow
async def test_a_hub_killed_around_the_commit_shows_all_or_nothing(hub_server: HubServer, alice: Person) -> None:
    files = {f"d/{index:04}": str(index).encode() for index in range(200)}
    listed = [file_of(path, data) for path, data in files.items()]
    session = await alice.create(listed)
    parts = [pb.Part(file_index=i, part_number=1, digest=digest_of(data)) for i, data in enumerate(files.values())]
    locations = await alice.sign(session.session_id, parts)
    for location, data in zip(locations, files.values(), strict=True):
        assert (await alice.put(location, data)).status_code == 200
    committing = asyncio.ensure_future(alice.commit(session.session_id, list(files.values())))
    blobs = hub_server.state_dir / "blobs" / "blobs"
    await asyncio.to_thread(wait_for, lambda: any(blobs.glob("*/*")), what="the commit to publish its first blob")
    await asyncio.to_thread(hub_server.kill)
    await asyncio.gather(committing, return_exceptions=True)
    await alice.http.aclose()
    alice.http = httpx.AsyncClient(timeout=30)
    await asyncio.to_thread(hub_server.start)
    state = (await alice.asset(session.asset_id)).file_count
    assert state in (0, 200)
    made = await alice.commit(session.session_id, list(files.values()))
    assert made.version == 1
    assert await alice.download(made.asset_id) == files
