"""The exit codes of `ferry`, and which error gives which. Pure; the table people script against: codes never change."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ferryman.errors import DaemonError


class Exit(IntEnum):
    """What `ferry` returns to the shell."""

    OK = 0
    #: Anything without a code of its own, a cancelled transfer among it.
    OTHER = 1
    #: The command was typed wrong, or an argument cannot be right.
    USAGE = 2
    #: Not signed in, or the sign-in has ended.
    NOT_SIGNED_IN = 3
    #: What was named is not there: an asset, a transfer, a path.
    NOT_FOUND = 4
    #: Of several things, some failed and some did not.
    SOME_FAILED = 5
    #: The source changed meanwhile, or bytes do not verify.
    DAMAGED = 6
    #: The network or the hub is away, or `--timeout` has passed; a transfer is still queued and goes on.
    STILL_QUEUED = 7
    #: The daemon cannot be reached or started.
    NO_DAEMON = 8
    #: This machine's disk or permissions.
    LOCAL = 9
    #: The hub refused: rights, quota, a taken name.
    REFUSED = 10
    #: Ctrl-C. A transfer goes on.
    INTERRUPTED = 130


#: By `DaemonError.code`, where the reason says nothing more exact.
BY_CODE: Final[dict[str, Exit]] = {
    "cancelled": Exit.OTHER,
    "invalid_argument": Exit.USAGE,
    "deadline_exceeded": Exit.STILL_QUEUED,
    "not_found": Exit.NOT_FOUND,
    "already_exists": Exit.REFUSED,
    "permission_denied": Exit.REFUSED,
    "resource_exhausted": Exit.REFUSED,
    "failed_precondition": Exit.OTHER,
    "aborted": Exit.REFUSED,
    "out_of_range": Exit.USAGE,
    "unimplemented": Exit.OTHER,
    "internal": Exit.OTHER,
    "unavailable": Exit.STILL_QUEUED,
    "data_loss": Exit.DAMAGED,
    "unauthenticated": Exit.NOT_SIGNED_IN,
}

#: By `DaemonError.reason`: what the code alone would get wrong.
BY_REASON: Final[dict[str, Exit]] = {
    "DESTINATION_EXISTS": Exit.LOCAL,
    "SOURCE_UNREADABLE": Exit.LOCAL,
    "DESTINATION_UNWRITABLE": Exit.LOCAL,
    "DISK_FULL": Exit.LOCAL,
    "READ_ONLY": Exit.LOCAL,
    "IO_ERROR": Exit.LOCAL,
    "UNSAFE_PATH": Exit.LOCAL,
    "SOURCE_UNSUPPORTED": Exit.USAGE,
    "SOURCE_CHANGED": Exit.DAMAGED,
    "DIGEST_MISMATCH": Exit.DAMAGED,
    "CHUNK_CORRUPT": Exit.DAMAGED,
    "BLOB_DAMAGED": Exit.DAMAGED,
    "RATE_LIMITED": Exit.STILL_QUEUED,
    "PARTS_MISSING": Exit.STILL_QUEUED,
    "SIGNATURE_INVALID": Exit.STILL_QUEUED,
    "ASSET_NOT_READY": Exit.REFUSED,
    "LAST_OWNER": Exit.REFUSED,
    "DAEMON_UNREACHABLE": Exit.NO_DAEMON,
    "SHUTTING_DOWN": Exit.NO_DAEMON,
}


def code_for(error: DaemonError) -> Exit:
    """The exit code for an error of the SDK."""
    return BY_REASON.get(error.reason) or BY_CODE.get(error.code, Exit.OTHER)


def code_for_all(codes: Iterable[Exit]) -> Exit:
    """The exit code for several things: their common one, else that some failed."""
    seen = set(codes)
    if not seen:
        return Exit.OK
    return seen.pop() if len(seen) == 1 else Exit.SOME_FAILED
