"""Brings the catalogue's schema up to date when the hub starts.

One plain SELECT tells whether anything is due; only then Alembic, a quarter of a second to import, is loaded. A new
database is made from the metadata and stamped; a test proves that the revisions give the same. To add a revision:
change `tables.py`, add a file in `migrations/versions/`, set `HEAD`; `docs/adr/0009` says what it may do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, func, insert, inspect, select

# From here, so that the metadata holds the tables of both modules.
from ferryhub.catalogue.account_tables import metadata
from ferryhub.catalogue.settings import SECRETS, least_head, load_secrets, make_secrets, set_least_head
from ferrywire.reasons import FerryError

#: The newest revision in `migrations/versions/`.
HEAD: Final = "0007"
#: The `HEAD` of the oldest release that can use a catalogue at ours. Kept in it, for hubs of releases before.
LEAST_HEAD: Final = "0007"
MIGRATIONS: Final = Path(__file__).with_name("migrations")
#: What hubs that start at once wait for on PostgreSQL: any number, the same in every release.
_ADVISORY_KEY: Final = 0x66657272
#: How long a migration waits for a table, in seconds: less than the hubs that serve meanwhile wait for theirs.
_LOCK_PATIENCE_S: Final = 3

#: Alembic's own table, as Alembic makes it.
_stamp = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
_REVISION = select(_stamp.c.version_num)
#: What `CREATE INDEX CONCURRENTLY` has not ended, or was kept from ending: there by name, and used for nothing.
_UNFINISHED: Final = """
SELECT pg_class.relname FROM pg_index JOIN pg_class ON pg_class.oid = pg_index.indexrelid
WHERE NOT pg_index.indisvalid AND pg_class.relnamespace = current_schema()::regnamespace ORDER BY 1
"""


def revision(conn: Connection) -> str | None:
    """The revision the database is at; None for an empty one."""
    if not inspect(conn).has_table(_stamp.name):
        return None
    found: str | None = conn.execute(_REVISION).scalar()
    return found


def secrets_if_current(conn: Connection) -> dict[str, bytes] | None:
    """The hub's secrets when nothing is due; None when `bring_up` must run. Error: as `require_usable`."""
    at = revision(conn)
    if at is None or at < HEAD:
        return None
    require_usable(conn, at)
    secrets = load_secrets(conn)
    return secrets if secrets.keys() == SECRETS else None


def bring_up(conn: Connection) -> dict[str, bytes]:
    """Make or migrate the schema and the hub's secrets, in one transaction. Errors: as `require_usable`, and
    `RuntimeError` for an index that is not finished."""
    _wait_for_turn(conn)
    # Another process may have done it while this one waited.
    at = revision(conn)
    if at is None:
        create(conn)
    elif at < HEAD:
        upgrade(conn)
    else:
        require_usable(conn, at)
    return make_secrets(conn)


def require_usable(conn: Connection, at: str) -> None:
    """Whether this release can use the tables, which a newer one may have changed. Error: `UNIMPLEMENTED` if not."""
    least = least_head(conn)
    if at > HEAD and (least is None or least > HEAD):
        message = f"the catalogue is at revision {at}, which this ferryhub, of {HEAD}, cannot use: update ferryhub"
        raise FerryError("UNIMPLEMENTED", message)


def too_old(conn: Connection) -> bool:
    """Whether a newer hub has meanwhile taken away what this one needs. One short SELECT."""
    least = least_head(conn)
    return least is not None and least > HEAD


def _wait_for_turn(conn: Connection) -> None:
    """Let one process at a time through, until it commits. On SQLite the transaction itself does."""
    if conn.dialect.name != "postgresql":
        return
    # What was done meanwhile must show: no snapshot from before the wait. A migration may take its time.
    conn.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    conn.exec_driver_sql("SET LOCAL lock_timeout = 0")
    conn.exec_driver_sql("SET LOCAL statement_timeout = 0")
    conn.execute(select(func.pg_advisory_xact_lock(_ADVISORY_KEY)))
    # Whoever waits for a table, such as behind pg_dump, makes all others wait who come after.
    conn.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_PATIENCE_S}s'")


def create(conn: Connection) -> None:
    """Make every table in an empty database and say that it is at the newest revision."""
    metadata.create_all(conn)
    _stamp.create(conn)
    conn.execute(insert(_stamp), {"version_num": HEAD})
    set_least_head(conn, LEAST_HEAD)


def upgrade(conn: Connection) -> None:
    """Run the revisions that are due."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = conn
    command.upgrade(config, "head")
    _require_whole_indexes(conn)
    set_least_head(conn, LEAST_HEAD)


def _require_whole_indexes(conn: Connection) -> None:
    """An index that the operator made first (ADR 0009) was taken by its name. Error: `RuntimeError` unless it works."""
    if conn.dialect.name != "postgresql":
        return
    ours = {str(index.name) for table in metadata.tables.values() for index in table.indexes}
    for name in sorted(ours.intersection(conn.exec_driver_sql(_UNFINISHED).scalars())):
        raise RuntimeError(
            f"the index {name} is not finished: wait until CREATE INDEX CONCURRENTLY has ended, or, when it has "
            f"failed, say REINDEX INDEX CONCURRENTLY {name}; then start the hub again"
        )
