"""ContentService at the edge: parse, call the byte side, convert. Upload steps 7, 8 and 10; downloads D7.

No decision and no SQL here; bytes go through `blobs/endpoint.py`, not through here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row

from ferryapi.hub.v1 import asset_service_pb2 as asset_pb
from ferryapi.hub.v1 import content_service_pb2 as pb
from ferryhub.blobs.downloads import Downloads
from ferryhub.blobs.locations import Location, UrlLocation
from ferryhub.blobs.store import is_packed
from ferryhub.blobs.uploads import Uploads
from ferryhub.catalogue import contents
from ferryhub.catalogue.assets import NewAsset
from ferryhub.catalogue.database import Database
from ferryhub.catalogue.locations import CRC64NVME
from ferryhub.catalogue.manifest import ManifestFile
from ferryhub.catalogue.paging import PageSeal
from ferryhub.catalogue.parts import Part
from ferryhub.catalogue.sessions import NewUpload
from ferryhub.catalogue.validation import invalid
from ferryhub.rpc import convert
from ferryhub.rpc.caller import caller
from ferrywire.reasons import FerryError

_PAGE_SIZE = 1000
_CHECKSUMS = {"": pb.PART_CHECKSUM_UNSPECIFIED, CRC64NVME: pb.PART_CHECKSUM_CRC64NVME}


class ContentService:
    """Serves `ferryapi.hub.v1.ContentService`."""

    def __init__(self, database: Database, pages: PageSeal, uploads: Uploads, downloads: Downloads) -> None:
        self._database = database
        self._pages = pages
        self._uploads = uploads
        self._downloads = downloads

    async def create_upload(self, request: pb.CreateUploadRequest, _ctx: Any) -> pb.UploadSession:
        """Opens a session."""
        return await self._session(await self._uploads.create(caller(), _new_upload(request)))

    async def add_upload_files(self, request: pb.AddUploadFilesRequest, _ctx: Any) -> pb.UploadSession:
        """Adds files to a session."""
        files = _files(request.files)
        return await self._session(
            await self._uploads.add_files(caller(), request.session_id, request.first_index, files)
        )

    async def sign_parts(self, request: pb.SignPartsRequest, _ctx: Any) -> pb.SignPartsResponse:
        """Tells where to put parts."""
        wanted = _parts(request.parts)
        if request.HasField("pack"):
            place = await self._uploads.sign_pack(
                caller(), request.session_id, wanted, request.pack.crc64nvme, accept_files=request.accept_files
            )
            return pb.SignPartsResponse(locations=[_location(place)])
        locations = await self._uploads.sign_parts(
            caller(), request.session_id, wanted, accept_files=request.accept_files
        )
        return pb.SignPartsResponse(locations=map(_location, locations))

    async def record_parts(self, request: pb.RecordPartsRequest, _ctx: Any) -> pb.RecordPartsResponse:
        """Records parts that the hub did not see arrive."""
        pack_crc = request.pack.crc64nvme if request.HasField("pack") else None
        await self._uploads.record_parts(caller(), request.session_id, _parts(request.parts), pack_crc)
        return pb.RecordPartsResponse()

    async def list_parts(self, request: pb.ListPartsRequest, _ctx: Any) -> pb.ListPartsResponse:
        """Lists stored parts."""
        actor, query = caller(), ("ListParts", request.session_id)
        page = self._pages.page(request.page_size, request.page_token, actor, *query, default=_PAGE_SIZE)
        rows, after = await self._uploads.list_parts(actor, request.session_id, page)
        token = self._pages.token(after, actor, *query)
        return pb.ListPartsResponse(parts=map(_part, rows), next_page_token=token)

    async def commit_upload(self, request: pb.CommitUploadRequest, _ctx: Any) -> pb.Content:
        """Makes the content visible."""
        return _content(await self._uploads.commit(caller(), request.session_id, request.file_digests))

    async def abort_upload(self, request: pb.AbortUploadRequest, _ctx: Any) -> pb.AbortUploadResponse:
        """Throws a session away."""
        await self._uploads.abort(caller(), request.session_id)
        return pb.AbortUploadResponse()

    async def get_download(self, request: pb.GetDownloadRequest, _ctx: Any) -> pb.GetDownloadResponse:
        """Gets a page of a manifest."""
        actor, query = caller(), ("GetDownload", request.asset_id, request.content_id)
        page = self._pages.page(request.page_size, request.page_token, actor, *query, default=_PAGE_SIZE)
        found = await self._downloads.page(
            actor, request.asset_id, request.content_id, page, accept_files=request.accept_files
        )
        if not request.accept_offsets and any(is_packed(row.blob_key) for row in found.files):
            raise FerryError("UNIMPLEMENTED", "its small files are kept in packs: update the daemon to read them")
        blobs = {key: _location(blob) for key, blob in found.blobs.items()}
        return pb.GetDownloadResponse(
            content=_content(found.content),
            title=found.title,
            files=[_download_file(row, blobs.get(row.blob_key)) for row in found.files],
            next_page_token=self._pages.token(found.after, actor, *query),
        )

    async def get_content(self, request: pb.GetContentRequest, _ctx: Any) -> pb.Content:
        """Gets a content version."""
        return _content(await self._database.read(contents.get, caller(), request.content_id))

    async def list_contents(self, request: pb.ListContentsRequest, _ctx: Any) -> pb.ListContentsResponse:
        """Lists the versions of an asset."""
        actor, query = caller(), ("ListContents", request.asset_id)
        page = self._pages.page(request.page_size, request.page_token, actor, *query)
        rows, after = await self._database.read(contents.listing, actor, request.asset_id, page)
        token = self._pages.token(after, actor, *query)
        return pb.ListContentsResponse(contents=map(_content, rows), next_page_token=token)

    async def _session(self, row: Row[Any]) -> pb.UploadSession:
        rules = await self._uploads.rules(row)
        session = pb.UploadSession(
            part_checksum=_CHECKSUMS[rules.checksum],
            least_part_size_bytes=rules.least_part_bytes,
            pack_size_bytes=rules.pack_bytes,
            session_id=row.id,
            asset_id=row.asset_id,
            expire_time=convert.timestamp(row.expires_at),
            file_count=row.file_count,
        )
        content = await self._database.read(contents.find, row.content_id) if row.content_id else None
        if content is not None:
            session.content.CopyFrom(_content(content))
        return session


def _new_upload(request: pb.CreateUploadRequest) -> NewUpload:
    target = request.WhichOneof("target")
    if target is None:
        raise invalid("target", "give new_asset or asset_id")
    asked = pb.CreateUploadRequest()
    asked.CopyFrom(request)
    asked.ClearField("request_id")
    return NewUpload(
        target=_new_asset(request.new_asset) if target == "new_asset" else request.asset_id,
        files=_files(request.files),
        total_size_bytes=request.total_size_bytes,
        total_file_count=request.total_file_count,
        message=request.message,
        request_id=request.request_id,
        fingerprint=hashlib.sha256(asked.SerializeToString(deterministic=True)).digest(),
    )


def _new_asset(asset: asset_pb.Asset) -> NewAsset:
    return NewAsset(
        title=asset.title,
        owner_type=asset.owner_type,
        owner_id=asset.owner_id,
        description=asset.description,
        alias=asset.alias,
        tags=list(asset.tags),
        metadata=convert.plain(asset.metadata),
        collection_id=asset.collection_id,
    )


def _files(files: Iterable[pb.UploadFile]) -> list[ManifestFile]:
    return [ManifestFile(file.path, file.size_bytes, file.part_size_bytes, file.media_type) for file in files]


def _parts(given: Iterable[pb.Part]) -> list[Part]:
    return [Part(part.file_index, part.part_number, part.digest, part.block_digests, part.crc64nvme) for part in given]


def _part(row: Row[Any]) -> pb.Part:
    return pb.Part(
        file_index=row.file_index, part_number=row.part_number, digest=row.digest, block_digests=row.block_digests
    )


def _content(row: Row[Any]) -> pb.Content:
    return pb.Content(
        content_id=row.id,
        asset_id=row.asset_id,
        version=row.version,
        digest=row.digest,
        size_bytes=row.size_bytes,
        file_count=row.file_count,
        message=row.message,
        create_time=convert.timestamp(row.created_at),
        created_by=row.created_by,
    )


def _location(location: Location) -> pb.Location:
    if isinstance(location, UrlLocation):
        expires = convert.timestamp(location.expires_at * 1_000_000)
        url = pb.SignedUrl(url=location.url, headers=location.headers, expire_time=expires, report=location.report)
        return pb.Location(url=url)
    return pb.Location(file=pb.LocalFile(path=str(location.path), offset_bytes=location.offset))


def _download_file(row: Row[Any], blob: pb.Location | None) -> pb.DownloadFile:
    file = pb.DownloadFile(
        path=row.path,
        size_bytes=row.size_bytes,
        digest=row.digest,
        part_size_bytes=row.part_bytes,
        part_digests=row.part_digests,
        location=blob,
        media_type=row.media_type,
        file_index=row.file_index,
    )
    if blob is not None and row.blob_offset:
        (file.location.url if blob.HasField("url") else file.location.file).offset_bytes = row.blob_offset
    return file
