"""The byte endpoint, raw ASGI: `PUT /blobs/uploads/<session>/<file>/<part>`, or `…/packs/<pack>`, and
`GET /blobs/<key>` with ranges.

Upload step 8 and D8. The signed URL is the only right anybody needs here. Memory is bounded by windows; a reader that
is slow slows the sender down. What to do with a part is `receive.py`'s.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from ferryhub.blobs.ranges import Unsatisfiable, parse_range
from ferryhub.blobs.receive import PartReceiver, corrupt
from ferryhub.blobs.signing import BLOBS_PATH, PACKS, UPLOADS_PATH, PackClaim, PartClaim, UrlSigner
from ferryhub.blobs.store import WINDOW_BYTES, BlobReader, HasFile, SupportsReads, is_blob_key
from ferryhub.blobs.threads import StoreThreads
from ferryhub.extensions import ZERO_COPY, offer_of, sends_files
from ferryhub.logs import refused
from ferrywire.ids import is_id
from ferrywire.reasons import FerryError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

#: What is counted and asked about at once where the server sends files.
_STRETCH_BYTES: Final = 8 << 20
_log = logging.getLogger(__name__)
_STATUS: Final = {
    "INVALID_ARGUMENT": 400,
    "CHUNK_CORRUPT": 400,
    "SIGNATURE_INVALID": 401,
    "SESSION_NOT_FOUND": 404,
    "RESOURCE_NOT_FOUND": 404,
    "UNIMPLEMENTED": 405,
    "HUB_OVERLOADED": 503,
    "READ_ONLY": 503,
    "DISK_FULL": 507,
}


class Disconnected(Exception):
    """The client went away; there is nobody to answer."""


class ByteEndpoint:
    """An ASGI application for everything below `/blobs`. `now_us` is the clock that expiry is held against."""

    def __init__(
        self,
        receiver: PartReceiver,
        store: SupportsReads,
        *,
        signer: UrlSigner,
        threads: StoreThreads,
        now_us: Callable[[], int],
    ) -> None:
        self._receiver = receiver
        self._store = store
        self._signer = signer
        self._threads = threads
        self._now_us = now_us

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = _Answer(send)
        try:
            await self._route(scope, receive, answer)
        except Disconnected:
            return
        except FerryError as error:
            await answer.error(error)
        except Exception as error:  # noqa: BLE001 - the edge: nothing unknown may show its text to the network
            error_id = secrets.token_hex(8)
            _log.error("byte_request_failed error_id=%s", error_id, exc_info=error)
            await answer.error(FerryError("INTERNAL", f"the hub made a mistake ({error_id})", errorId=error_id))

    async def _route(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        method, path = scope["method"], BLOBS_PATH + scope["path"].partition(BLOBS_PATH)[2]
        if method == "PUT" and path.startswith(f"{UPLOADS_PATH}/"):
            await self._put(scope, path, receive, answer)
        elif method in ("GET", "HEAD"):
            await self._get(scope, path, receive, answer)
        else:
            unknown = FerryError("UNIMPLEMENTED", f"{method} is not known here; PUT parts, GET or HEAD blobs")
            await answer.error(unknown, [(b"allow", b"GET, HEAD, PUT")])

    async def _put(self, scope: Scope, path: str, receive: Receive, answer: _Answer) -> None:
        claim = _claim(path, self._signed("PUT", path, scope))
        length = _headers(scope).get("content-length")
        if length is not None and length != str(claim.size_bytes):
            raise corrupt(claim, f"must have {claim.size_bytes} bytes, and the body has {length}")
        body = _Body(receive, offer_of(scope))
        if isinstance(claim, PackClaim):
            await self._receiver.receive_pack(claim, body)
        else:
            await self._receiver.receive(claim, body)
        await answer.empty()

    def _signed(self, method: str, path: str, scope: Scope) -> dict[str, str]:
        query = scope.get("query_string", b"").decode("latin-1")
        return self._signer.check(method, path, query, self._now_us() / 1e6)

    async def _get(self, scope: Scope, path: str, receive: Receive, answer: _Answer) -> None:
        self._signed("GET", path, scope)
        key = path.removeprefix(f"{BLOBS_PATH}/")
        reader = await self._threads.run(self._store.open_blob, key) if is_blob_key(key) else None
        if reader is None:
            raise FerryError("RESOURCE_NOT_FOUND", f"there is no blob '{key}'", resourceId=key)
        try:
            await self._give(scope, key, reader, receive, answer)
        finally:
            await self._threads.run_to_end(reader.close)

    async def _give(self, scope: Scope, key: str, reader: BlobReader, receive: Receive, answer: _Answer) -> None:
        size = reader.size_bytes
        always = [(b"accept-ranges", b"bytes"), (b"etag", f'"{key}"'.encode())]
        try:
            span = parse_range(_headers(scope).get("range"), size)
        except Unsatisfiable:
            refused = FerryError(
                "INVALID_ARGUMENT", f"range: the blob has {size} bytes; ask for one range of them", field="range"
            )
            await answer.error(refused, [*always, (b"content-range", f"bytes */{size}".encode())], status=416)
            return
        first, end = span or (0, size)
        headers = [
            *always,
            (b"content-type", b"application/octet-stream"),
            (b"x-content-type-options", b"nosniff"),
            (b"content-length", str(end - first).encode()),
        ]
        if span is not None:
            headers.append((b"content-range", f"bytes {first}-{end - 1}/{size}".encode()))
        await answer.start(200 if span is None else 206, headers)
        if scope["method"] == "HEAD":
            await answer.more(b"", last=True)
            return
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(_until_gone(receive, answer))
            if sends_files(scope) and isinstance(reader, HasFile):
                await _send_file(reader.fileno(), first, end, answer)
            else:
                await self._send(reader, first, end, answer)
            watch.cancel()

    async def _send(self, reader: BlobReader, first: int, end: int, answer: _Answer) -> None:
        """Send a range, window by window; the send waits while the client's side is full."""
        while first < end and not answer.gone:
            window = await self._threads.run(reader.read, first, min(WINDOW_BYTES, end - first))
            if not window:
                raise _shorter()
            first += len(window)
            await answer.more(window, last=first >= end)


