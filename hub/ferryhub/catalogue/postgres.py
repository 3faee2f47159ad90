"""Transactions on PostgreSQL: serializable writes that are repeated when they meet another, on any number of hubs.

A function sees the database as if it were alone, as on SQLite; what clashed runs again from its start and sees what
the other did. Imported only when a hub is told to use PostgreSQL. No table or query here, no threads.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Final, Literal, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from ferryhub.catalogue.postgres_errors import Kind, explained, is_read_only, kind_of

T = TypeVar("T")
# It warns of every batch that ends in a clash, which we see to.
logging.getLogger("psycopg").setLevel(logging.ERROR)

#: Connections of one hub: each is a process of the server, which allows 100 unless told otherwise.
_READERS: Final = 6
_WRITERS: Final = 4
#: How long a function is repeated, in seconds.
_PATIENCE_S: Final = 15.0
#: How often for each kind of failure. A repeat sees the row that was in the way: to meet one again and again is a
#: mistake of ours. A server that stays away is the caller's to wait for.
_REPEATS: Final[dict[Kind, int]] = {"clash": 1000, "violation": 4, "lost": 2, "other": 0}
_FIRST_PAUSE_S: Final = 0.005
_LONGEST_PAUSE_S: Final = 0.25
_SETTINGS: Final = {
    # No statement of ours takes a second; one that does would only hold up the others.
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    # Every statement of ours follows an index to a few rows. A plan that reads a whole table is a guess gone wrong,
    # before the first ANALYZE above all; and a write that read a whole table would clash with every other.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    # Compiling a plan takes longer than any of our statements, and is decided by a guess.
    "jit": "off",
}
_CONNECT: Final = {
    "application_name": "ferryhub",
    "connect_timeout": "10",
    # A server that vanished without a word is noticed.
    "keepalives_idle": "30",
    "tcp_user_timeout": "30000",
}


class PostgresTransactions:
    """Runs functions in transactions of a PostgreSQL database, in the caller's thread."""

    readers = _READERS
    writers = _WRITERS
    remote = True

    def __init__(self, url: str | URL) -> None:
        self._where = f"database '{make_url(url).database}'"
        self._reader = _engine(url, isolation="REPEATABLE READ", connections=_READERS)
        self._writer = _engine(url, isolation="SERIALIZABLE", connections=_WRITERS)
        event.listen(self._reader, "connect", _read_only)
        for engine in (self._reader, self._writer):  # before SQLAlchemy asks anything, in a text that it cannot read
            event.listen(engine, "connect", self._require_utf8, insert=True)
        #: Held while a write is repeated, so that those of this hub do not get in each other's way again.
        self._repeating = threading.Lock()
        self.repeats = 0
        #: Whether the database has ever answered: before that only the operator hears of what is wrong.
        self._met = False
        self._counting = threading.Lock()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run on one snapshot; again when the connection was lost."""
        return self._persistently(self._reader, work)

    ask = read

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run and commit, as often as it takes."""
        return self._persistently(self._writer, work)

    def version(self) -> None:
        """Only the server knows: asking it takes as long as any question."""

    def close(self) -> None:
        """Close every connection."""
        self._reader.dispose()
        self._writer.dispose()

    def _require_utf8(self, connection: Any, _record: object) -> None:
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            advice = "make it with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            raise RuntimeError(f"the hub's {self._where} has the encoding {encoding} and needs UTF8: {advice}")

    def _persistently(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        patience = _Patience()
        while True:
            attempt = _Attempt(engine)
            with self._repeating if patience.clashed else nullcontext():
                try:
                    result = attempt.run(work)
                    self._met = True
                    return result
                except DBAPIError as error:
                    if not patience.allows(attempt.failed_with(error)):
                        meant = explained(error, self._where, met=self._met, in_doubt=attempt.in_doubt(error))
                        # Where it happened, without PostgreSQL's own words: those may hold what is stored.
                        raise meant.with_traceback(error.__traceback__) from None
            with self._counting:
                self.repeats += 1
            time.sleep(patience.pause_s())


class _Attempt:
    """One run of a function in a transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._committing = False

    def run(self, work: Callable[[Connection], T]) -> T:
        with self._engine.connect() as connection:
            transaction = connection.begin()
            try:
                result = work(connection)
                self._committing = True
                transaction.commit()
            except BaseException as error:
                transaction.rollback()
                if is_read_only(error):  # what was the primary server is a replica now: go and find the new one
                    connection.invalidate()
                raise
            return result

    def failed_with(self, error: DBAPIError) -> Kind:
        """What to do about it; nothing when the transaction may have been committed."""
        return "other" if self.in_doubt(error) else kind_of(error)

    def in_doubt(self, error: DBAPIError) -> bool:
        """The connection ended under a COMMIT: nobody knows what became of it."""
        return self._committing and kind_of(error) == "lost"


class _Patience:
    """How often and how long one call is tried."""

    def __init__(self) -> None:
        self._until = time.monotonic() + _PATIENCE_S
        self._left = dict(_REPEATS)
        self._pause_s = _FIRST_PAUSE_S
        self.clashed = False

    def allows(self, kind: Kind) -> bool:
        """Whether to try again after a failure of this kind."""
        self._left[kind] -= 1
        self.clashed = self.clashed or kind != "lost"
        return self._left[kind] >= 0 and time.monotonic() < self._until

    def pause_s(self) -> float:
        """How long to wait before; random, so that those who clashed do not meet again."""
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        return random.uniform(0, self._pause_s)


def _engine(url: str | URL, *, isolation: Literal["REPEATABLE READ", "SERIALIZABLE"], connections: int) -> Engine:
    given = make_url(url).set(drivername="postgresql+psycopg")
    options = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
    ours = {name: value for name, value in _CONNECT.items() if name not in given.query}
    return create_engine(
        given,
        isolation_level=isolation,
        pool_size=connections,
        max_overflow=0,
        # Every transaction ends in commit or rollback before its connection goes back.
        pool_reset_on_return=None,
        query_cache_size=500,
        # An error's text would hold what was stored: digests of tokens, for one.
        hide_parameters=True,
        use_native_hstore=False,
        # What the operator says comes last and so wins.
        connect_args={**ours, "options": f"{options} {given.query.get('options', '')}".strip()},
    )


def _read_only(connection: Any, _record: object) -> None:
    connection.read_only = True
