"""What `ferryhub verify` and `ferryhub backup` ask the catalogue: which files there must be, and how far a check got.

Part of no upload step. Only committed files are listed; no bytes are read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, select, tuple_, update

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.locations import OWN_FILES

_STATE: Final = "verify"


@dataclass(frozen=True, slots=True)
class Totals:
    """What all contents have together."""

    files: int
    size_bytes: int


def totals(conn: Connection) -> Totals:
    """Counts over all contents: the one statement that may take its time, for it reads a whole table."""
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql("SET LOCAL statement_timeout = 0")
    files, size_bytes = conn.execute(_TOTALS).one()
    return Totals(int(files or 0), int(size_bytes or 0))


def files_after(conn: Connection, content_id: str, file_index: int, limit: int) -> Sequence[Row[Any]]:
    """The files that come after this one, in order of content and index, empty ones too. Begin with `""` and -1."""
    return conn.execute(_FILES, {"content": content_id, "index": file_index, "limit": limit}).all()


def exists(conn: Connection, content_id: str) -> bool:
    """Whether the content is still there."""
    return conn.execute(_EXISTS, {"content": content_id}).first() is not None


def elsewhere(conn: Connection) -> list[str]:
    """The storage locations besides the hub's own files that contents are kept at."""
    return list(conn.execute(_ELSEWHERE).scalars())


def forget_staged(conn: Connection) -> None:
    """Let no row say that a part of an open upload is among the hub's own files: it is sent again."""
    conn.execute(_FORGET_STAGED)


def load_state(conn: Connection) -> str | None:
    """How far a check got that has not ended, as it was saved, a JSON object; None when there is none."""
    found: str | None = conn.execute(_LOAD).scalar()
    return found and found[found.index("{") :]


def replace_state(conn: Connection, run: str, state: str) -> None:
    """Begin to keep a state for a run, whoever kept one before."""
    conn.execute(_DROP)
    conn.execute(insert(t.settings), {"key": _STATE, "value": run + state})


def save_state(conn: Connection, run: str, state: str | None) -> bool:
    """Replace the run's own state, or drop it; False when another run has put its own there."""
    mine = {"run": run, "length": len(run)}
    if state is None:
        return conn.execute(_DROP_MINE, mine).rowcount == 1
    return conn.execute(_SAVE, mine | {"state": run + state}).rowcount == 1


_c, _cf, _s = t.contents.c, t.content_files.c, t.settings.c
_TOTALS = select(func.sum(_c.file_count), func.sum(_c.size_bytes))
_FILES: Select[Any] = (
    select(
        _cf.content_id,
        _cf.file_index,
        _cf.path,
        _cf.size_bytes,
        _cf.digest,
        _cf.part_bytes,
        _cf.part_digests,
        _cf.blob_key,
        _cf.blob_offset,
        _c.asset_id,
        _c.version,
        _c.storage_location,
    )
    .join(t.contents, _c.id == _cf.content_id)
    .where(tuple_(_cf.content_id, _cf.file_index) > tuple_(bindparam("content"), bindparam("index")))
    .order_by(_cf.content_id, _cf.file_index)
    .limit(bindparam("limit"))
)
_EXISTS = select(_c.id).where(_c.id == bindparam("content"))
_ELSEWHERE = select(_c.storage_location).where(_c.storage_location != OWN_FILES).distinct()
_OPEN = select(t.upload_sessions.c.id).where(
    t.upload_sessions.c.state == "open", t.upload_sessions.c.storage_location == OWN_FILES
)
_FORGET_STAGED = delete(t.upload_parts).where(t.upload_parts.c.session_id.in_(_OPEN))
_LOAD = select(_s.value).where(_s.key == _STATE)
_DROP = delete(t.settings).where(_s.key == _STATE)
_MINE = func.substr(_s.value, 1, bindparam("length")) == bindparam("run")
_DROP_MINE = _DROP.where(_MINE)
_SAVE = update(t.settings).where(_s.key == _STATE, _MINE).values(value=bindparam("state"))
