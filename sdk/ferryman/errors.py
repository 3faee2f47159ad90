"""The three exceptions of the SDK. Any step of an upload or download may raise them.

They know the error table (`ferrywire.reasons`), never gRPC: `channel.py` turns replies into them.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferrywire.reasons import FerryError, Reason


#: Codes of errors that the caller can do nothing about.
FOR_OPERATORS = ("internal", "unknown", "unavailable", "data_loss")


class DaemonError(Exception):
    """An error told by the daemon, by the hub behind it, or by the SDK before anything was sent.

    `code` is the gRPC code in lower case (`not_found`, `invalid_argument`, …); `message` says what happened; `reason`
    is the stable name from the error table (`ASSET_NOT_FOUND`; empty when there is none), `metadata` its variable parts
    as strings, `retry_after_s` the delay in seconds that a server asked for, or None. `request_id` is what the logs of
    daemon and hub call the request: give it to whoever operates them. It is empty when nothing was asked.

    Example:
        try:
            client.get_metadata("no-such-asset")
        except DaemonError as error:
            if error.code != "not_found":
                raise
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = str(code)
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.retry_after_s = retry_after_s
        self.request_id = ""

    @property
    def retryable(self) -> bool:
        """True when the same call may succeed later without anybody changing anything. False without a reason."""
        row = self._row()
        return row.retryable if row else False

    @property
    def next_step(self) -> str:
        """What a person does next, in one sentence. Empty without a reason."""
        row = self._row()
        return row.next_step if row else ""

    def _row(self) -> Reason | None:
        from ferrywire.reasons import REASONS

        return REASONS.get(self.reason)

    def __str__(self) -> str:
        said = self.message.strip()
        if said and said[-1] not in ".!?…":
            said += "."
        name = f"{self.code}: {self.reason}" if self.reason else self.code
        if self.request_id and self.code in FOR_OPERATORS:
            name += f", request {self.request_id}"
        return " ".join(part for part in (said, self.next_step, f"[{name}]") if part)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code!r}, {self.message!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.code, self.message, vars(self))


class DaemonTimeoutError(DaemonError, TimeoutError):
    """A request or the wait for a transfer took longer than allowed. Its code is `deadline_exceeded`.

    A transfer goes on in the daemon: the message and `metadata["transferId"]` name it, and
    `client.transfers.get(id).wait()` waits on. Also a `TimeoutError`.

    Example:
        try:
            client.upload("big.h5", title="Big", owner_type="project", owner_id=p, transfer_timeout_s=60)
        except DaemonTimeoutError as error:
            transfer_id = error.metadata["transferId"]
    """


class ConnectionError(DaemonError, builtins.ConnectionError):  # noqa: A001 - the public name of the page; ours subclasses it
    """The daemon cannot be reached, cannot be started, or went away during a call. Its code is `unavailable`.

    An unreachable *hub* is a plain `DaemonError` with reason `HUB_UNREACHABLE`. Also a builtin `ConnectionError`.

    Example:
        try:
            Client(auto_start=False).connect()
        except ferryman.ConnectionError:
            print("no daemon is running")
    """

    #: False when the request certainly never left, so that nothing was done.
    sent = True


def invalid(field: str, message: str) -> DaemonError:
    """An argument that is wrong, found before anything was sent."""
    return DaemonError("invalid_argument", message, reason="INVALID_ARGUMENT", metadata={"field": field})


def unreachable(socket: object, message: str) -> ConnectionError:
    """The daemon cannot be reached or started."""
    return ConnectionError("unavailable", message, reason="DAEMON_UNREACHABLE", metadata={"socket": str(socket)})


def timed_out(message: str) -> DaemonTimeoutError:
    """Something took longer than allowed."""
    return DaemonTimeoutError("deadline_exceeded", message, reason="DEADLINE_EXCEEDED")


def from_ferry(error: FerryError, code: str) -> DaemonError:
    """The exception for a decoded error; `code` is the one on the wire, which wins over the table's."""
    kind = DaemonTimeoutError if code == "deadline_exceeded" else DaemonError
    reason = error.reason if error.code == code else ""
    return kind(code, error.message, reason=reason, metadata=error.metadata, retry_after_s=error.retry_after_s)


def goes_on(transfer_id: str) -> str:
    """What to tell somebody who stops waiting: the transfer's id and how to find it again."""
    return (
        f"transfer {transfer_id} goes on in the daemon; wait for it with client.transfers.get({transfer_id!r}).wait()"
    )


def about_transfer(error: DaemonError, transfer_id: str) -> DaemonError:
    """The same kind of error, naming the transfer that goes on and how to find it again."""
    metadata = {**error.metadata, "transferId": transfer_id}
    about = type(error)(error.code, f"{error.message}; {goes_on(transfer_id)}", reason=error.reason, metadata=metadata)
    about.request_id = error.request_id
    return about


def _rebuild(kind: type[DaemonError], code: str, message: str, state: dict[str, object]) -> DaemonError:
    error = kind(code, message)
    vars(error).update(state)
    return error
