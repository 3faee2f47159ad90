"""What the hub's reply to a call means: the message's bytes, or the error in a Connect JSON body. Upload steps 7 to 10.

Also for replies that are not the hub's own: those of proxies, gateways and sign-in pages.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from ferryd.core.retry_after import retry_after_s
from ferryd.remote.transport import CONTENT_TYPE
from ferrywire.reasons import CODE_NUMBERS, REASONS, FerryError
from ferrywire.status import from_status

#: Connect spells the codes as we do, but for this one.
_CODES: Final = {code.value: number for code, number in CODE_NUMBERS.items()} | {"canceled": 1, "unknown": 2}
_MESSAGE_CHARACTERS: Final = 2000
#: FerryError's own parameters, which a hub's metadata must not be taken for.
_PARAMETERS: Final = ("self", "reason", "message", "retry_after_s")
_BY_STATUS: Final = {
    401: "TOKEN_INVALID",
    403: "PERMISSION_DENIED",
    404: "UNIMPLEMENTED",
    408: "HUB_OVERLOADED",
    413: "TOO_LARGE",
    415: "UNIMPLEMENTED",
    429: "RATE_LIMITED",
}
#: With these a page is a gateway's word, such as one that is being set up anew, and not the hub's.
_PAGES: Final = frozenset({403, 404, 405, 413, 415})


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply. Header names in lower case; `hub` is the address people know."""

    hub: str
    method_path: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def message_of(reply: Reply) -> bytes:
    """The bytes of the reply's message. Raises the error it carries instead."""
    if reply.status != 200:
        raise error_of(reply)
    kind = _kind(reply)
    if kind != CONTENT_TYPE:
        raise _stranger(reply, f"{kind[:60]} instead of {CONTENT_TYPE}")
    return reply.body


def _kind(reply: Reply) -> str:
    return reply.headers.get("content-type", "nothing").partition(";")[0].strip().lower()


def error_of(reply: Reply) -> FerryError:
    """The error that a reply which is not 200 stands for."""
    error = _own_error(reply.body) or _foreign_error(reply)
    delay = retry_after_s(reply.headers.get("retry-after"), time.time())
    if reply.status == 429 and error.reason == "TOO_LARGE":  # no reason of ours: a gateway that speaks Connect
        error = FerryError("RATE_LIMITED", error.message, retry_after_s=error.retry_after_s)
    if error.retry_after_s is None:
        error.retry_after_s = delay
    return error


def _own_error(body: bytes) -> FerryError | None:
    """The Connect error in a JSON body; None when it is not one."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.get("code") not in _CODES:
        return None
    message = str(said.get("message", ""))[:_MESSAGE_CHARACTERS]
    status = status_pb2.Status(code=_CODES[said["code"]], message=message)
    details = said.get("details")
    for detail in details if isinstance(details, list) else []:
        if known := _detail(detail):
            status.details.append(known)
    error = from_status(status)
    for key in error.row.metadata:
        error.metadata.setdefault(key, "")
    return error


def _detail(detail: Any) -> any_pb2.Any | None:
    """A detail of a kind that we read, checked; None for any other."""
    if not isinstance(detail, dict):
        return None
    try:
        value = base64.b64decode(str(detail.get("value", "")) + "==", altchars=b"+/")
        match str(detail.get("type", "")).rpartition("/")[2]:
            case "google.rpc.ErrorInfo":
                info = error_details_pb2.ErrorInfo.FromString(value)
                for key in _PARAMETERS:
                    info.metadata.pop(key, None)
                return _packed(info)
            case "google.rpc.RetryInfo":
                return _packed(error_details_pb2.RetryInfo.FromString(value))
    except (binascii.Error, DecodeError):
        pass
    return None


def _packed(message: Any) -> any_pb2.Any:
    wrapped = any_pb2.Any()
    wrapped.Pack(message)
    return wrapped


def _foreign_error(reply: Reply) -> FerryError:
    status, method = reply.status, reply.method_path.rpartition("/")[2]
    if status < 400:
        return _stranger(reply, f"status {status}; redirects are refused")
    if status in _PAGES and _kind(reply) == "text/html":  # the hub writes no pages here: no transfer may fail by one
        return _stranger(reply, f"status {status} and a web page")
    reason = _BY_STATUS.get(status) or ("HUB_OVERLOADED" if status >= 500 else "INTERNAL")
    metadata = dict.fromkeys(REASONS[reason].metadata, "")
    if reason == "INTERNAL":
        metadata["errorId"] = f"http-{status}"
    return FerryError(reason, f"{reply.hub} answered {method} with status {status}", retry_after_s=None, **metadata)


def _stranger(reply: Reply, what: str) -> FerryError:
    message = f"{reply.hub} answered with {what}: is it the hub, or a proxy or sign-in page before it?"
    return FerryError("HUB_UNREACHABLE", message, hub=reply.hub)
