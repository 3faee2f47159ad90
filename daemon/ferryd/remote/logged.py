"""A decorator of the port `Hub`: writes each call to the log, at debug level. Upload steps 7, 8 and 10, download D7.

Method, ids, counts, duration and the reason of a failure. Never a title, a path, metadata or a URL.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Sequence

from ferryd.core.model import Part, UploadSpec
from ferryd.core.ports import Clock, Content, Hub, Location, Manifest, RemoteFile, Session, UploadFile
from ferrywire.reasons import FerryError

log = logging.getLogger(__name__)


class LoggedHub:
    """Implements the port `Hub` round another one."""

    def __init__(self, hub: Hub, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock

    async def create_upload(self, spec: UploadSpec, files: Sequence[UploadFile], request_id: str) -> Session:
        with self._logged("create_upload", request_id, len(files)):
            return await self._hub.create_upload(spec, files, request_id)

    async def sign_parts(self, session_id: str, parts: Sequence[Part]) -> list[Location]:
        with self._logged("sign_parts", session_id, len(parts)):
            return await self._hub.sign_parts(session_id, parts)

    async def sign_pack(self, session_id: str, parts: Sequence[Part], crc64nvme: bytes) -> Location:
        with self._logged("sign_pack", session_id, len(parts)):
            return await self._hub.sign_pack(session_id, parts, crc64nvme)

    async def record_parts(self, session_id: str, parts: Sequence[Part], pack_crc64nvme: bytes | None = None) -> None:
        with self._logged("record_parts", session_id, len(parts)):
            await self._hub.record_parts(session_id, parts, pack_crc64nvme)

    async def list_parts(self, session_id: str) -> AsyncIterator[Part]:
        with self._logged("list_parts", session_id):
            async for part in self._hub.list_parts(session_id):
                yield part

    async def commit_upload(self, session_id: str, file_digests: Sequence[bytes]) -> Content:
        with self._logged("commit_upload", session_id, len(file_digests)):
            return await self._hub.commit_upload(session_id, file_digests)

    async def abort_upload(self, session_id: str) -> None:
        with self._logged("abort_upload", session_id):
            await self._hub.abort_upload(session_id)

    async def get_manifest(self, asset_id: str, content_id: str) -> tuple[Manifest, list[RemoteFile]]:
        with self._logged("get_manifest", content_id or asset_id):
            return await self._hub.get_manifest(asset_id, content_id)

    @contextlib.contextmanager
    def _logged(self, method: str, subject: str, count: int | None = None) -> Iterator[None]:
        began = self._clock.monotonic()
        outcome = "ok"
        try:
            yield
        except FerryError as error:
            outcome = error.reason
            raise
        finally:
            took_ms = (self._clock.monotonic() - began) * 1000
            log.debug(
                "hub_called method=%s id=%s count=%s outcome=%s ms=%.1f", method, subject, count, outcome, took_ms
            )
