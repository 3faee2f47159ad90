"""Puts a whole catalogue into an empty database in bulk: rows first, then indexes and keys, then statistics.

The schema is the hub's own before and after; what is dropped to be fast is made again from its description.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, ForeignKeyConstraint, Table, create_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import AddConstraint, CreateIndex, DropConstraint, DropIndex

from ferryhub.catalogue import schema
from ferryhub.catalogue.account_tables import metadata
from scaling.rows import Rows, everything
from scaling.world import World

Say = Callable[[str], None]
_ROWS_AT_ONCE: Final = 5000
#: Nothing is lost when this is cut short: the file is thrown away then.
_CARELESS: Final = (
    "PRAGMA journal_mode=OFF",
    "PRAGMA synchronous=OFF",
    "PRAGMA foreign_keys=OFF",
    "PRAGMA cache_size=-1000000",
    "PRAGMA temp_store=MEMORY",
)


def fill(url: URL, world: World, say: Say) -> None:
    """Make the schema in an empty database and put everything in. The hub's own code reads it afterwards."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as conn:
        schema.bring_up(conn)
    postgres = engine.dialect.name == "postgresql"
    with _on_postgres(engine, say) if postgres else _on_sqlite(engine, say) as conn:
        for table, rows in everything(world):
            say(f"fill {table.name}")
            (_copy if postgres else _insert)(conn, table, rows)
    engine.dispose()


@contextmanager
def _on_postgres(engine: Engine, say: Say) -> Iterator[Connection]:
    with engine.begin() as conn:
        conn.exec_driver_sql("SET maintenance_work_mem = '1GB'")
        for table in reversed(metadata.sorted_tables):
            _bare(conn, table)
        yield conn
        for table in metadata.sorted_tables:
            say(f"index {table.name}")
            for constraint in _keys(table):
                conn.execute(AddConstraint(constraint, isolate_from_table=False))
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                conn.execute(CreateIndex(index))
        for table in metadata.sorted_tables:
            for constraint in table.foreign_key_constraints:
                conn.execute(AddConstraint(constraint, isolate_from_table=False))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        say("vacuum and analyze")
        conn.exec_driver_sql("VACUUM ANALYZE")
        conn.exec_driver_sql("CHECKPOINT")


@contextmanager
def _on_sqlite(engine: Engine, say: Say) -> Iterator[Connection]:
    with engine.connect() as conn:
        for pragma in _CARELESS:
            conn.exec_driver_sql(pragma)
        conn.commit()
        for table in metadata.sorted_tables:
            for index in table.indexes:
                conn.execute(DropIndex(index))
        yield conn
        for table in metadata.sorted_tables:
            say(f"index {table.name}")
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                conn.execute(CreateIndex(index))
        conn.commit()


def _bare(conn: Connection, table: Table) -> None:
    """Take a table's indexes and constraints away; those of other tables that refer to it have gone before."""
    for constraint in table.foreign_key_constraints:
        conn.execute(DropConstraint(constraint))
    for constraint in _keys(table):
        conn.execute(DropConstraint(constraint))
    for index in table.indexes:
        conn.execute(DropIndex(index))


def _keys(table: Table) -> list[Any]:
    kept = [each for each in table.constraints if not isinstance(each, ForeignKeyConstraint)]
    return sorted(
        (each for each in kept if type(each).__name__ != "CheckConstraint"), key=lambda each: type(each).__name__
    )


def _copy(conn: Connection, table: Table, rows: Rows) -> None:
    dbapi: Any = conn.connection.dbapi_connection
    with dbapi.cursor().copy(f"COPY {table.name} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _insert(conn: Connection, table: Table, rows: Rows) -> None:
    marks = ",".join("?" * len(table.columns))
    while few := list(islice(rows, _ROWS_AT_ONCE)):
        conn.exec_driver_sql(f"INSERT INTO {table.name} VALUES ({marks})", few)