class _Answer:
    """The reply to one request: head once, then bytes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._started = False
        #: The client went away; set by whoever notices.
        self.gone = False

    async def start(self, status: int, headers: Headers) -> None:
        self._started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def more(self, data: bytes, *, last: bool) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})

    async def file(self, fd: int, offset: int, count: int, *, last: bool) -> None:
        await self._send({"type": ZERO_COPY, "file": fd, "offset": offset, "count": count, "more_body": not last})

    async def empty(self) -> None:
        await self.start(200, [(b"content-length", b"0")])
        await self.more(b"", last=True)

    async def error(self, error: FerryError, more_headers: Headers | None = None, *, status: int = 0) -> None:
        """Say what is wrong; when bytes have gone out already, raise, so that the server cuts the connection."""
        refused(error.reason)
        if self._started:
            raise error
        body = {"reason": error.reason, "message": error.message, "metadata": error.metadata}
        data = json.dumps(body).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        headers += more_headers or []
        if error.retry_after_s is not None:
            headers.append((b"retry-after", str(max(1, round(error.retry_after_s))).encode()))
        await self.start(status or _STATUS.get(error.reason, 500), headers)
        await self.more(data, last=True)


class _Body:
    """See `Body`. `offer` gives the server memory to put the next bytes into; it may leave that alone."""

    def __init__(self, receive: Receive, offer: Callable[[memoryview], None]) -> None:
        self._receive = receive
        self._offer = offer
        self._rest = memoryview(b"")
        self._ended = False

    async def read_into(self, window: memoryview) -> int:
        """See `Body`. Error: `Disconnected`."""
        while not self._rest and not self._ended:
            self._offer(window)
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            self._ended = not message.get("more_body", False)
            data = message.get("body", b"")
            if isinstance(data, memoryview) and data:
                return len(data)  # it is in the window
            self._rest = memoryview(data)
        count = min(len(window), len(self._rest))
        window[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


async def _send_file(fd: int, first: int, end: int, answer: _Answer) -> None:
    """Send a range without reading it, where the server can; a stretch at a time, so that they are counted."""
    try:
        while first < end and not answer.gone:
            count = min(_STRETCH_BYTES, end - first)
            first += count
            await answer.file(fd, first - count, count, last=first >= end)
    except EOFError as error:
        raise _shorter() from error
    except ConnectionError:
        answer.gone = True


def _shorter() -> FerryError:
    """Headers are out: cutting the connection is the only way left to say that bytes are missing."""
    return FerryError("BLOB_DAMAGED", "a blob is shorter than it was", path="blobs")


async def _until_gone(receive: Receive, answer: _Answer) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    answer.gone = True


def _claim(path: str, signed: Mapping[str, str]) -> PartClaim | PackClaim:
    """What a checked URL allows. A right signature was made by us, so its values have our form."""
    session_id, file_index, part_number = path.removeprefix(f"{UPLOADS_PATH}/").split("/")
    if not is_id(session_id, "upl"):
        raise FerryError("SESSION_NOT_FOUND", f"there is no session '{session_id}'", sessionId=session_id)
    if file_index == PACKS:
        return PackClaim(session_id, part_number, int(signed["size"]))
    return PartClaim(
        session_id, int(file_index), int(part_number), int(signed["size"]), bytes.fromhex(signed["digest"])
    )


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope.get("headers", [])}
