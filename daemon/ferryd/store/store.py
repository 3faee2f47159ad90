"""The queue in SQLite: the `Store` port. Upload steps 5 (the promise is made here) and 9 (part rows).

Every write is one closure for the writer thread; statements are in sql/queries.sql, the rules for changes of state in
core/states.py. No decision about transfers is taken here.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from ferryd.core.model import EMBEDDED, Candidate, Context, Limits, StoredPart, Transfer, TransferFile
from ferryd.core.observing import Observer
from ferryd.core.states import SETTLED, TRANSITIONS, Event, IllegalTransition, State, advance
from ferryd.store import rows
from ferryd.store.db import Database
from ferryd.store.sql import QUERIES
from ferrywire.reasons import FerryError, Wait

_NO_LIMIT: Final = -1
_NEWEST: Final = 2**63 - 1


class SqliteStore:
    """The durable queue. `now` gives the time of rows, in seconds since the epoch."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._db = database
        self._now = now

    @classmethod
    async def open(
        cls,
        path: Path,
        now: Callable[[], float] = time.time,
        home: Context = EMBEDDED,
        observer: Observer | None = None,
    ) -> SqliteStore:
        """Open or create the queue at `path`, mode 0600; a damaged one is kept under another name. Transfers from
        before there were many hubs are `home`'s."""
        return cls(await asyncio.to_thread(Database.open, path, home, observer), now)

    async def close(self) -> None:
        """Finish the queued writes and close. Idempotent."""
        await asyncio.to_thread(self._db.close)

    async def insert(self, transfer: Transfer, files: Sequence[TransferFile], fingerprint: str) -> Transfer:
        row = rows.from_new_transfer(transfer, fingerprint)

        def action(db: sqlite3.Connection) -> Transfer:
            if known := db.execute(QUERIES["find_request"], {"request_id": transfer.request_id}).fetchone():
                return _same_request(known, fingerprint)
            db.execute(QUERIES["insert_transfer"], row)
            db.executemany(QUERIES["put_file"], (rows.from_file(transfer.id, file) for file in files))
            _add_event(db, transfer.id, "create", None, transfer, self._now())
            return transfer

        return await self._db.write(action)

    async def find_request(self, request_id: str) -> tuple[Transfer, str] | None:
        def action(db: sqlite3.Connection) -> tuple[Transfer, str] | None:
            row = db.execute(QUERIES["find_request"], {"request_id": request_id}).fetchone()
            return (rows.to_transfer(row), row["fingerprint"]) if row else None

        return await self._db.read(action)

    async def get(self, transfer_id: str) -> Transfer:
        return await self._db.read(lambda db: _get(db, transfer_id))

    async def page(self, states: Sequence[State], before: int | None, limit: int) -> list[tuple[int, Transfer]]:
        values: dict[str, Any] = {"before": _NEWEST if before is None else before, "limit": limit}
        names = sorted(set(states)) if states else []
        values |= {f"s{at}": names[at] if at < len(names) else "" for at in range(len(State))}
        query = QUERIES["page_states" if names else "page_all"]
        return await self._db.read(
            lambda db: [(row["seq"], rows.to_transfer(row)) for row in db.execute(query, values)]
        )

    async def count(self, states: Sequence[State]) -> int:
        counts = await self.counts()
        return sum(counts.get(state, 0) for state in (set(states) or set(State)))

    async def counts(self) -> dict[State, int]:
        return await self._db.read(lambda db: {State(row["state"]): row["n"] for row in db.execute(QUERIES["counts"])})

    async def unsettled(self) -> dict[tuple[State, str], int]:
        def action(db: sqlite3.Connection) -> dict[tuple[State, str], int]:
            return {(State(row["state"]), row["waiting_for"]): row["n"] for row in db.execute(QUERIES["unsettled"])}

        return await self._db.read(action)

    async def files(self, transfer_id: str, after: int = -1, limit: int | None = None) -> list[TransferFile]:
        values = {"transfer_id": transfer_id, "after": after, "limit": _NO_LIMIT if limit is None else limit}
        return await self._db.read(lambda db: [rows.to_file(row) for row in db.execute(QUERIES["files"], values)])

    async def parts(self, transfer_id: str) -> list[StoredPart]:
        values = {"transfer_id": transfer_id}
        return await self._db.read(lambda db: [rows.to_part(row) for row in db.execute(QUERIES["parts"], values)])

    async def events(self, transfer_id: str) -> list[tuple[str, str, str]]:
        """The history of a transfer, oldest first: (event, state after it, reason)."""
        values = {"transfer_id": transfer_id}
        return await self._db.read(
            lambda db: [(row["event"], row["to_state"], row["reason"]) for row in db.execute(QUERIES["events"], values)]
        )

    async def change(self, transfer_id: str, event: Event, **fields: Any) -> Transfer:
        return await self._db.write(lambda db: _change(db, transfer_id, event, self._now(), fields))

    async def claim(self, transfer_ids: Sequence[str]) -> list[Transfer]:
        def action(db: sqlite3.Connection) -> list[Transfer]:
            queued = [found for one in transfer_ids if (found := _get(db, one)).state is State.QUEUED]
            return [
                _change(db, one.id, Event.CLAIM, self._now(), {"attempts": one.attempts + 1, "waiting_for": None})
                for one in queued
            ]

        return await self._db.write(action)

    async def update(self, transfer_id: str, **fields: Any) -> Transfer:
        return await self._db.write(lambda db: _update(db, transfer_id, self._now(), fields))

    async def record(
        self,
        transfer_id: str,
        *,
        parts: Sequence[StoredPart] = (),
        files: Sequence[TransferFile] = (),
        **fields: Any,
    ) -> Transfer:
        part_values, file_values = tuple(parts), tuple(files)  # the caller goes on; rows are made in the thread

        def action(db: sqlite3.Connection) -> Transfer:
            changed = _update(db, transfer_id, self._now(), fields)
            db.executemany(QUERIES["put_part"], (rows.from_part(transfer_id, part) for part in part_values))
            db.executemany(QUERIES["put_file"], (rows.from_file(transfer_id, file) for file in file_values))
            return changed

        return await self._db.write(action)

    async def replan(self, transfer_id: str, files: Sequence[TransferFile], **fields: Any) -> Transfer:
        file_values = tuple(files)

        def action(db: sqlite3.Connection) -> Transfer:
            db.execute(QUERIES["drop_all_parts"], {"transfer_id": transfer_id})
            db.executemany(QUERIES["put_file"], (rows.from_file(transfer_id, file) for file in file_values))
            return _update(db, transfer_id, self._now(), fields)

        return await self._db.write(action)

    async def forget_session(self, transfer_id: str) -> Transfer:
        def action(db: sqlite3.Connection) -> Transfer:
            number = _get(db, transfer_id).session_number + 1
            db.execute(QUERIES["forget_parts"], {"transfer_id": transfer_id})
            db.execute(QUERIES["forget_files"], {"transfer_id": transfer_id})
            return _update(db, transfer_id, self._now(), {"session_id": "", "session_number": number, "debris": False})

        return await self._db.write(action)

    async def release_due(self, now: float) -> list[Transfer]:
        def action(db: sqlite3.Connection) -> list[Transfer]:
            db.execute(QUERIES["release_queued"], {"now": now})
            due = [row["id"] for row in db.execute(QUERIES["due_paused"], {"now": now})]
            return [_change(db, one, Event.RESUME, self._now(), {"waiting_for": Wait.SLOT}) for one in due]

        return await self._db.write(action)

    async def release_signed_out(self, context: Context) -> list[Transfer]:
        values = {"context": context.name, "hub": context.hub}
        fresh = {"waiting_for": Wait.SLOT, "attempts": 0, "error": None}

        def action(db: sqlite3.Connection) -> list[Transfer]:
            paused = [row["id"] for row in db.execute(QUERIES["signed_out_of"], values)]
            return [_change(db, one, Event.RESUME, self._now(), fresh) for one in paused]

        return await self._db.write(action)

    async def candidates(self, per_client: int) -> list[Candidate]:
        def action(db: sqlite3.Connection) -> list[Candidate]:
            found: list[Candidate] = []
            context = _next_ready(db, Context("", ""))
            while context is not None:
                values = {"per_client": per_client, "context": context.name, "hub": context.hub}
                found += [
                    Candidate(row["id"], row["client"], row["priority"], row["seq"], context)
                    for row in db.execute(QUERIES["candidates"], values)
                ]
                context = _next_ready(db, context)
            return found

        return await self._db.read(action)

    async def next_due(self) -> float | None:
        def action(db: sqlite3.Connection) -> float | None:
            at: float | None = db.execute(QUERIES["next_due"]).fetchone()["at"]
            return at

        return await self._db.read(action)

    async def recover(self) -> list[Transfer]:
        def action(db: sqlite3.Connection) -> list[Transfer]:
            fields = {"waiting_for": Wait.SLOT}
            running = [row["id"] for row in db.execute(QUERIES["interrupted"])]
            signed_out = [row["id"] for row in db.execute(QUERIES["signed_out"])]
            return [_change(db, one, Event.RECOVER, self._now(), fields) for one in running] + [
                _change(db, one, Event.RESUME, self._now(), fields) for one in signed_out
            ]

        return await self._db.write(action)

    async def debris(self) -> list[Transfer]:
        return await self._db.read(lambda db: [rows.to_transfer(row) for row in db.execute(QUERIES["debris"])])

    async def active(self) -> bool:
        return await self._db.read(lambda db: bool(db.execute(QUERIES["active"]).fetchone()["active"]))

    async def load_limits(self) -> Limits | None:
        text = await self._db.read(lambda db: _setting(db, "limits"))
        return Limits(**json.loads(text)) if text else None

    async def save_limits(self, limits: Limits) -> None:
        values = {"name": "limits", "value": json.dumps(asdict(limits))}
        await self._db.write(lambda db: db.execute(QUERIES["put_setting"], values).rowcount)

    async def page_key(self) -> bytes:
        return bytes.fromhex(await self._db.read(lambda db: _setting(db, "page_key")))


