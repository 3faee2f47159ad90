"""A catalogue large enough that a bad plan shows: thousands of assets, of which each person sees a few."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Table, insert

from ferryhub.catalogue import account_tables as at
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.actor import ALL_SCOPES, Actor

PEOPLE: Final = 300
PROJECTS: Final = 300
ASSETS: Final = 12_000
LINKS_EACH: Final = 3
SESSIONS: Final = 1500
#: The newest asset of the seventh project, and from how many it comes besides.
SUMMARY: Final = max(n for n in range(ASSETS) if n % PROJECTS == 7)
SUMMARISED: Final = 3000
Row = dict[str, Any]


def key(prefix: str, number: int) -> str:
    """An id in the hub's form."""
    return f"{prefix}_{number:026d}"


@dataclass
class World:
    """Who and what the questions are about: an ordinary person, and things of theirs."""

    ann: Actor = field(default_factory=lambda: Actor(key("usr", 7), "p7@x.org", ALL_SCOPES))
    project: str = key("prj", 7)
    root: str = key("col", 2 * 7)
    folder: str = key("col", 2 * 7 + 1)
    #: One in the middle of a long history, so that both directions are deep.
    asset: str = key("ast", 7)
    #: One that comes from thousands.
    summary: str = key("ast", SUMMARY)
    content: str = key("cnt", 7)
    session: str = key("upl", 7)
    group: str = key("grp", 7)


def fill(conn: Connection) -> World:
    """Put everything into an empty catalogue."""
    for table, rows in _everything(random.Random(4)):
        _insert(conn, table, list(rows))
    return World()


def _insert(conn: Connection, table: Table, rows: Sequence[Row]) -> None:
    if conn.dialect.name != "postgresql":
        conn.execute(insert(table), rows)
        return
    names = list(rows[0])
    dbapi: Any = conn.connection.dbapi_connection
    with dbapi.cursor().copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([row[name] for name in names])


def _everything(rng: random.Random) -> Iterator[tuple[Table, Iterator[Row]]]:
    yield t.principals, _principals()
    yield t.projects, _projects()
    yield t.collections, _collections()
    yield t.collection_scopes, _scopes()
    yield t.assets, (_asset(n, n % PROJECTS) for n in range(ASSETS))
    yield (
        t.aliases,
        ({"alias_folded": f"a{n}", "alias": f"A{n}", "node_id": key("ast", n)} for n in range(3, ASSETS, 4)),
    )
    yield t.contents, (_content(n) for n in range(ASSETS))
    yield t.content_files, (_file(n) for n in range(ASSETS))
    yield t.relationships, _links(rng)
    yield t.grants, _grants(rng)
    yield (
        at.group_members,
        ({"group_id": key("grp", n), "member_id": key("usr", n), "created_at": n} for n in range(50)),
    )
    yield t.allocations, (_allocation(n) for n in range(PROJECTS))
    yield t.upload_sessions, (_session(n) for n in range(SESSIONS))
    yield t.upload_files, (_upload_file(n, file) for n in range(SESSIONS) for file in range(2))
    yield t.upload_parts, (_part(n, part) for n in range(SESSIONS) for part in range(1, 5))
    yield t.tokens, (_token(n) for n in range(2000))
    yield t.requests, (_request(n) for n in range(3000))


def _principals() -> Iterator[Row]:
    for n in range(PEOPLE):
        yield _principal("usr", n, "user", f"p{n}@x.org")
    for n in range(50):
        yield _principal("grp", n, "group", f"g{n}")


def _principal(prefix: str, n: int, kind: str, email: str) -> Row:
    row: Row = {"id": key(prefix, n), "kind": kind, "email": email, "display_name": "", "disabled": False}
    return {**row, "created_at": n}


def _projects() -> Iterator[Row]:
    for n in range(PROJECTS):
        row: Row = {"id": key("prj", n), "name": f"P{n}", "description": "", "alias": ""}
        roots = {"root_collection_id": key("col", 2 * n), "default_allocation_id": key("alc", n)}
        yield {**row, **roots, "created_at": n, "created_by": key("usr", n % PEOPLE)}


def _collections() -> Iterator[Row]:
    for n in range(PROJECTS):
        own: Row = {"project_id": key("prj", n), "owner_type": "project", "owner_id": key("prj", n), "alias": ""}
        own |= {"description": "", "created_at": n, "created_by": key("usr", n % PEOPLE)}
        yield {"id": key("col", 2 * n), "parent_id": None, "name": key("prj", n), "path": "/", **own}
        yield {"id": key("col", 2 * n + 1), "parent_id": key("col", 2 * n), "name": "f", "path": "/f", **own}


def _scopes() -> Iterator[Row]:
    for n in range(PROJECTS):
        root, folder, project = key("col", 2 * n), key("col", 2 * n + 1), key("prj", n)
        for below, above in ((root, root), (root, project), (folder, folder), (folder, root), (folder, project)):
            yield {"collection_id": below, "resource_id": above}


