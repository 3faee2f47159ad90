"""A decorator of `Transport`: a forwarded call that got lost is sent again where that does no harm. Not a step.

So that the end of one hub of several is seen by nobody. A read is asked again; so is a creation that carries its
`request_id`, and whatever sets, changes or takes away what it names.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from ferryd.remote.blips import Blips
from ferryd.remote.transport import Transport
from ferrywire.reasons import Code, FerryError

#: Done twice is done once: what these do does not depend on how often.
_READS: Final = ("Get", "List")
_CHANGES: Final = ("Set", "Update", "Remove", "Delete")
#: How a change is refused that has been done: what was to go is gone, what was to be changed is another, or the right
#: to do it was what was given away.
_DONE_BEFORE: Final = frozenset({Code.NOT_FOUND, Code.ABORTED, Code.PERMISSION_DENIED})


class RepeatingTransport:
    """Implements `Transport` round another one, for the calls that the hub's clients make."""

    def __init__(self, transport: Transport, blips: Blips) -> None:
        self._transport = transport
        self._blips = blips

    async def call(self, method_path: str, body: bytes, timeout_s: float) -> bytes:
        """See `Transport`. HUB_UNREACHABLE too when the call got lost and its repeat is refused as if it had not."""
        now = self._blips.clock.monotonic
        ends_at = now() + timeout_s
        lost: list[FerryError] = []
        while True:
            began = now()
            try:
                return await self._transport.call(method_path, body, ends_at - began)
            except FerryError as error:
                if lost and _in_doubt(method_path, error):
                    raise _unknown(method_path, lost[-1], error) from error
                lost.append(error)
                if not repeatable(method_path, body):
                    raise
                await self._blips.wait(error, len(lost), began)
                if now() >= ends_at:
                    raise

    async def close(self) -> None:
        await self._transport.close()


def repeatable(method_path: str, body: bytes) -> bool:
    """Whether to send a call twice is to send it once. Asked only where one got lost."""
    return _name(method_path).startswith((*_READS, *_CHANGES)) or bool(_request_id(method_path, body))


def _name(method_path: str) -> str:
    return method_path.rpartition("/")[2]


def _request_id(method_path: str, body: bytes) -> str:
    """What makes a creation idempotent; empty when it carries none."""
    service, _, name = method_path.strip("/").partition("/")
    package, _, title = service.rpartition(".")
    # Looked up where a call was lost, and nowhere else: no other call is decoded.
    module: Any = importlib.import_module(f"{package}.{title.removesuffix('Service').lower()}_service_pb2")
    method = module.DESCRIPTOR.services_by_name[title].methods_by_name.get(name)
    if method is None or "request_id" not in method.input_type.fields_by_name:
        return ""
    try:
        request: Any = GetMessageClass(method.input_type).FromString(body)
    except DecodeError:
        return ""
    return str(request.request_id)


def _in_doubt(method_path: str, error: FerryError) -> bool:
    return _name(method_path).startswith(_CHANGES) and error.row.code in _DONE_BEFORE


def _unknown(method_path: str, lost: FerryError, error: FerryError) -> FerryError:
    message = f"the hub's reply to {_name(method_path)} was lost, so it may have been done; asked again, it said: "
    return FerryError("HUB_UNREACHABLE", message + error.message, hub=lost.metadata.get("hub", ""))
