"""Keeps aliases unique over the whole hub, ignoring case: one row each, whatever the kind of node.

The database's primary key decides who gets an alias, so two callers at once cannot both have it: the one who comes
second is run again and sees the first.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, insert, select

from ferryhub.catalogue import tables as t
from ferrywire.reasons import FerryError

_HOLDER = select(t.aliases.c.node_id).where(t.aliases.c.alias_folded == bindparam("key"))
_INSERT = insert(t.aliases)
_DELETE = delete(t.aliases).where(t.aliases.c.node_id == bindparam("node"))


def claim(conn: Connection, alias: str, node_id: str) -> None:
    """Give a node its alias; empty is none. Error: `ALIAS_TAKEN`."""
    if not alias:
        return
    folded = alias.casefold()
    if conn.execute(_HOLDER, {"key": folded}).first() is not None:
        raise FerryError("ALIAS_TAKEN", f"the alias '{alias}' is already used on this hub", alias=alias)
    conn.execute(_INSERT, {"alias_folded": folded, "alias": alias, "node_id": node_id})


def release(conn: Connection, node_id: str) -> None:
    """Take a node's alias away, if it has one."""
    conn.execute(_DELETE, {"node": node_id})