def _asset(n: int, project: int) -> Row:
    row: Row = {"id": key("ast", n), "title": f"A{n}", "description": "", "alias": f"A{n}" if n % 4 == 3 else ""}
    row |= {"tags": "[]", "metadata": '{"k": 1}', "owner_type": "project", "owner_id": key("prj", project)}
    row |= {"project_id": key("prj", project), "collection_id": key("col", 2 * project + n // PROJECTS % 2)}
    row |= {"state": "ready", "latest_content_id": key("cnt", n), "size_bytes": 1, "file_count": 1, "etag": "e"}
    someone = key("usr", n % PEOPLE)
    return {**row, "created_at": n, "created_by": someone, "updated_at": n, "updated_by": someone}


def _content(n: int) -> Row:
    row: Row = {"id": key("cnt", n), "asset_id": key("ast", n), "version": 1, "digest": "d", "size_bytes": 1}
    return {**row, "file_count": 1, "message": "", "created_at": n, "created_by": key("usr", n % PEOPLE)}


def _file(n: int) -> Row:
    row: Row = {"content_id": key("cnt", n), "file_index": 0, "path": "f", "size_bytes": 1, "digest": b"d" * 16}
    return {**row, "part_bytes": 1 << 20, "part_digests": b"d" * 16, "media_type": "", "blob_key": f"k{n}"}


def _links(rng: random.Random) -> Iterator[Row]:
    """Each asset comes from others of its project that are older, and from one of any project; one from many."""
    number = 0
    for n in range(ASSETS):
        older = [n - PROJECTS * back for back in rng.sample(range(1, 8), LINKS_EACH - 1)]
        many = list(range(SUMMARISED)) if n == SUMMARY else []
        for origin in [each for each in older if each >= 0] + ([rng.randrange(n)] if n else []) + many:
            number += 1
            row: Row = {"id": key("rel", number), "fingerprint": number.to_bytes(32, "big"), "type": "of"}
            ends = {"from_asset_id": key("ast", n), "to_asset_id": key("ast", origin)}
            rest = {"analysis_mode": "", "qualifier_note": "", "qualifier_time": "", "qualifiers": "{}"}
            yield {**row, **ends, **rest, "created_at": number, "created_by": key("usr", n % PEOPLE)}


def _grants(rng: random.Random) -> Iterator[Row]:
    for n in range(PEOPLE):
        for project in {n % PROJECTS, *rng.sample(range(PROJECTS), 4)}:
            role = "owner" if project == n else "viewer"
            yield {"principal_id": key("usr", n), "resource_id": key("prj", project), "role": role, "created_at": n}
        for asset in rng.sample(range(ASSETS), 5):
            yield {"principal_id": key("usr", n), "resource_id": key("ast", asset), "role": "viewer", "created_at": n}
        folder = key("col", 2 * rng.randrange(PROJECTS) + 1)
        yield {"principal_id": key("usr", n), "resource_id": folder, "role": "editor", "created_at": n}
    for n in range(50):
        yield {"principal_id": key("grp", n), "resource_id": key("prj", n + 100), "role": "editor", "created_at": n}


def _allocation(n: int) -> Row:
    row: Row = {"id": key("alc", n), "owner_type": "project", "owner_id": key("prj", n), "storage_location": "default"}
    return {**row, "quota_bytes": 1 << 50, "used_bytes": 0, "reserved_bytes": 0, "created_at": n}


def _session(n: int) -> Row:
    row: Row = {
        "id": key("upl", n),
        "asset_id": key("ast", n),
        "new_asset": False,
        "principal_id": key("usr", n % PEOPLE),
    }
    row |= {
        "request_id": f"r{n}",
        "request_fingerprint": b"f" * 32,
        "message": "",
        "allocation_id": key("alc", n % 300),
    }
    row |= {"state": "open" if n % 3 else "committed", "total_size_bytes": 2 << 20, "total_file_count": 2}
    return {**row, "content_id": "", "expires_at": 1000 + n, "created_at": n}


def _upload_file(n: int, file: int) -> Row:
    row: Row = {"session_id": key("upl", n), "file_index": file, "path": f"f{file}", "size_bytes": 2 << 20}
    return {**row, "part_bytes": 1 << 20, "media_type": ""}


def _part(n: int, part: int) -> Row:
    row: Row = {"session_id": key("upl", n), "file_index": (part - 1) // 2, "part_number": (part - 1) % 2 + 1}
    return {**row, "digest": b"d" * 16, "block_digests": b"d" * 16, "stored_at": n}


def _token(n: int) -> Row:
    row: Row = {"id": key("tok", n), "principal_id": key("usr", n % PEOPLE), "sha256": n.to_bytes(32, "big")}
    return {**row, "scopes": "read", "expires_at": None, "revoked_at": None, "created_at": n}


def _request(n: int) -> Row:
    row: Row = {"request_id": f"q{n}", "principal_id": key("usr", n % PEOPLE), "method": "m", "fingerprint": b"f" * 32}
    return {**row, "result_id": "x", "created_at": n}