def _get(db: sqlite3.Connection, transfer_id: str) -> Transfer:
    row = db.execute(QUERIES["get_transfer"], {"id": transfer_id}).fetchone()
    if row is None:
        raise FerryError("TRANSFER_NOT_FOUND", f"there is no transfer {transfer_id!r}", transferId=transfer_id)
    return rows.to_transfer(row)


def _next_ready(db: sqlite3.Connection, after: Context) -> Context | None:
    row = db.execute(QUERIES["next_ready_context"], {"context": after.name, "hub": after.hub}).fetchone()
    return Context(row["context"], row["hub"]) if row else None


def _same_request(row: sqlite3.Row, fingerprint: str) -> Transfer:
    if row["fingerprint"] != fingerprint:
        request_id = row["request_id"]
        message = f"request id {request_id!r} was used for transfer {row['id']} with other arguments"
        raise FerryError("REQUEST_ID_REUSED", message, requestId=request_id)
    return rows.to_transfer(row)


def _change(db: sqlite3.Connection, transfer_id: str, event: Event, now: float, fields: dict[str, Any]) -> Transfer:
    before = _get(db, transfer_id)
    try:
        state = advance(before.state, event)
    except IllegalTransition as error:
        message = f"transfer {transfer_id} is {before.state}: {event} is not possible"
        raise FerryError("ILLEGAL_TRANSITION", message, state=before.state, event=event) from error
    cleared: dict[str, Any] = {"phase": None, "waiting_for": None, "next_attempt_at": None}
    cleared["ended_at"] = now if state in SETTLED else None
    after = replace(before, **cleared | fields, state=state, updated_at=now)
    _write(db, after, before.state)
    _add_event(db, transfer_id, event, before.state, after, now)
    if not TRANSITIONS[state]:  # nothing can follow: what was kept to go on is of no use
        db.execute(QUERIES["drop_all_parts"], {"transfer_id": transfer_id})
    return after


def _update(db: sqlite3.Connection, transfer_id: str, now: float, fields: dict[str, Any]) -> Transfer:
    before = _get(db, transfer_id)
    after = replace(before, **fields, updated_at=now)
    _write(db, after, before.state)
    return after


def _write(db: sqlite3.Connection, transfer: Transfer, guard: State) -> None:
    """The guarded UPDATE: it must find the row in the state it was read in."""
    if db.execute(QUERIES["write_transfer"], rows.from_transfer(transfer) | {"guard": guard}).rowcount != 1:
        raise sqlite3.OperationalError(f"transfer {transfer.id} changed its state in the midst of a transaction")


def _add_event(
    db: sqlite3.Connection, transfer_id: str, event: str, came_from: State | None, after: Transfer, now: float
) -> None:
    values = {
        "transfer_id": transfer_id,
        "at": now,
        "event": event,
        "from_state": came_from,
        "to_state": after.state,
        "reason": after.error.reason if after.error else "",
    }
    db.execute(QUERIES["add_event"], values)


def _setting(db: sqlite3.Connection, name: str) -> str:
    row = db.execute(QUERIES["get_setting"], {"name": name}).fetchone()
    return str(row["value"]) if row else ""
