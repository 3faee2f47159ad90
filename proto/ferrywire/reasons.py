"""The error table: every reason a Ferryman program gives, and what follows from it.

SDK exceptions, the daemon's retries and the hub's replies are all derived from this one table. A reason, once shipped,
keeps its name, code and metadata keys; messages may change. Nothing here knows gRPC or HTTP: see `status.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Code(StrEnum):
    """The gRPC status codes we use, as `DaemonError.code` spells them."""

    CANCELLED = "cancelled"
    INVALID_ARGUMENT = "invalid_argument"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    PERMISSION_DENIED = "permission_denied"
    RESOURCE_EXHAUSTED = "resource_exhausted"
    FAILED_PRECONDITION = "failed_precondition"
    ABORTED = "aborted"
    OUT_OF_RANGE = "out_of_range"
    UNIMPLEMENTED = "unimplemented"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"
    DATA_LOSS = "data_loss"
    UNAUTHENTICATED = "unauthenticated"


#: The numbers of google.rpc.Code.
CODE_NUMBERS: Final[dict[Code, int]] = {
    Code.CANCELLED: 1,
    Code.INVALID_ARGUMENT: 3,
    Code.DEADLINE_EXCEEDED: 4,
    Code.NOT_FOUND: 5,
    Code.ALREADY_EXISTS: 6,
    Code.PERMISSION_DENIED: 7,
    Code.RESOURCE_EXHAUSTED: 8,
    Code.FAILED_PRECONDITION: 9,
    Code.ABORTED: 10,
    Code.OUT_OF_RANGE: 11,
    Code.UNIMPLEMENTED: 12,
    Code.INTERNAL: 13,
    Code.UNAVAILABLE: 14,
    Code.DATA_LOSS: 15,
    Code.UNAUTHENTICATED: 16,
}


class Wait(StrEnum):
    """What an unsettled transfer waits for."""

    SLOT = "slot"
    NETWORK = "network"
    AUTH = "auth"
    SPACE = "space"
    RATE_LIMIT = "rate_limit"
    HUB = "hub"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Reason:
    """One row of the table."""

    #: The stable name, UPPER_SNAKE.
    name: str
    code: Code
    #: The same call may succeed later without anybody changing anything.
    retryable: bool
    #: What a person does next. One sentence, imperative.
    next_step: str
    #: Metadata keys that are always present. lowerCamelCase, units in the key.
    metadata: tuple[str, ...] = ()
    #: What a transfer that meets this reason waits for, instead of failing.
    waits_for: Wait | None = None


def _table(*rows: Reason) -> dict[str, Reason]:
    return {row.name: row for row in rows}


_A = Code.INVALID_ARGUMENT
_N = Code.NOT_FOUND
_E = Code.ALREADY_EXISTS
_P = Code.PERMISSION_DENIED
_F = Code.FAILED_PRECONDITION
_R = Code.RESOURCE_EXHAUSTED
_B = Code.ABORTED
_U = Code.UNAVAILABLE
_T = Code.UNAUTHENTICATED

REASONS: Final[dict[str, Reason]] = _table(
    # What the caller said.
    Reason("INVALID_ARGUMENT", _A, False, "Correct the named argument and call again.", ("field",)),
    Reason("UNKNOWN_FIELD", _A, False, "Use one of the fields the message names.", ("field",)),
    Reason("PAGE_TOKEN_INVALID", _A, False, "List again from the first page, without changing the filter."),
    Reason("REQUEST_ID_REUSED", _A, False, "Use a new request id for a different request.", ("requestId",)),
    # What is not there.
    Reason("TRANSFER_NOT_FOUND", _N, False, "List the transfers to find its id.", ("transferId",)),
    Reason("PROJECT_NOT_FOUND", _N, False, "Check the id, or list the projects you can see.", ("projectId",)),
    Reason("COLLECTION_NOT_FOUND", _N, False, "Check the id, or list the collections.", ("collectionId",)),
    Reason("ASSET_NOT_FOUND", _N, False, "Check the id, or list the assets you can see.", ("assetId",)),
    Reason("CONTENT_NOT_FOUND", _N, False, "List the versions of the asset.", ("contentId",)),
    Reason("RELATIONSHIP_NOT_FOUND", _N, False, "List the relationships of the asset.", ("relationshipId",)),
    Reason("OWNER_NOT_FOUND", _N, False, "Check owner_type and owner_id; create the project first.", ("ownerId",)),
    Reason("PRINCIPAL_NOT_FOUND", _N, False, "Check the id or e-mail address of the user.", ("principalId",)),
    Reason("CONTEXT_NOT_FOUND", _N, False, "List the contexts with `ferry hub list`, or sign in.", ("context",)),
    Reason("RESOURCE_NOT_FOUND", _N, False, "Check the id of the project, collection or asset.", ("resourceId",)),
    Reason("SESSION_NOT_FOUND", _N, True, "Nothing: the daemon opens a new session.", ("sessionId",)),
    Reason("SOURCE_MISSING", _N, False, "Check the path; it must exist on this machine.", ("path",)),
    # What is there already.
    Reason("ALIAS_TAKEN", _E, False, "Choose another alias.", ("alias",)),
    Reason("NAME_TAKEN", _E, False, "Choose another name.", ("name",)),
    Reason(
        "DESTINATION_EXISTS",
        _E,
        False,
        "Move the file away, or pass if_exists='replace', 'rename' or 'skip'.",
        ("path",),
    ),
    # What is not allowed.
    Reason("PERMISSION_DENIED", _P, False, "Ask an owner for access.", ("resourceId",)),
    Reason("SCOPE_DENIED", _P, False, "Use a token with this scope.", ("scope",)),
    Reason("SOURCE_UNREADABLE", _P, False, "Make the file readable for your user.", ("path",)),
    Reason("DESTINATION_UNWRITABLE", _P, False, "Choose a directory that you may write to.", ("path",)),
    # Who is calling.
    Reason("NOT_SIGNED_IN", _T, False, "Sign in with `ferry login`.", (), Wait.AUTH),
    Reason(
        "TOKEN_INVALID",
        _T,
        False,
        "Sign in again with `ferry login`, or set a new FERRYMAN_TOKEN and restart the daemon.",
        (),
        Wait.AUTH,
    ),
    Reason(
        "TOKEN_EXPIRED",
        _T,
        False,
        "Sign in again with `ferry login`, or set a new FERRYMAN_TOKEN and restart the daemon.",
        (),
        Wait.AUTH,
    ),
    Reason("LOGIN_DENIED", _P, False, "Sign in again, and approve the code if it is yours."),
    Reason("LOGIN_EXPIRED", Code.DEADLINE_EXCEEDED, False, "Sign in again, and approve the code while it is valid."),
    Reason(
        "KEYRING_UNAVAILABLE",
        _F,
        False,
        "Unlock the keyring, or remove token_store from config.toml to keep tokens in a private file.",
        (),
        Wait.AUTH,
    ),
    Reason("SIGNATURE_INVALID", _T, True, "Nothing: the daemon asks for a new URL."),
    # What state things are in.
    Reason(
        "ILLEGAL_TRANSITION",
        _F,
        False,
        "Look at the transfer's state; a settled one cannot change.",
        ("state", "event"),
    ),
    Reason("SOURCE_CHANGED", _F, False, "Upload again once nothing writes to the file.", ("path",)),
    Reason("SOURCE_UNSUPPORTED", _F, False, "Upload regular files and directories only.", ("path",)),
    Reason("PARTS_MISSING", _F, True, "Nothing: the daemon sends the missing parts.", ("missingCount",)),
    Reason(
        "DIGEST_MISMATCH",
        _F,
        False,
        "Upload or download again; if it repeats, check the disk and the memory.",
        ("path", "expected", "actual"),
    ),
    Reason("SESSION_COMMITTED", _F, False, "Nothing: the content is there.", ("sessionId",)),
    Reason("ASSET_NOT_READY", _F, False, "Wait until its first upload has finished.", ("assetId",)),
    Reason("LAST_OWNER", _F, False, "Give somebody else the owner role first.", ("resourceId",)),
    Reason("UNSAFE_PATH", _F, False, "Ask the owner of the asset to rename the file.", ("path",)),
    # What ran out.
    Reason("DISK_FULL", _R, True, "Free space; the transfer goes on by itself.", ("path", "freeBytes"), Wait.SPACE),
    Reason("READ_ONLY", _F, True, "Make the file system writable; the transfer goes on.", ("path",), Wait.SPACE),
    Reason("IO_ERROR", Code.INTERNAL, True, "Check the disk; the system's own words are in the message.", ("path",)),
    Reason("QUOTA_EXCEEDED", _R, False, "Ask the hub's operator for a larger quota.", ("freeBytes", "neededBytes")),
    Reason("RATE_LIMITED", _R, True, "Call again later; transfers go on by themselves.", (), Wait.RATE_LIMIT),
    Reason("TOO_LARGE", _R, False, "Send less in one request.", ("limitBytes",)),
    # What went wrong on the way.
    Reason("CHUNK_CORRUPT", _B, True, "Nothing: the daemon sends the part again.", ("partNumber",)),
    Reason("ETAG_MISMATCH", _B, False, "Read the asset again and repeat the change.", ("assetId",)),
    Reason("BLOB_DAMAGED", Code.DATA_LOSS, False, "Tell the hub's operator: stored bytes no longer verify.", ("path",)),
    Reason(
        "HUB_UNREACHABLE",
        _U,
        True,
        "Check the hub's address and the network; transfers go on by themselves.",
        ("hub",),
        Wait.NETWORK,
    ),
    Reason("HUB_OVERLOADED", _U, True, "Call again later; transfers go on by themselves.", (), Wait.HUB),
    Reason("DAEMON_UNREACHABLE", _U, True, "Look into daemon.log in the state directory.", ("socket",)),
    Reason("SHUTTING_DOWN", _U, True, "Call again: a new daemon starts.", ()),
    Reason("DEADLINE_EXCEEDED", Code.DEADLINE_EXCEEDED, True, "Allow more time; a transfer goes on meanwhile."),
    Reason("CANCELLED", Code.CANCELLED, False, "Start it again if it was cancelled by mistake."),
    Reason("UNIMPLEMENTED", Code.UNIMPLEMENTED, False, "Update the daemon or the hub: it does not know this call."),
    Reason("INTERNAL", Code.INTERNAL, False, "Report it with the error id; the log has the details.", ("errorId",)),
)


class FerryError(Exception):
    """An error with a reason of the table: the one kind that crosses a boundary between our modules.

    `message` says what happened, for people. `metadata` holds every variable part of it, as strings.
    `retry_after_s` is what a server asked for. The text never contains a token or a signed URL.
    """

    def __init__(self, reason: str, message: str, /, *, retry_after_s: float | None = None, **metadata: object) -> None:
        super().__init__(message)
        self.row = REASONS[reason]
        self.reason = reason
        self.message = message
        self.metadata = {key: str(value) for key, value in metadata.items()}
        self.retry_after_s = retry_after_s

    @property
    def code(self) -> Code:
        return self.row.code

    @property
    def retryable(self) -> bool:
        return self.row.retryable

    def __repr__(self) -> str:
        return f"FerryError({self.reason}: {self.message})"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.reason, self.message, self.retry_after_s, self.metadata)


def _rebuild(reason: str, message: str, retry_after_s: float | None, metadata: dict[str, str]) -> FerryError:
    return FerryError(reason, message, retry_after_s=retry_after_s, **metadata)
