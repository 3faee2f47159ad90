"""What people and programs can tell the engine to do with transfers. Upload step 4; returns after step 5.

Validation is in validate.py, the rules of states in core/states.py. A command that fails has changed nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from os.path import commonpath
from pathlib import PurePosixPath
from typing import Final

from ferryd.core.crashpoint import crashpoint
from ferryd.core.model import Context, DownloadSpec, Kind, SourceFile, Transfer, TransferFile, UploadSpec
from ferryd.core.ports import Clock, Files
from ferryd.core.states import SETTLED, Event, State
from ferryd.engine import validate
from ferryd.engine.ledger import Ledger
from ferrywire.ids import new_id
from ferrywire.parts import DEFAULT_PART_BYTES, part_count, part_size
from ferrywire.patterns import selection
from ferrywire.reasons import FerryError, Wait

_FRESH: Final = {"attempts": 0, "next_attempt_at": None, "waiting_for": Wait.SLOT, "error": None, "debris": False}


@dataclass(frozen=True, slots=True)
class Request:
    """What comes with every new transfer, whatever it is: who asks, how urgently, and which hub it belongs to."""

    client: str
    priority: int
    request_id: str
    context: Context


class Commands:
    """`wake` is called when the scheduler may have something to do."""

    def __init__(self, ledger: Ledger, files: Files, clock: Clock, wake: Callable[[], None]) -> None:
        self._ledger = ledger
        self._files = files
        self._clock = clock
        self._wake = wake

    async def create_upload(self, spec: UploadSpec, ask: Request) -> Transfer:
        validate.check_upload(spec)
        validate.check_request(client=ask.client, priority=ask.priority, request_id=ask.request_id)
        fingerprint = _fingerprint(Kind.UPLOAD, spec, ask.priority)
        if known := await self._repeated(ask, fingerprint):
            return known
        wanted = selection(spec.include, spec.exclude)
        sources = await asyncio.to_thread(self._files.scan, spec.paths, wanted)
        if not sources:
            raise FerryError("INVALID_ARGUMENT", f"there is no file below {spec.paths[0]}", field="paths")
        files = _plan(sources, spec.part_bytes)
        path = spec.paths[0] if len(spec.paths) == 1 else commonpath(spec.paths)
        transfer = replace(
            self._new(Kind.UPLOAD, spec, ask),
            title=spec.title or PurePosixPath(spec.paths[0]).name,
            local_path=path,
            size_bytes=sum(file.size_bytes for file in files),
            chunk_count=sum(part_count(file.size_bytes, file.part_bytes) for file in files),
            file_count=len(files),
            file_name=files[0].path,
        )
        return await self._insert(transfer, files, fingerprint)

    async def create_download(self, spec: DownloadSpec, ask: Request) -> Transfer:
        validate.check_download(spec)
        validate.check_request(client=ask.client, priority=ask.priority, request_id=ask.request_id)
        fingerprint = _fingerprint(Kind.DOWNLOAD, spec, ask.priority)
        if known := await self._repeated(ask, fingerprint):
            return known
        await asyncio.to_thread(self._files.check_destination, spec.dest_dir)
        transfer = self._new(Kind.DOWNLOAD, spec, ask)
        return await self._insert(replace(transfer, local_path=spec.dest_dir), [], fingerprint)

    async def pause(self, transfer_id: str) -> Transfer:
        transfer = await self._ledger.store.get(transfer_id)
        if transfer.state is State.PAUSED and transfer.waiting_for is Wait.USER:
            return transfer
        if transfer.state is State.PAUSED:  # for sign-in: from now on only its user resumes it
            return await self._ledger.update(transfer_id, waiting_for=Wait.USER, next_attempt_at=None)
        return await self._ledger.change(transfer_id, Event.PAUSE, waiting_for=Wait.USER)

    async def resume(self, transfer_id: str) -> Transfer:
        transfer = await self._ledger.change(transfer_id, Event.RESUME, **_FRESH)
        self._wake()
        return transfer

    async def retry(self, transfer_id: str) -> Transfer:
        transfer = await self._ledger.store.get(transfer_id)
        if transfer.state is State.RUNNING:  # it is being tried: whoever saw it wait came a moment too late
            return transfer
        if transfer.state is not State.QUEUED:
            return await self.resume(transfer_id)
        transfer = await self._ledger.update(transfer_id, **_FRESH)
        self._wake()
        return transfer

    async def cancel(self, transfer_id: str) -> Transfer:
        transfer = await self._ledger.store.get(transfer_id)
        if transfer.state is State.CANCELLED:
            return transfer
        begun = bool(transfer.session_id or transfer.pinned_content_id or transfer.state is State.RUNNING)
        return await self._ledger.change(transfer_id, Event.CANCEL, debris=begun)

    async def set_priority(self, transfer_id: str, priority: int) -> Transfer:
        validate.check_priority(priority)
        transfer = await self._ledger.store.get(transfer_id)
        if transfer.state in SETTLED:
            message = f"transfer {transfer_id} is {transfer.state}: its priority cannot change"
            raise FerryError("ILLEGAL_TRANSITION", message, state=transfer.state, event="set_priority")
        transfer = await self._ledger.update(transfer_id, priority=priority)
        self._wake()
        return transfer

    async def _repeated(self, ask: Request, fingerprint: str) -> Transfer | None:
        """A repeat gives the first transfer, even when its source is gone by now."""
        request_id = ask.request_id
        found = await self._ledger.store.find_request(request_id) if request_id else None
        if found is None:
            return None
        transfer, known = found
        if known != fingerprint or transfer.context != ask.context:
            message = f"request id {request_id!r} was used for transfer {transfer.id} with other arguments"
            raise FerryError("REQUEST_ID_REUSED", message, requestId=request_id)
        return transfer

    async def _insert(self, transfer: Transfer, files: Sequence[TransferFile], fingerprint: str) -> Transfer:
        queued = await self._ledger.insert(transfer, files, fingerprint)
        crashpoint("after-insert")
        self._wake()
        return queued

    def _new(self, kind: Kind, spec: UploadSpec | DownloadSpec, ask: Request) -> Transfer:
        now = self._clock.now()
        return Transfer(
            id=new_id("trf"),
            kind=kind,
            state=State.QUEUED,
            spec=spec,
            client=ask.client,
            request_id=ask.request_id or secrets.token_hex(16),
            title="",
            local_path="",
            created_at=now,
            updated_at=now,
            context=ask.context,
            priority=ask.priority,
            waiting_for=Wait.SLOT,
        )


def _plan(sources: Sequence[SourceFile], part_bytes: int | None) -> list[TransferFile]:
    """The files with their part sizes. Upload step 4."""
    wanted = DEFAULT_PART_BYTES if part_bytes is None else part_bytes
    return [
        TransferFile(
            index=index,
            path=source.path,
            local_path=source.local_path,
            size_bytes=source.identity.size_bytes,
            part_bytes=part_size(source.identity.size_bytes, wanted),
            identity=source.identity,
        )
        for index, source in enumerate(sources)
    ]


def _fingerprint(kind: Kind, spec: UploadSpec | DownloadSpec, priority: int) -> str:
    """What makes two requests the same: everything that was asked for, but not who asked."""
    text = json.dumps([kind, asdict(spec), priority], sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
