"""Downloads: a content's manifest with places to read each file from (D7). No SQL, no protobuf here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from ferryhub.blobs.locations import Location
from ferryhub.blobs.places import Places
from ferryhub.catalogue import contents
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.paging import Key, Page


@dataclass(frozen=True, slots=True)
class DownloadPage:
    """A page of a manifest. `after` is the key of the next page, None at the end."""

    content: Row[Any]
    title: str
    #: Rows of `content_files`: each has the key of its blob, empty for an empty file, and where in that it starts.
    files: Sequence[Row[Any]]
    #: Where to read blobs, by key.
    blobs: Mapping[str, Location]
    after: Key | None


class Downloads:
    """What ContentService gives out."""

    def __init__(self, database: Database, places: Places) -> None:
        self._database = database
        self._places = places

    async def page(
        self, actor: Actor, asset_key: str, content_id: str, page: Page, *, accept_files: bool
    ) -> DownloadPage:
        """A page of the manifest of a content, the asset's newest unless one is named; see `contents.to_download`.

        Pages after the first stay with the content of the first, whatever is committed meanwhile.
        """
        content, title, rows, last = await self._database.read(_page, actor, asset_key, content_id, page)
        keys = list(dict.fromkeys(row.blob_key for row in rows if row.blob_key))
        place = await self._places.get(content.storage_location)
        found = dict(zip(keys, await place.reads(keys, accept_files=accept_files), strict=True)) if keys else {}
        return DownloadPage(content, title, rows, found, None if last is None else (content.id, last))


def _page(
    conn: Connection, actor: Actor, asset_key: str, content_id: str, page: Page
) -> tuple[Row[Any], str, list[Row[Any]], int | None]:
    begun_id, after_index = page.after if page.after is not None else (content_id, -1)
    content, title = contents.to_download(conn, actor, asset_key, begun_id)
    return content, title, *contents.files_page(conn, content.id, page.size, after_index)
