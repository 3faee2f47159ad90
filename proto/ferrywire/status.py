"""Errors on the wire: `FerryError` to `google.rpc.Status` and back.

Every status carries exactly one `ErrorInfo` (domain `ferryman`) and at most one `RetryInfo`. The only module that
knows this encoding; gRPC carries it in the trailer `grpc-status-details-bin`, Connect in its JSON error's details.
"""

from __future__ import annotations

from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from ferrywire.reasons import CODE_NUMBERS, REASONS, Code, FerryError

DOMAIN = "ferryman"
#: The gRPC trailer that carries the serialized status.
TRAILER = "grpc-status-details-bin"
#: The longest a text may be on the wire, in bytes: gRPC takes 8 KiB for all trailers, and ours hold the message twice.
_MAX_TEXT_BYTES = 1024

_CODES = {number: code for code, number in CODE_NUMBERS.items()}
#: What to call an error that came without our reason, by its code.
_FALLBACK = {
    Code.UNAVAILABLE: "HUB_OVERLOADED",
    Code.DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
    Code.CANCELLED: "CANCELLED",
    Code.UNIMPLEMENTED: "UNIMPLEMENTED",
    Code.INVALID_ARGUMENT: "INVALID_ARGUMENT",
    Code.PERMISSION_DENIED: "PERMISSION_DENIED",
    Code.UNAUTHENTICATED: "TOKEN_INVALID",
    Code.NOT_FOUND: "RESOURCE_NOT_FOUND",
    Code.RESOURCE_EXHAUSTED: "TOO_LARGE",
}


def to_status(error: FerryError) -> status_pb2.Status:
    """Encode an error with its reason, metadata and retry delay. Texts too long for a trailer end in `…`."""
    status = status_pb2.Status(code=CODE_NUMBERS[error.code], message=_short(error.message))
    metadata = {key: _short(value) for key, value in error.metadata.items()}
    status.details.append(pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)))
    if error.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        status.details.append(pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status


def _short(text: str) -> str:
    encoded = text.encode(errors="replace")
    if len(encoded) <= _MAX_TEXT_BYTES:
        return encoded.decode()
    return encoded[: _MAX_TEXT_BYTES - 3].decode(errors="ignore") + "…"


def from_status(status: status_pb2.Status) -> FerryError:
    """Decode a status; one without a reason we know keeps its message and gets the reason its code suggests."""
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(retry.DESCRIPTOR):
            detail.Unpack(retry)
    known = info.domain == DOMAIN and info.reason in REASONS
    reason = info.reason if known else fallback_reason(status.code)
    delay = retry.retry_delay.ToNanoseconds() / 1e9 if retry.HasField("retry_delay") else None
    metadata = {key: value for key, value in info.metadata.items() if key != "retry_after_s"}  # ours has a keyword
    return FerryError(reason, status.message, retry_after_s=delay, **metadata)


def fallback_reason(code_number: int) -> str:
    """The reason for an error that carries only a code."""
    return _FALLBACK.get(_CODES.get(code_number, Code.INTERNAL), "INTERNAL")


def pack(message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> any_pb2.Any:
    """Wrap a detail as `Any` with the usual type URL."""
    wrapped = any_pb2.Any()
    wrapped.Pack(message)
    return wrapped
