"""How long PostgreSQL itself says that an operation's statements take: to plan, to run, and to make the reply of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from figures import median
from sqlalchemy import Connection, event

from ferryhub.catalogue.database import Transactions

#: SERIALIZE (from PostgreSQL 17) also turns the rows into the text that would be sent; without TIMING there is no
#: clock read for every row.
_EXPLAIN: Final = "EXPLAIN (ANALYZE, TIMING OFF, SERIALIZE TEXT, FORMAT JSON)"


def served_ms(transactions: Transactions, rounds: int, read: Callable[[Connection], Any]) -> float:
    """The median over so many rounds, in milliseconds, of all statements of `read` together."""
    return median([transactions.read(lambda conn: _once_ms(conn, read)) for _ in range(rounds)])


def _once_ms(conn: Connection, read: Callable[[Connection], Any]) -> float:
    return sum(_explained_ms(conn, statement, parameters) for statement, parameters in _asked(conn, read))


def _asked(conn: Connection, read: Callable[[Connection], Any]) -> list[tuple[str, Any]]:
    asked: list[tuple[str, Any]] = []

    def listen(_conn: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        asked.append((statement, parameters))

    event.listen(conn, "before_cursor_execute", listen)
    try:
        read(conn)
    finally:
        event.remove(conn, "before_cursor_execute", listen)
    return asked


def _explained_ms(conn: Connection, statement: str, parameters: Any) -> float:
    said = conn.exec_driver_sql(f"{_EXPLAIN} {statement}", parameters).scalar_one()[0]
    return float(said["Planning Time"]) + float(said["Execution Time"])
