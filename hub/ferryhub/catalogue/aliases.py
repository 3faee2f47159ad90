"""Keeps aliases unique over the whole hub, ignoring case: one row each, whatever the kind of node.

The database's primary key decides who gets an alias, so two callers at once cannot both have it.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, insert
from sqlalchemy.exc import IntegrityError

from ferryhub.catalogue import tables as t
from ferrywire.reasons import FerryError

_INSERT = insert(t.aliases)
_DELETE = delete(t.aliases).where(t.aliases.c.node_id == bindparam("node"))


def claim(conn: Connection, alias: str, node_id: str) -> None:
    """Give a node its alias; empty is none. Error: `ALIAS_TAKEN`, after which the transaction must end."""
    if not alias:
        return
    try:
        conn.execute(_INSERT, {"alias_folded": alias.casefold(), "alias": alias, "node_id": node_id})
    except IntegrityError as error:
        raise FerryError("ALIAS_TAKEN", f"the alias '{alias}' is already used on this hub", alias=alias) from error


def release(conn: Connection, node_id: str) -> None:
    """Take a node's alias away, if it has one."""
    conn.execute(_DELETE, {"node": node_id})
