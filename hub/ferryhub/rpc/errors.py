"""Every error of a call, as the caller gets it: the one place where reasons become Connect errors.

An exception that nobody expected becomes `INTERNAL` with an id; its text stays in the log.
"""

from __future__ import annotations

from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError, ErrorDetail
from connectrpc.request import RequestContext
from protobuf.wkt import Any as WireAny

from ferryhub.logs import refused
from ferryhub.rpc import faults
from ferrywire.reasons import CODE_NUMBERS, FerryError
from ferrywire.reasons import Code as FerryCode
from ferrywire.status import fallback_reason, to_status


class ErrorInterceptor:
    """Outermost interceptor: whatever went wrong inside leaves with a reason."""

    async def on_start(self, ctx: RequestContext[Any, Any]) -> None:
        """Nothing to do before a call."""

    async def on_end(self, _token: None, ctx: RequestContext[Any, Any], error: Exception | None, /) -> None:
        """Replace an error by its Connect form."""
        if error is not None:
            raise _to_connect(error, ctx.method.name) from error


def _to_connect(error: Exception, method: str) -> Exception:
    if isinstance(error, FerryError):
        return to_connect(error)
    if isinstance(error, ConnectError):
        return _with_reason(error)
    if type(error).__module__.startswith("connectrpc."):
        return error  # an HTTP-level refusal, such as an unsupported media type
    return to_connect(faults.unexpected(error, method))


def _with_reason(error: ConnectError) -> ConnectError:
    """The library's own errors: a body that does not parse, one too large, a deadline."""
    if error.details:
        return error
    if isinstance(error.__cause__, FerryError):
        return to_connect(error.__cause__)
    if error.code is Code.RESOURCE_EXHAUSTED:
        return to_connect(faults.too_large())
    if error.code is Code.INVALID_ARGUMENT:
        return to_connect(faults.unreadable(error.message))
    return to_connect(FerryError(fallback_reason(_number(error.code)), error.message))


def to_connect(error: FerryError) -> ConnectError:
    """A reason as a Connect error with `ErrorInfo` and, when it is known, `RetryInfo`; the log gets it, too."""
    refused(error.reason)
    # The library packs only messages of its own protobuf runtime; ours go in ready-made.
    status = to_status(error)
    details = [ErrorDetail(WireAny(type_url=each.type_url, value=each.value)) for each in status.details]
    return ConnectError(_CODES[error.code], status.message, details)


def _number(code: Code) -> int:
    return next((CODE_NUMBERS[ours] for ours, theirs in _CODES.items() if theirs is code), 13)


_CODES = {code: Code["CANCELED" if code is FerryCode.CANCELLED else code.name] for code in FerryCode}
