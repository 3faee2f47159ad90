"""The text type of every column: what both databases store and sort alike.

PostgreSQL cannot hold a NUL, so no database gets one; and it would sort by the operator's locale, so that pages came in
another order than on SQLite. Nothing else about the schema is here.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy import Dialect
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.types import TypeDecorator, TypeEngine

from ferrywire.reasons import FerryError

#: Sorts by code point, as SQLite does.
COLLATION = "C"


class NotStorable(FerryError, DontWrapMixin):
    """A text that no database of ours takes. SQLAlchemy lets it through as it is."""

    def __init__(self) -> None:
        super().__init__("INVALID_ARGUMENT", "text: must not contain a NUL character", field="text")


class Text(TypeDecorator[str]):
    """Text without NUL, sorted by code point. Error when a value is bound: `INVALID_ARGUMENT`."""

    impl = sqlalchemy.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """PostgreSQL needs to be told how to sort; SQLite's default is what we want."""
        return sqlalchemy.Text(collation=COLLATION if dialect.name == "postgresql" else None)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Refuse what PostgreSQL could not store, also where it is only looked for."""
        if value is not None and "\0" in value:
            raise NotStorable
        return value
