"""Answers that are kept until somebody writes: never an old one, never another's, and not without end."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, make_url, select, update

from ferryhub.catalogue import assets, grants
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.remembered import _LARGEST_LETTERS, _MOST, Remembered
from tests.unit.hub.conftest import Catalogue, fails

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def reads(catalogue: Catalogue) -> int:
    return catalogue.database.statistics().reads


async def ask(catalogue: Catalogue, actor: Actor, key: str) -> Any:
    return await catalogue.database.ask(assets.get, actor, key)


@ON_SQLITE
async def test_what_was_asked_before_is_not_read_again(catalogue: Catalogue, ann: Actor) -> None:
    asset = await catalogue.asset(ann, ann)
    await ask(catalogue, ann, asset.id)  # the first one opens what is watched
    found, before = await ask(catalogue, ann, asset.id), reads(catalogue)
    assert [await ask(catalogue, ann, asset.id) for _ in range(3)] == [found] * 3
    assert reads(catalogue) == before


async def test_a_write_is_seen_by_the_next_question(catalogue: Catalogue, ann: Actor) -> None:
    asset = await catalogue.asset(ann, ann)
    for number in range(5):
        await ask(catalogue, ann, asset.id)
        await catalogue.do(assets.update_asset, ann, asset.id, {"title": f"T{number}"})
        assert [(await ask(catalogue, ann, asset.id)).title for _ in range(3)] == [f"T{number}"] * 3


async def test_rights_that_end_end_at_once(catalogue: Catalogue, ann: Actor, bob: Actor) -> None:
    project = await catalogue.project(ann)
    asset = await catalogue.asset(ann, project)
    for _ in range(3):
        await ask(catalogue, ann, asset.id)
        with fails("ASSET_NOT_FOUND"):
            await ask(catalogue, bob, asset.id)  # what another may see
    await catalogue.do(grants.set_grant, ann, project.id, bob.email, "viewer")
    for _ in range(3):
        assert (await ask(catalogue, bob, asset.id)).id == asset.id
    await catalogue.do(grants.remove, ann, project.id, bob.email)
    for _ in range(3):
        with fails("ASSET_NOT_FOUND"):
            await ask(catalogue, bob, asset.id)


@ON_SQLITE
async def test_what_another_process_writes_is_seen(catalogue: Catalogue, ann: Actor) -> None:
    asset, path = await catalogue.asset(ann, ann), str(make_url(catalogue.database.url).database)
    program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()"
    for _ in range(3):
        await ask(catalogue, ann, asset.id)
    words = [sys.executable, "-c", program, path, "UPDATE assets SET title = 'Other'"]
    assert await (await asyncio.create_subprocess_exec(*words)).wait() == 0
    assert (await ask(catalogue, ann, asset.id)).title == "Other"


@ON_SQLITE
async def test_a_write_in_the_midst_of_a_question(catalogue: Catalogue, ann: Actor) -> None:
    """What was read before it may be answered, once, and is not kept."""
    asset = await catalogue.asset(ann, ann)
    read, written = threading.Event(), threading.Event()

    def slow(conn: Connection, key: str) -> str:
        found: str = conn.execute(select(t.assets.c.title).where(t.assets.c.id == key)).scalar_one()
        if not written.is_set():
            read.set()
            assert written.wait(60)
        return found

    def rename(conn: Connection) -> None:
        assert read.wait(60)
        conn.execute(update(t.assets).values(title="New"))

    await ask(catalogue, ann, asset.id)
    asking = asyncio.ensure_future(catalogue.database.ask(slow, asset.id))
    await catalogue.database.write(rename)
    written.set()
    assert await asking == "A"
    assert await catalogue.database.ask(slow, asset.id) == "New"


@ON_SQLITE
async def test_a_database_that_is_locked_up_does_not_hold_the_loop(catalogue: Catalogue, ann: Actor) -> None:
    asset = await catalogue.asset(ann, ann)
    await ask(catalogue, ann, asset.id)
    watch: Any = catalogue.database._transactions

    class Locked:
        def execute(self, _: str) -> None:
            raise sqlite3.OperationalError("database is locked")

    cursor, watch._watch._cursor = watch._watch._cursor, Locked()
    assert watch.version() is None
    assert (await ask(catalogue, ann, asset.id)).id == asset.id
    watch._watch._cursor = cursor
    assert watch.version() is not None
    assert cursor.execute("PRAGMA busy_timeout").fetchall() == [(0,)]


def full(version: int) -> Remembered:
    remembered = Remembered()
    for number in range(_MOST):
        remembered.keep(number, version, (str(number),))
    return remembered


def found(remembered: Remembered, version: int | None) -> list[int]:
    return [number for number in range(_MOST + 1) if remembered.find(number, version) is not None]


@pytest.mark.parametrize(
    ("then", "left"),
    [
        (lambda one: None, list(range(_MOST))),
        (lambda one: one.keep(_MOST, 1, ("x",)), list(range(1, _MOST + 1))),
        (lambda one: one.keep(_MOST, None, ("x",)), list(range(_MOST))),
        (lambda one: one.keep(_MOST, 1, ("x" * (_LARGEST_LETTERS + 1),)), list(range(_MOST))),
        (lambda one: (one.find(0, 1), one.keep(_MOST, 1, ("x",))), [0, *range(2, _MOST + 1)]),
        (lambda one: one.keep(_MOST, 2, ("x",)), []),
    ],
)
def test_what_is_kept(then: Callable[[Remembered], Any], left: list[int]) -> None:
    remembered = full(1)
    then(remembered)
    assert found(remembered, 1) == left
    assert found(remembered, None) == []
    assert found(remembered, 3) == []
