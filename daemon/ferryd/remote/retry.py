"""A decorator of the port `Hub`: tries again at once when a call got lost. Upload steps 7, 8 and 10, download D7.

Only blips: a few tries within about a second. Whatever lasts longer is the engine's to wait for, visibly. Every call of
the port is idempotent, so a repeat does no harm.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

from ferryd.core.model import Part, UploadSpec
from ferryd.core.ports import Clock, Content, Hub, Location, Manifest, RemoteFile, Session, UploadFile
from ferrywire.reasons import FerryError

T = TypeVar("T")

_REASONS: Final = frozenset({"HUB_UNREACHABLE", "HUB_OVERLOADED"})
_LONGEST_WAIT_S: Final = 2.0
#: An attempt that took longer was no blip (a deadline passed): the engine decides.
_QUICK_S: Final = 5.0


class RetryingHub:
    """Implements the port `Hub` round another one. At most `tries` attempts; the wait before attempt n + 1 is random
    below `base_s` · 2ⁿ (full jitter), or what the hub asked for when that is short."""

    def __init__(
        self,
        hub: Hub,
        clock: Clock,
        *,
        tries: int = 3,
        base_s: float = 0.2,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._hub = hub
        self._clock = clock
        self._tries = tries
        self._base_s = base_s
        self._jitter = jitter

    async def create_upload(self, spec: UploadSpec, files: Sequence[UploadFile], request_id: str) -> Session:
        return await self._retry(lambda: self._hub.create_upload(spec, files, request_id))

    async def sign_parts(self, session_id: str, parts: Sequence[Part]) -> list[Location]:
        return await self._retry(lambda: self._hub.sign_parts(session_id, parts))

    async def record_parts(self, session_id: str, parts: Sequence[Part]) -> None:
        await self._retry(lambda: self._hub.record_parts(session_id, parts))

    async def list_parts(self, session_id: str) -> AsyncIterator[Part]:
        """Lists again after a failure, without giving a part twice."""
        last, failures = (-1, 0), 0
        while True:
            began = self._clock.monotonic()
            try:
                async for part in self._hub.list_parts(session_id):
                    if (part.file_index, part.number) > last:
                        last, failures = (part.file_index, part.number), 0
                        yield part
                        began = self._clock.monotonic()  # how long the caller took is not the hub's doing
            except FerryError as error:
                failures += 1
                await self._wait(error, failures, began)
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
            began = self._clock.monotonic()
            try:
                return await attempt()
            except FerryError as error:
                failures += 1
                await self._wait(error, failures, began)

    async def _wait(self, error: FerryError, failures: int, began: float) -> None:
        """Wait before the next attempt, or raise the error when there is none."""
        asked_s = error.retry_after_s
        quick = self._clock.monotonic() - began < _QUICK_S and (asked_s or 0) <= _LONGEST_WAIT_S
        if error.reason not in _REASONS or failures >= self._tries or not quick:
            raise error
        await self._clock.sleep(self._jitter() * self._base_s * 2 ** (failures - 1) if asked_s is None else asked_s)
