"""How many bytes a catalogue takes, by table and index."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

Sizes = Mapping[str, int]

_POSTGRES = """
SELECT relname, pg_table_size(oid) AS rows, pg_indexes_size(oid) AS indexes FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_total_relation_size(oid) > 1000000
"""


def sizes_of(url: URL) -> Sizes:
    """Bytes of all; on PostgreSQL also of the rows and the indexes of each table that has more than a megabyte."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as conn:
        if engine.dialect.name == "postgresql":
            found = {"all": int(conn.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())}
            for row in conn.exec_driver_sql(_POSTGRES):
                found |= {f"{row.relname}, rows": row.rows, f"{row.relname}, indexes": row.indexes}
        else:
            pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
            found = {"all": int(pages * conn.exec_driver_sql("PRAGMA page_size").scalar_one())}
    engine.dispose()
    return found
