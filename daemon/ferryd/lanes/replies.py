"""What a byte endpoint's reply means, as a reason of the table. Upload step 8, download D8. Pure.

Replies may come from our hub (JSON with a reason), from an object store (only the status counts), or from something in
between that is neither (a captive portal, a proxy). Signed URLs never appear in a message.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from ferryd.core.model import Span
from ferryd.core.retry_after import retry_after_s
from ferrywire.reasons import REASONS, FerryError

Method = Literal["PUT", "GET"]
_MESSAGE_CHARACTERS: Final = 500
_NOT_FOUND: Final = {"PUT": "SESSION_NOT_FOUND", "GET": "CONTENT_NOT_FOUND"}
_BY_STATUS: Final = {
    401: "SIGNATURE_INVALID",
    403: "SIGNATURE_INVALID",  # what object stores say of an expired or wrong signature
    408: "HUB_OVERLOADED",
    413: "TOO_LARGE",
    416: "BLOB_DAMAGED",  # the blob is shorter than its manifest says
    429: "RATE_LIMITED",
    507: "DISK_FULL",
}
#: By the code in an S3 store's XML, where that says more than the status.
_BY_STORE_CODE: Final = {
    "BadDigest": "CHUNK_CORRUPT",
    "InvalidDigest": "CHUNK_CORRUPT",
    "XAmzContentChecksumMismatch": "CHUNK_CORRUPT",
    "IncompleteBody": "CHUNK_CORRUPT",
    "AccessDenied": "SIGNATURE_INVALID",
    "AuthorizationQueryParametersError": "SIGNATURE_INVALID",
    "ExpiredToken": "SIGNATURE_INVALID",
    "InvalidAccessKeyId": "SIGNATURE_INVALID",
    "InvalidToken": "SIGNATURE_INVALID",
    "RequestExpired": "SIGNATURE_INVALID",
    "RequestTimeTooSkewed": "SIGNATURE_INVALID",
    "SignatureDoesNotMatch": "SIGNATURE_INVALID",
    # The session is open all the same: the hub says what is left of it.
    "NoSuchUpload": "PARTS_MISSING",
    "NoSuchBucket": "HUB_OVERLOADED",
    "ConditionalRequestConflict": "HUB_OVERLOADED",
    "OperationAborted": "HUB_OVERLOADED",
    "RequestTimeout": "HUB_OVERLOADED",
    "ServiceUnavailable": "HUB_OVERLOADED",
    "SlowDown": "HUB_OVERLOADED",
    "TooManyRequests": "HUB_OVERLOADED",
    "InternalError": "HUB_OVERLOADED",
    "NotImplemented": "UNIMPLEMENTED",
    "QuotaExceeded": "DISK_FULL",
    "XMinioStorageFull": "DISK_FULL",
}
_XML_HEAD_BYTES: Final = 200
#: Found by a pattern: a parser would resolve what the text may define.
_XML_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")


@dataclass(frozen=True, slots=True)
class Reply:
    """The head of a reply, and the beginning of its body when that is an error. Header names in lower case."""

    method: Method
    origin: str
    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def require_stored(reply: Reply, sent: Mapping[str, str]) -> None:
    """Raise unless the receiver said that it has the part. A name that holds the part's checksum and may be written
    only once, as the headers that were `sent` say, is taken by the same part: its first reply was lost."""
    if reply.status == 412 and sent.get("if-none-match") == "*":
        return
    if reply.status not in (200, 201, 204):
        raise error_of(reply)
    if _is_page(reply):
        raise _stranger(reply, "with a web page")


def require_range(reply: Reply, span: Span) -> None:
    """Raise unless the body that follows is exactly the span that was asked for."""
    if reply.status not in (200, 206):
        raise error_of(reply)
    last = span.offset + span.length - 1
    length = reply.headers.get("content-length", "no length")
    if reply.status == 206 or "content-range" in reply.headers:  # there are stores that give a range with a 200
        got = reply.headers.get("content-range", "no range")
        if not got.startswith(f"bytes {span.offset}-{last}/"):
            raise _stranger(reply, f"with {got!r:.100} for bytes {span.offset}-{last}")
    elif span.offset or _is_page(reply):
        raise _stranger(reply, "with a whole document instead of a range")
    if length != str(span.length):
        raise _stranger(reply, f"with {length:.30} instead of {span.length} bytes")
    if reply.headers.get("content-encoding", "identity") != "identity" or "transfer-encoding" in reply.headers:
        raise _stranger(reply, "with encoded bytes, which were not asked for")


def error_of(reply: Reply) -> FerryError:
    """The error that a reply which is not a success stands for."""
    delay = retry_after_s(reply.headers.get("retry-after"), time.time())
    return _own_error(reply, delay) or _store_error(reply, delay) or _foreign_error(reply, delay)


def is_explained(reply: Reply) -> bool:
    """Whether our hub or a store says in its own words why it refuses."""
    return bool(_own_error(reply, None) or _store_error(reply, None))


def unreachable(origin: str, what: str) -> FerryError:
    """The error for a connection that could not be made or that broke. `origin` carries no path and no query."""
    return FerryError("HUB_UNREACHABLE", f"{origin} cannot be reached: {what}", hub=origin)


def _own_error(reply: Reply, delay: float | None) -> FerryError | None:
    """What our hub says in its JSON, or None when the body is not that."""
    try:
        said = json.loads(reply.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.get("reason") not in REASONS:
        return None
    reason, told = str(said["reason"]), said.get("metadata")
    metadata = dict.fromkeys(REASONS[reason].metadata, "")
    if isinstance(told, dict):
        metadata |= {str(key): str(value) for key, value in told.items() if key not in _PARAMETERS}
    return FerryError(reason, str(said.get("message", ""))[:_MESSAGE_CHARACTERS], retry_after_s=delay, **metadata)


#: FerryError's own parameters, which metadata must not overwrite.
_PARAMETERS: Final = {"self", "reason", "message", "retry_after_s"}


def _store_error(reply: Reply, delay: float | None) -> FerryError | None:
    """What an S3 store says in its XML, or None when the body is not that, or says no more than the status."""
    if reply.status < 400 or b"<Error" not in reply.body[:_XML_HEAD_BYTES]:
        return None
    found = _XML_CODE.search(reply.body)
    code = found[1].decode() if found else ""
    reason = _BY_STORE_CODE.get(code)
    if reason is None:
        return None
    metadata = dict.fromkeys(REASONS[reason].metadata, "")
    if reason == "PARTS_MISSING":
        metadata["missingCount"] = "1"
    return FerryError(reason, f"{reply.origin} answered {reply.method} with {code}", retry_after_s=delay, **metadata)


def _foreign_error(reply: Reply, delay: float | None) -> FerryError:
    status, what = reply.status, f"{reply.origin} answered {reply.method} with status {reply.status}"
    if 300 <= status < 400:
        return _stranger(reply, f"with a redirect ({status}), which is refused")
    if status < 300:
        return _stranger(reply, f"with the unexpected status {status}")
    reason = _NOT_FOUND[reply.method] if status in (404, 410) else _BY_STATUS.get(status)
    reason = reason or ("HUB_OVERLOADED" if status >= 500 else "INTERNAL")
    metadata = dict.fromkeys(REASONS[reason].metadata, "")
    if reason == "INTERNAL":
        metadata["errorId"] = f"http-{status}"
    return FerryError(reason, what, retry_after_s=delay, **metadata)


def _stranger(reply: Reply, what: str) -> FerryError:
    message = f"{reply.origin} answered {reply.method} {what}: is it the hub, or a proxy or sign-in page before it?"
    return FerryError("HUB_UNREACHABLE", message, hub=reply.origin)


def _is_page(reply: Reply) -> bool:
    return reply.headers.get("content-type", "").startswith("text/html")
