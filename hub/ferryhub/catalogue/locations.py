"""Storage locations: where bytes may be kept, and what each asks of the parts it gets (upload step 7).

The hub's own files are always there, under the name `default`; the others are rows. No bytes, no boto3, no secret here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from ferryhub.catalogue import tables as t
from ferryhub.catalogue.clock import now_us
from ferryhub.catalogue.manifest import MAX_FILE_BYTES, ManifestFile
from ferryhub.catalogue.validation import invalid
from ferrywire.ids import new_id
from ferrywire.parts import MIB
from ferrywire.reasons import FerryError

#: The hub's own files.
OWN_FILES: Final = "default"
CRC64NVME: Final = "crc64nvme"
#: What a pack may have unless a location says otherwise.
PACK_BYTES: Final = 8 * MIB
_DEFAULT_KEY: Final = "default_storage"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class PartRules:
    """What a location asks of the files and parts that are sent to it. Sizes are in bytes."""

    #: Every part but a file's last has at least this; smaller ones that a caller asks for are taken as this.
    least_part_bytes: int = MIB
    most_file_bytes: int = MAX_FILE_BYTES
    #: The checksum that each part must come with: `crc64nvme` or empty.
    checksum: str = ""
    #: What small files that are sent as one object may have together; 0 where each is an object of its own.
    pack_bytes: int = 0

    def applied(self, files: Sequence[ManifestFile], first_index: int) -> list[ManifestFile]:
        """The files with the part sizes that they will have. Error: `INVALID_ARGUMENT` for one that is too large."""
        for index, file in enumerate(files, first_index):
            if file.size_bytes > self.most_file_bytes:
                message = f"{file.size_bytes} is more than the {self.most_file_bytes} bytes that a file may have there"
                raise invalid(f"files[{index}].size_bytes", message)
        return [replace(file, part_bytes=max(file.part_bytes, self.least_part_bytes)) for file in files]


@dataclass(frozen=True, slots=True)
class StorageLocation:
    """A place for bytes. `options` are its kind's own, without secrets."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rules(self) -> PartRules:
        """What the options say about parts."""
        known = PartRules.__dataclass_fields__
        return PartRules(**{key: value for key, value in self.options.items() if key in known})


OWN: Final = StorageLocation(OWN_FILES, "files", {"pack_bytes": PACK_BYTES})


def find(conn: Connection, name: str) -> StorageLocation:
    """A location by name. Error: `RESOURCE_NOT_FOUND`."""
    if name == OWN_FILES:
        return OWN
    row = conn.execute(_BY_NAME, {"name": name}).first()
    if row is None:
        message = f"there is no storage location '{name}'; see 'ferryhub storage list'"
        raise FerryError("RESOURCE_NOT_FOUND", message, resourceId=name)
    return _location(row)


def listing(conn: Connection) -> list[StorageLocation]:
    """Every location, the hub's own files first."""
    return [OWN, *map(_location, conn.execute(_LISTING))]


def add(conn: Connection, location: StorageLocation) -> None:
    """Add a location. Errors: `INVALID_ARGUMENT`, `NAME_TAKEN`."""
    if not _NAME.fullmatch(location.name):
        raise invalid("name", f"'{location.name[:60]}' is not made of at most 32 small letters, digits and '-'")
    if location.name == OWN_FILES or conn.execute(_BY_NAME, {"name": location.name}).first() is not None:
        message = f"there is a storage location '{location.name}' already"
        raise FerryError("NAME_TAKEN", message, name=location.name)
    options = json.dumps(dict(location.options), sort_keys=True)
    row = {"name": location.name, "kind": location.kind, "options": options, "created_at": now_us()}
    conn.execute(insert(t.storage_locations), row)


def default_name(conn: Connection) -> str:
    """The location that new projects and users get their allocation at."""
    name: str | None = conn.execute(_DEFAULT).scalar()
    return name or OWN_FILES


def set_default(conn: Connection, name: str) -> None:
    """Choose the location of new allocations; those that are there stay. Error: `RESOURCE_NOT_FOUND`."""
    find(conn, name)
    conn.execute(delete(t.settings).where(t.settings.c.key == _DEFAULT_KEY))
    conn.execute(insert(t.settings), {"key": _DEFAULT_KEY, "value": name})


def allocations(conn: Connection) -> Sequence[Row[Any]]:
    """Every allocation, with the `owner_name`: a project's alias or name, or an e-mail address."""
    return conn.execute(_ALLOCATIONS).all()


def allocate(conn: Connection, owner: tuple[str, str], name: str, quota_bytes: int, *, by_default: bool) -> None:
    """Give an owner, (type, id), so much of a location, or change how much. `by_default` sends a project's uploads
    there from now on. Errors: `RESOURCE_NOT_FOUND`, `INVALID_ARGUMENT`."""
    owner_type, owner_id = owner
    if quota_bytes < 0:
        raise invalid("quota_bytes", f"{quota_bytes} is not a size in bytes")
    find(conn, name)
    where = {"type": owner_type, "owner": owner_id, "location": name}
    allocation_id: str | None = conn.execute(_ALLOCATION, where).scalar()
    if allocation_id is None:
        allocation_id = new_id("alc")
        keys = {"id": allocation_id, "owner_type": owner_type, "owner_id": owner_id, "storage_location": name}
        conn.execute(insert(t.allocations), keys | {"quota_bytes": quota_bytes, "created_at": now_us()})
    else:
        conn.execute(_RESIZE, {"allocation": allocation_id, "quota": quota_bytes})
    if by_default:
        if owner_type != "project":
            raise invalid("owner", "only a project has a default allocation; a user's is the hub's default location")
        conn.execute(_PREFER, {"project": owner_id, "allocation": allocation_id})


def _location(row: Row[Any]) -> StorageLocation:
    return StorageLocation(row.name, row.kind, json.loads(row.options))


_l, _a = t.storage_locations.c, t.allocations.c
_LISTING = select(t.storage_locations).order_by(_l.created_at, _l.name)
_BY_NAME = select(t.storage_locations).where(_l.name == bindparam("name"))
_DEFAULT = select(t.settings.c.value).where(t.settings.c.key == _DEFAULT_KEY)
_p = t.projects.c
_OWNER_NAME = func.coalesce(func.nullif(_p.alias, ""), _p.name, t.principals.c.email, "").label("owner_name")
_ALLOCATIONS = (
    select(t.allocations, _OWNER_NAME)
    .outerjoin(t.projects, _p.id == _a.owner_id)
    .outerjoin(t.principals, t.principals.c.id == _a.owner_id)
    .order_by(_a.owner_type, _a.owner_id, _a.storage_location)
)
_ALLOCATION = select(_a.id).where(
    _a.owner_type == bindparam("type"),
    _a.owner_id == bindparam("owner"),
    _a.storage_location == bindparam("location"),
)
_RESIZE = update(t.allocations).where(_a.id == bindparam("allocation")).values(quota_bytes=bindparam("quota"))
_PREFER = (
    update(t.projects)
    .where(t.projects.c.id == bindparam("project"))
    .values(default_allocation_id=bindparam("allocation"))
)
