"""How a database means to answer what a function asks: every statement it sends, and the rows each one looks at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

from sqlalchemy import Connection, event

from ferryhub.catalogue.account_tables import metadata
from ferryhub.catalogue.prepared import Prepared

#: Of which there are a handful, however large the catalogue: an operator's doing.
SMALL: Final = {"settings", "leases", "storage_locations", "alembic_version"}
_TABLES: Final = "|".join(sorted(set(metadata.tables) - SMALL))
_SCAN: Final = re.compile(rf"^SCAN ({_TABLES})\b")


@dataclass
class Asked:
    """A statement as the driver got it."""

    statement: str
    parameters: Any


@dataclass
class Plan:
    """What was found out about one statement."""

    statement: str
    text: str
    #: Tables that are read from end to end.
    whole_tables: list[str]
    #: How many rows were looked at; None where the database does not say.
    rows: int | None


def plans_of(conn: Connection, fn: Callable[[Connection], Any]) -> list[Plan]:
    """Run a function and explain what it asked for."""
    with _listening(conn) as asked:
        fn(conn)
    explain = _on_postgres if conn.dialect.name == "postgresql" else _on_sqlite
    return [explain(conn, each) for each in asked]


def statements_of(conn: Connection, fn: Callable[[Connection], Any]) -> list[str]:
    """Run a function and tell every statement that it sent."""
    sent: list[str] = []

    def listen(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    with _heard(conn, listen):
        fn(conn)
    return sent


@contextmanager
def _heard(conn: Connection, listen: Callable[..., None]) -> Iterator[None]:
    """Listen to every statement. Those that go to SQLite's driver take the way of the others meanwhile."""
    event.listen(conn, "before_cursor_execute", listen)
    with patch.object(Prepared, "first", _first):
        yield
    event.remove(conn, "before_cursor_execute", listen)


def _first(prepared: Prepared, conn: Connection, values: dict[str, Any]) -> Any:
    return conn.execute(prepared.statement, values).first()


@contextmanager
def _listening(conn: Connection) -> Iterator[list[Asked]]:
    asked: list[Asked] = []

    def listen(_conn: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.split(maxsplit=1)[0].upper() in ("SELECT", "UPDATE", "DELETE", "WITH"):
            asked.append(Asked(statement, parameters[0] if many else parameters))

    with _heard(conn, listen):
        yield asked


def _on_sqlite(conn: Connection, asked: Asked) -> Plan:
    rows = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked.statement}", asked.parameters).all()
    lines = [row.detail for row in rows]
    whole = [match[1] for line in lines if (match := _SCAN.match(line))]
    return Plan(asked.statement, "\n".join(lines), whole, None)


def _on_postgres(conn: Connection, asked: Asked) -> Plan:
    # What changes something is not run a second time.
    how = "ANALYZE, " if asked.statement.startswith(("SELECT", "WITH")) else ""
    explained = conn.exec_driver_sql(f"EXPLAIN ({how}FORMAT JSON) {asked.statement}", asked.parameters).scalar_one()
    nodes = list(_nodes(explained[0]["Plan"]))
    whole = [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"]
    rows = sum(_looked_at(node) for node in nodes) if how else None
    return Plan(asked.statement, str(explained), [each for each in whole if each not in SMALL], rows)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


def _looked_at(node: dict[str, Any]) -> int:
    if "Scan" not in node["Node Type"]:
        return 0
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return round(float((node["Actual Rows"] + removed) * node["Actual Loops"]))
