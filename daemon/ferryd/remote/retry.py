"""A decorator of the port `Hub`: tries again at once when a call got lost. Upload steps 7, 8 and 10, download D7.

Only blips. Every call of the port is idempotent, so a repeat does no harm.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from ferryd.core.model import Part, UploadSpec
from ferryd.core.ports import Content, Hub, Location, Manifest, RemoteFile, Session, UploadFile
from ferryd.remote.blips import Blips
from ferrywire.reasons import FerryError

T = TypeVar("T")


class RetryingHub:
    """Implements the port `Hub` round another one."""

    def __init__(self, hub: Hub, blips: Blips) -> None:
        self._hub = hub
        self._blips = blips

    async def create_upload(self, spec: UploadSpec, files: Sequence[UploadFile], request_id: str) -> Session:
        return await self._retry(lambda: self._hub.create_upload(spec, files, request_id))

    async def sign_parts(self, session_id: str, parts: Sequence[Part]) -> list[Location]:
        return await self._retry(lambda: self._hub.sign_parts(session_id, parts))

    async def sign_pack(self, session_id: str, parts: Sequence[Part], crc64nvme: bytes) -> Location:
        return await self._retry(lambda: self._hub.sign_pack(session_id, parts, crc64nvme))

    async def record_parts(self, session_id: str, parts: Sequence[Part], pack_crc64nvme: bytes | None = None) -> None:
        await self._retry(lambda: self._hub.record_parts(session_id, parts, pack_crc64nvme))

    async def list_parts(self, session_id: str) -> AsyncIterator[Part]:
        """Lists again after a failure, without giving a part twice."""
        last, failures = (-1, 0), 0
        while True:
            began = self._blips.clock.monotonic()
            try:
                async for part in self._hub.list_parts(session_id):
                    if (part.file_index, part.number) > last:
                        last, failures = (part.file_index, part.number), 0
                        yield part
                        began = self._blips.clock.monotonic()  # how long the caller took is not the hub's doing
            except FerryError as error:
                failures += 1
                await self._blips.wait(error, failures, began)
            else:
                return

    async def commit_upload(self, session_id: str, file_digests: Sequence[bytes]) -> Content:
        return await self._retry(lambda: self._hub.commit_upload(session_id, file_digests))

    async def abort_upload(self, session_id: str) -> None:
        await self._retry(lambda: self._hub.abort_upload(session_id))

    async def get_manifest(self, asset_id: str, content_id: str) -> tuple[Manifest, list[RemoteFile]]:
        return await self._retry(lambda: self._hub.get_manifest(asset_id, content_id))

    async def _retry(self, attempt: Callable[[], Awaitable[T]]) -> T:
        failures = 0
        while True:
            began = self._blips.clock.monotonic()
            try:
                return await attempt()
            except FerryError as error:
                failures += 1
                await self._blips.wait(error, failures, began)
