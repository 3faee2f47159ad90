"""Every row of a catalogue of a given size, table by table, as tuples in the order of the table's columns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Table

from ferryhub.blobs.store import blob_key
from ferryhub.catalogue import account_tables as at
from ferryhub.catalogue import tables as t
from scaling.world import ANN, BEGAN_US, FOLDERS, GROUPS, HEAD, PEOPLE, PROJECTS, World, key, made_at

Rows = Iterator[tuple[Any, ...]]
_MIB: Final = 1 << 20
_FIRST_FOLDER: Final = FOLDERS + 1
#: One asset in so many has had a second version, one in so many has an alias.
_AGAIN, _NAMED = 10, 10
#: Files of an asset, by its number.
_FILES: Final = (1, 1, 1, 4, 1)
#: One upload in so many is not forgotten yet: sessions are for a week.
_RECENT: Final = 50
_ROLES: Final = ("viewer", "editor", "owner")


def everything(world: World) -> Iterator[tuple[Table, Rows]]:
    """All tables that have rows, in an order in which none refers to what is not there yet."""
    yield t.principals, _principals()
    yield t.projects, _projects()
    yield t.collections, _collections()
    yield t.collection_scopes, _scopes()
    yield t.assets, _assets(world)
    yield t.aliases, ((f"run-{n}", f"Run-{n}", key("ast", n)) for n in range(0, world.assets, _NAMED))
    yield t.contents, _contents(world)
    yield t.content_files, _content_files(world)
    yield t.relationships, _relationships(world)
    yield t.grants, _grants()
    yield at.group_members, _members()
    yield t.allocations, _allocations()
    yield t.upload_sessions, _sessions(world)
    yield t.upload_files, _session_files(world)
    yield t.upload_parts, _session_parts(world)
    yield t.requests, _requests(world)


def digest(kind: str, number: int) -> bytes:
    """32 bytes that look random."""
    return hashlib.sha256(f"{kind}{number}".encode()).digest()


def session_of(number: int) -> str:
    """The id of the session by which an asset came."""
    return key("upl", number)


def recent(world: World) -> range:
    """The numbers of the assets whose sessions are still known; all of those are committed and past their expiry."""
    return range(0, world.assets, _RECENT)


def _principals() -> Rows:
    for n in range(PEOPLE):
        yield key("usr", n), "user", f"p{n}@x.org", f"Person {n}", False, BEGAN_US
    for n in range(GROUPS):
        yield key("grp", n), "group", f"group-{n}", "", False, BEGAN_US


def _projects() -> Rows:
    for n in range(PROJECTS):
        root, allocation = key("col", n * _FIRST_FOLDER), key("alc", n)
        yield key("prj", n), f"Project {n}", "", "", root, allocation, BEGAN_US + n, key("usr", n)


def _collections() -> Rows:
    for n in range(PROJECTS):
        project, root, first = key("prj", n), key("col", n * _FIRST_FOLDER), key("col", n * _FIRST_FOLDER + 1)
        rest = ("", BEGAN_US, key("usr", n))
        yield root, None, project, "project", project, project, "", "/", *rest
        yield first, root, project, "project", project, "raw", "", "/raw", *rest
        yield key("col", n * _FIRST_FOLDER + 2), root, project, "project", project, "made", "", "/made", *rest
        yield key("col", n * _FIRST_FOLDER + 3), first, project, "project", project, "old", "", "/raw/old", *rest


def _scopes() -> Rows:
    for n in range(PROJECTS):
        project = key("prj", n)
        root, raw, made, old = (key("col", n * _FIRST_FOLDER + at) for at in range(_FIRST_FOLDER))
        for below, above in ((root, ()), (raw, (root,)), (made, (root,)), (old, (raw, root))):
            yield from ((below, each) for each in (below, *above, project))


def _metadata(n: int) -> str:
    return json.dumps(
        {
            "instrument": f"SEM {n % 17}",
            "sample": f"A-{n % 5000}",
            "operator": f"p{n % PEOPLE}",
            "temperature_k": 270 + n % 60,
            "settings": {"dwell_us": n % 50, "voltage_kv": 5 + n % 25, "detectors": ["SE", "BSE"]},
            "comment": f"measured in series {n // 100}, position {n % 100}",
        }
    )


def _assets(world: World) -> Rows:
    for n in range(world.assets):
        project, someone, now = key("prj", world.project_of[n]), key("usr", n % PEOPLE), made_at(n)
        described = (f"Run {n} of sample A-{n % 5000}", f"Series {n // 100}: overview and details", _alias(n))
        free = (f'["sem","batch-{n // 1000}"]', _metadata(n))
        place = ("project", project, project, key("col", world.collection_of(n)))
        files = _FILES[n % len(_FILES)]
        content = (key("cnt", 2 * n + (n % _AGAIN == 0)), files * _MIB, files, f"{n:016x}")
        yield key("ast", n), *described, *free, *place, "ready", *content, now, someone, now, someone


def _alias(n: int) -> str:
    return f"Run-{n}" if n % _NAMED == 0 else ""


def _versions(n: int) -> range:
    return range(2 if n % _AGAIN == 0 else 1)


def _contents(world: World) -> Rows:
    for n in range(world.assets):
        files = _FILES[n % len(_FILES)]
        for again in _versions(n):
            what = (2 * n + again, digest("content", 2 * n + again)[:16].hex())
            made = (files * _MIB, files, "", made_at(n), key("usr", n % PEOPLE), "default")
            yield key("cnt", what[0]), key("ast", n), again + 1, f"xxh3b:{what[1]}", *made


def _content_files(world: World) -> Rows:
    for n in range(world.assets):
        for again in _versions(n):
            content, session = key("cnt", 2 * n + again), session_of(2 * n + again)
            for index in range(_FILES[n % len(_FILES)]):
                whole = digest(content, index)[:16]
                rest = (whole, _MIB, whole, "text/csv", blob_key(session, index), 0)
                yield content, index, f"run-{n}/table-{index}.csv", _MIB, *rest


def _relationships(world: World) -> Rows:
    for number, (source, origin) in enumerate(world.links()):
        fingerprint = hashlib.sha256(b"%d" % number).digest()
        ends = (f"ast_{source:026d}", f"ast_{origin:026d}")
        said = ("derived_from", "non_destructive", "", "", "{}")
        yield f"rel_{number:026d}", fingerprint, *ends, *said, made_at(source), f"usr_{source % PEOPLE:026d}"


def _grants() -> Rows:
    given: dict[tuple[str, str], str] = {}
    for n in range(PROJECTS):
        given[key("grp", HEAD), key("prj", n)] = "viewer"
        given[key("usr", n), key("prj", n)] = "owner"
    for n in range(PEOPLE):
        for step in range(4):
            given.setdefault((key("usr", n), key("prj", (n * 7 + step * 41) % PROJECTS)), _ROLES[step % 2])
    for n in range(12):
        given.setdefault((key("usr", ANN), key("prj", n)), "editor")
    for n in range(3):
        given[key("usr", ANN), key("ast", 100 + 2 * n)] = "viewer"
    given[key("usr", ANN), key("col", 20 * _FIRST_FOLDER + 1)] = "viewer"
    yield from ((who, what, role, BEGAN_US) for (who, what), role in given.items())


def _members() -> Rows:
    yield key("grp", HEAD), key("usr", HEAD), BEGAN_US
    yield from ((key("grp", n % GROUPS), key("usr", n), BEGAN_US) for n in range(100, PEOPLE) if n % GROUPS != HEAD)


def _allocations() -> Rows:
    for n in range(PROJECTS):
        yield key("alc", n), "project", key("prj", n), "default", 1 << 50, 0, 0, BEGAN_US


def _sessions(world: World) -> Rows:
    for n in recent(world):
        announced = (_MIB, 1, key("alc", world.project_of[n]), key("cnt", 2 * n))
        who = (True, key("usr", n % PEOPLE), f"r{n}", digest("request", n), "", "committed")
        yield session_of(2 * n), key("ast", n), *who, *announced, made_at(n), made_at(n), "default"


def _session_files(world: World) -> Rows:
    yield from ((session_of(2 * n), 0, f"run-{n}/table-0.csv", _MIB, _MIB, "text/csv", "") for n in recent(world))


def _session_parts(world: World) -> Rows:
    for n in recent(world):
        whole = digest(key("cnt", 2 * n), 0)[:16]
        yield session_of(2 * n), 0, 1, whole, whole, made_at(n), None, "", 0


def _requests(world: World) -> Rows:
    for n in recent(world):
        yield f"q{n}", key("usr", n % PEOPLE), "CreateProject", digest("q", n), key("prj", n % PROJECTS), made_at(n)
