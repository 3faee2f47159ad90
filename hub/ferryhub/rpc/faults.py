"""What is wrong with a call that no service has a word for: unreadable, too large, or failed unexpectedly.

Pure but for the log, which alone gets the text of an exception that nobody expected.
"""

from __future__ import annotations

import logging
import secrets
from typing import Final

from ferrywire.reasons import FerryError

#: Room for 10,000 files or the block digests of hundreds of large parts in one request.
MAX_REQUEST_BYTES: Final = 32 << 20
log = logging.getLogger(__name__)


def too_large() -> FerryError:
    """The request has too many bytes."""
    limit = MAX_REQUEST_BYTES
    return FerryError("TOO_LARGE", f"a request may have {limit} bytes at most", limitBytes=limit)


def unreadable(why: str) -> FerryError:
    """The request is not the message it should be."""
    return FerryError("INVALID_ARGUMENT", f"the request cannot be read: {why}", field="body")


def unexpected(error: Exception, method: str) -> FerryError:
    """Something failed that must not: `INTERNAL` with an id under which the log has all."""
    error_id = secrets.token_hex(6)
    log.error("rpc_failed method=%s error_id=%s", method, error_id, exc_info=error)
    return FerryError(
        "INTERNAL", f"something went wrong inside the hub; its log has error {error_id}", errorId=error_id
    )
