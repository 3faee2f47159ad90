"""What PostgreSQL's errors mean: try again, tell the caller, or a mistake of ours. By SQLSTATE, never by words.

Only the message's first line is shown or logged: the rest may hold what is stored.
"""

from __future__ import annotations

import logging
from typing import Final, Literal

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from ferryhub.catalogue.validation import invalid
from ferrywire.reasons import FerryError

#: clash: another transaction got in the way. violation: another's row did. lost: the connection, or none was had.
Kind = Literal["clash", "violation", "lost", "other"]
_log = logging.getLogger(__name__)

_CLASHES: Final = ("40001", "40P01")
#: Class 08 is about connections; 57P01 to 57P05 and 25P03 say that the server stops, starts or threw us out.
_LOST: Final = ("08", "57P0", "25P03")
#: Too many connections, too little memory; a lock or a statement that took too long.
_BUSY: Final = ("53", "55P03", "57014")
_DISK_FULL: Final = "53100"
_IO_ERROR: Final = "58030"
_READ_ONLY: Final = "25006"
#: The hub's role does not own the tables, or may not make any.
_NOT_ALLOWED: Final = "42501"
#: Text that PostgreSQL cannot store.
_BAD_TEXT: Final = "22021"


class CatalogueError(Exception):
    """A mistake of ours that PostgreSQL found: its SQLSTATE and the first line of what it says."""


def kind_of(error: DBAPIError) -> Kind:
    """What can be done about it."""
    state = _sqlstate(error)
    if state in _CLASHES:
        return "clash"
    if isinstance(error, IntegrityError):
        return "violation"
    # Whoever gets no connection gets no SQLSTATE either.
    none_had = isinstance(error, OperationalError) and not state
    return "lost" if none_had or error.connection_invalidated or state.startswith(_LOST) else "other"


def is_read_only(error: BaseException) -> bool:
    """Whether the server takes no writes: it is a replica, or became one."""
    return isinstance(error, DBAPIError) and _sqlstate(error) == _READ_ONLY


def explained(error: DBAPIError, where: str, *, met: bool, in_doubt: bool) -> Exception:
    """What the caller gets. `where` names the database, `met`: it answered before, `in_doubt`: it may have stored."""
    state, kind = _sqlstate(error), kind_of(error)
    if not met and not state:  # a hub or command that starts: the operator must know what to change
        message = f"the hub's {where} cannot be used: {_first_line(error)}"
        return _logged(FerryError("HUB_OVERLOADED", message, retry_after_s=2.0))
    if kind == "clash":
        return FerryError("HUB_OVERLOADED", "too many changes of one thing at once; try again", retry_after_s=1.0)
    if kind == "lost":
        _log.warning("database_lost where=%s error=%s", where, _first_line(error))
        done = "the connection to the hub's database ended while it stored this; it may be done, or not"
        message = done if in_doubt else "the hub cannot reach its database; try again"
        return FerryError("HUB_OVERLOADED", message, retry_after_s=2.0)
    if state == _BAD_TEXT:
        return invalid("text", "holds a character that cannot be stored")
    return _of_the_server(error, state, where) or CatalogueError(f"{state}: {_first_line(error)}")


def _of_the_server(error: DBAPIError, state: str, where: str) -> FerryError | None:
    """What is wrong with the server rather than with the statement."""
    text = _first_line(error)
    if state == _DISK_FULL:
        message = f"the disk of the hub's database is full: {text}"
        return _logged(FerryError("DISK_FULL", message, path=where, freeBytes=0))
    if state == _READ_ONLY:
        message = f"the hub's {where} is not writable: is it a replica?"
        return _logged(FerryError("READ_ONLY", message, path=where))
    if state == _IO_ERROR:
        return _logged(FerryError("IO_ERROR", f"the hub's {where} cannot read or write its disk: {text}", path=where))
    if state == _NOT_ALLOWED:
        message = f"the hub's {where}: {text}; its role must own the database"
        return _logged(FerryError("READ_ONLY", message, path=where))
    if state.startswith(_BUSY):
        return _logged(
            FerryError("HUB_OVERLOADED", f"the hub's database is busy ({text}); try again", retry_after_s=1.0)
        )
    return None


def _logged(error: FerryError) -> FerryError:
    _log.warning("database_failed reason=%s error=%s", error.reason, error.message)
    return error


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _first_line(error: DBAPIError) -> str:
    diagnosis = getattr(error.orig, "diag", None)
    primary: str | None = getattr(diagnosis, "message_primary", None)
    return primary or str(error.orig).partition("\n")[0]
