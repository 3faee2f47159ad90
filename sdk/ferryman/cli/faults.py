"""Turns what went wrong into a sentence, a next step and an exit code. Pure; `root.py` prints it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ferryman.cli.exits import Exit, code_for
from ferryman.errors import FOR_OPERATORS, DaemonError

#: Next steps in the words of this command, where the SDK's are in the words of Python.
_NEXT_STEPS: Final = {
    "ALIAS_TAKEN": "Choose another alias, or pass --if-exists version or skip.",
    "ASSET_NOT_FOUND": "Check the id, or run: ferry asset list",
    "COLLECTION_NOT_FOUND": "Check the id, or run: ferry collection list PROJECT",
    "CONTENT_NOT_FOUND": "Run: ferry asset versions ASSET",
    "DESTINATION_EXISTS": "Download it again with --if-exists replace, rename or skip, or move the file away.",
    "NOT_SIGNED_IN": "Run: ferry login",
    "OWNER_NOT_FOUND": "Run: ferry project list (ferry upload makes it with --create-project)",
    "PERMISSION_DENIED": "Ask an owner for access: ferry project share PROJECT PERSON --role viewer, editor or owner",
    "PROJECT_NOT_FOUND": (
        "Run: ferry project list (ferry upload makes it with --create-project; for somebody else's, ask its owner for: "
        "ferry project share)"
    ),
    "TOKEN_EXPIRED": "Run: ferry login",
    "TOKEN_INVALID": "Run: ferry login",
    "TRANSFER_NOT_FOUND": "Check the id, or run: ferry ls",
    "DAEMON_UNREACHABLE": "Run: ferry doctor",
    "DEADLINE_EXCEEDED": "Try again in a moment, or run: ferry doctor",
}


class Problem(Exception):
    """Something this command itself found wrong, before or instead of a call."""

    def __init__(self, message: str, next_step: str = "", *, exit_code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.exit_code = exit_code


class Detached(Exception):
    """Waiting ended before the transfers did; they go on. `exit_code` says whether by Ctrl-C or by `--timeout`."""

    def __init__(self, transfer_ids: list[str], *, exit_code: Exit, after: str = "") -> None:
        super().__init__("detached")
        self.transfer_ids = transfer_ids
        self.exit_code = exit_code
        #: What is left for the person to do once the transfer has ended.
        self.after = after


@dataclass(frozen=True)
class Fault:
    """What to tell. `data` is the payload of the `error` event."""

    message: str
    next_step: str
    exit_code: Exit
    data: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        said = self.message.strip()
        if said and said[-1] not in ".!?…":
            said += "."
        told = self.next_step.startswith("Run: ") and self.next_step.removeprefix("Run: ") in said
        return said if told else f"{said} {self.next_step}".strip()


def next_step(error: DaemonError) -> str:
    """What the person types or does next."""
    return _NEXT_STEPS.get(error.reason) or error.next_step


def explain(error: BaseException) -> Fault:
    """The fault for any exception that came out of a command."""
    if isinstance(error, DaemonError):
        return _fault(_said(error), next_step(error), code_for(error), error.code, error.reason)
    if isinstance(error, Problem):
        return _fault(error.message, error.next_step, error.exit_code, "", "")
    if isinstance(error, KeyboardInterrupt):
        return _fault("interrupted", "", Exit.INTERRUPTED, "", "")
    if isinstance(error, OSError):
        said = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        return _fault(said, "Check the path and your rights.", Exit.LOCAL, "", "")
    said = f"unexpected {type(error).__name__}: {error}"
    return _fault(said, "Run it again with --debug and report what it shows.", Exit.OTHER, "internal", "")


def _said(error: DaemonError) -> str:
    """The message; with what an operator finds the call by, where nobody else can help."""
    return (
        f"{error.message} (request {error.request_id})"
        if error.request_id and error.code in FOR_OPERATORS
        else error.message
    )


def _fault(message: str, step: str, exit_code: Exit, code: str, reason: str) -> Fault:
    data = {"message": message, "next_step": step, "code": code, "reason": reason, "exit_code": int(exit_code)}
    return Fault(message, step, exit_code, data)
