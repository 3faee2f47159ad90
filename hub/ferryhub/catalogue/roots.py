"""Root collections and allocations: what a project gets when it is made, and a user when they first own something.

Part of `create_project` and of upload step 7. Ordinary collections are in `collections.py`.
"""

from __future__ import annotations

from sqlalchemy import Connection, insert

from ferryhub.catalogue import locations
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.clock import now_us
from ferrywire.ids import new_id

_COLLECTION = insert(t.collections)
_SCOPES = insert(t.collection_scopes)
_ALLOCATION = insert(t.allocations)


def add_root(conn: Connection, owner_type: str, owner_id: str, *, root_id: str, created_by: str) -> None:
    """Add the root collection of an owner. A project's grants reach it; a user owns theirs anyway."""
    project_id = owner_id if owner_type == "project" else None
    owner = {"project_id": project_id, "owner_type": owner_type, "owner_id": owner_id}
    made = {"created_at": now_us(), "created_by": created_by}
    conn.execute(_COLLECTION, {"id": root_id, "name": owner_id, "path": "/", **owner, **made})
    reaches = [root_id] if project_id is None else [root_id, project_id]
    conn.execute(_SCOPES, [{"collection_id": root_id, "resource_id": resource_id} for resource_id in reaches])


def add_allocation(conn: Connection, owner_type: str, owner_id: str, *, quota_bytes: int) -> str:
    """Give an owner its share of the hub's default storage location; returns the allocation's id."""
    allocation_id = new_id("alc")
    share = {"storage_location": locations.default_name(conn), "quota_bytes": quota_bytes, "created_at": now_us()}
    conn.execute(_ALLOCATION, {"id": allocation_id, "owner_type": owner_type, "owner_id": owner_id, **share})
    return allocation_id
