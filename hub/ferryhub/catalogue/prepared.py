"""Statements that are asked all the time: on SQLite their text goes to the driver, which takes a third of the time.

What SQLAlchemy does for every statement, however often it was asked before, takes longer than SQLite itself; and the
fields of its rows take ten times as long to read as a named tuple's. No statement of its own here.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection, Dialect, Select


class Prepared:
    """A statement of which one row is wanted at the most."""

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement
        self._plain: _Plain | None = None

    def first(self, conn: Connection, values: dict[str, Any]) -> Any:
        """The first row, its fields by the names of the columns; None when there is none."""
        if conn.dialect.name != "sqlite":
            return conn.execute(self.statement, values).first()
        if self._plain is None:
            self._plain = _Plain(self.statement, conn.dialect)
        return self._plain.first(conn.connection.driver_connection, values)


class _Plain:
    """A statement as SQLite's driver takes it."""

    def __init__(self, statement: Select[Any], dialect: Dialect) -> None:
        compiled, columns = statement.compile(dialect=dialect), statement.selected_columns
        self._text = str(compiled)
        self._order = list(compiled.positiontup or ())
        #: Values that belong to the statement.
        self._own: dict[str, Any] = dict(compiled.params)
        #: What a column's type says to a value that is looked for: it may refuse it.
        checks = {name: _of(bind.type, dialect).bind_processor(dialect) for name, bind in compiled.binds.items()}
        self._checks = {name: check for name, check in checks.items() if check}
        # What the driver returns is taken as it is.
        assert not any(_of(column.type, dialect).result_processor(dialect, None) for column in columns)
        row: Any = namedtuple("row", columns.keys())  # type: ignore[misc] # they are known to SQLAlchemy alone
        self._row: Callable[[Iterable[Any]], Any] = row._make

    def first(self, driver: Any, values: dict[str, Any]) -> Any:
        for name, value in values.items():
            if check := self._checks.get(name):
                check(value)
        bound = self._own | values
        found = driver.execute(self._text, [bound[name] for name in self._order]).fetchone()
        return None if found is None else self._row(found)


def _of(kind: Any, dialect: Dialect) -> Any:
    return kind.dialect_impl(dialect)
