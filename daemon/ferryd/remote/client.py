"""The port `Hub` over a transport: content calls with core types. Upload steps 7, 8 and 10, download D7.

One attempt each, as the port asks; pages where a request or a reply would grow too large. No decision is made here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from ferryapi.hub.v1 import content_service_pb2 as pb
from ferryd.core.model import Part, UploadSpec
from ferryd.core.ports import Content, Location, Manifest, RemoteFile, Session, UploadFile
from ferryd.remote import convert
from ferryd.remote.address import HubAddress
from ferryd.remote.transport import Transport
from ferrywire.reasons import FerryError

M = TypeVar("M", bound=Message)

_SERVICE: Final = "/ferryapi.hub.v1.ContentService"
_FILES_PER_PAGE: Final = 10_000
_PARTS_PER_PAGE: Final = 1_000
_TIMEOUT_S: Final = 60.0
#: A commit looks at every part of every file.
_COMMIT_TIMEOUT_S: Final = 600.0


class HubClient:
    """Implements the port `Hub`.

    `address` resolves relative URLs; None for a hub without one. `accept_files` says that the hub is on this machine
    and trusted to name files of it; a hub that does so unasked is refused.
    """

    def __init__(self, transport: Transport, address: HubAddress | None, *, accept_files: bool) -> None:
        self._transport = transport
        self._address = address
        self._accept_files = accept_files

    async def create_upload(self, spec: UploadSpec, files: Sequence[UploadFile], request_id: str) -> Session:
        """Open the session and send the manifest; a repeat goes on after the files that the session has."""
        request = pb.CreateUploadRequest(
            files=convert.upload_files(next(convert.file_pages(files, _FILES_PER_PAGE))),
            total_size_bytes=sum(file.size_bytes for file in files),
            total_file_count=len(files),
            message=spec.message,
            request_id=request_id,
        )
        if spec.asset_id:
            request.asset_id = spec.asset_id
        else:
            request.new_asset.CopyFrom(convert.new_asset(spec))
        session = await self._call("CreateUpload", request, pb.UploadSession)
        if not session.HasField("content"):
            await self._add_files(session.session_id, files, session.file_count)
        return convert.to_session(session)

    async def sign_parts(self, session_id: str, parts: Sequence[Part]) -> list[Location]:
        """Where to put each of these parts, in order."""
        locations: list[Location] = []
        for page in convert.part_pages(parts, _PARTS_PER_PAGE):
            wanted = [convert.to_part(part, blocks=False) for part in page]
            request = pb.SignPartsRequest(session_id=session_id, parts=wanted, accept_files=self._accept_files)
            reply = await self._call("SignParts", request, pb.SignPartsResponse)
            if len(reply.locations) != len(page):
                raise convert.senseless(f"{len(reply.locations)} locations for {len(page)} parts")
            locations += [self._locations().read(location) for location in reply.locations]
        return locations

    async def sign_pack(self, session_id: str, parts: Sequence[Part], crc64nvme: bytes) -> Location:
        """Where to put these files as one pack."""
        wanted = [convert.to_part(part, blocks=False) for part in parts]
        request = pb.SignPartsRequest(
            session_id=session_id, parts=wanted, accept_files=self._accept_files, pack=pb.Pack(crc64nvme=crc64nvme)
        )
        reply = await self._call("SignParts", request, pb.SignPartsResponse)
        if len(reply.locations) != 1:
            raise FerryError("UNIMPLEMENTED", "the hub signs each file of a pack: it does not know packs")
        return self._locations().read(reply.locations[0])

    async def record_parts(self, session_id: str, parts: Sequence[Part], pack_crc64nvme: bytes | None = None) -> None:
        """Report parts that are durable where the hub did not see them arrive."""
        pack = None if pack_crc64nvme is None else pb.Pack(crc64nvme=pack_crc64nvme)
        for page in [parts] if pack is not None else convert.part_pages(parts, _PARTS_PER_PAGE):
            stored = [convert.to_part(part, blocks=True) for part in page]
            request = pb.RecordPartsRequest(session_id=session_id, parts=stored, pack=pack)
            await self._call("RecordParts", request, pb.RecordPartsResponse)

    async def list_parts(self, session_id: str) -> AsyncIterator[Part]:
        """The parts the hub has durably stored, in order of file and part."""
        request = pb.ListPartsRequest(session_id=session_id, page_size=_PARTS_PER_PAGE)
        while True:
            reply = await self._call("ListParts", request, pb.ListPartsResponse)
            for part in reply.parts:
                yield convert.from_part(part)
            if not reply.next_page_token:
                return
            request.page_token = _next_token(request.page_token, reply.next_page_token, len(reply.parts))

    async def commit_upload(self, session_id: str, file_digests: Sequence[bytes]) -> Content:
        """Make the content visible. Idempotent."""
        request = pb.CommitUploadRequest(session_id=session_id, file_digests=b"".join(file_digests))
        return convert.to_content(await self._call("CommitUpload", request, pb.Content, _COMMIT_TIMEOUT_S))

    async def abort_upload(self, session_id: str) -> None:
        """Throw the session away; one that is gone counts as thrown away."""
        try:
            await self._call("AbortUpload", pb.AbortUploadRequest(session_id=session_id), pb.AbortUploadResponse)
        except FerryError as error:
            if error.reason != "SESSION_NOT_FOUND":
                raise

    async def get_manifest(self, asset_id: str, content_id: str) -> tuple[Manifest, list[RemoteFile]]:
        """The whole manifest with fresh locations. All pages must be of one version."""
        request = pb.GetDownloadRequest(asset_id=asset_id, content_id=content_id, accept_files=self._accept_files)
        request.accept_offsets = True
        files: list[RemoteFile] = []
        content = pb.Content()
        locations = self._locations()
        while True:
            reply = await self._call("GetDownload", request, pb.GetDownloadResponse)
            if request.page_token and reply.content.content_id != content.content_id:
                raise convert.senseless("pages of different versions")
            content = reply.content
            files += [convert.to_remote_file(file, locations) for file in reply.files]
            if not reply.next_page_token:
                return Manifest(convert.to_content(content), reply.title), files
            request.page_token = _next_token(request.page_token, reply.next_page_token, len(reply.files))

    async def _add_files(self, session_id: str, files: Sequence[UploadFile], known: int) -> None:
        if known >= len(files):
            return
        for page in convert.file_pages(files[known:], _FILES_PER_PAGE):
            request = pb.AddUploadFilesRequest(
                session_id=session_id, first_index=known, files=convert.upload_files(page)
            )
            await self._call("AddUploadFiles", request, pb.UploadSession)
            known += len(page)

    def _locations(self) -> convert.Locations:
        return convert.Locations(self._address, accept_files=self._accept_files)

    async def _call(self, method: str, request: Message, reply: type[M], timeout_s: float = _TIMEOUT_S) -> M:
        try:
            body = await self._transport.call(f"{_SERVICE}/{method}", request.SerializeToString(), timeout_s)
            return reply.FromString(body)
        except DecodeError:
            raise convert.senseless(f"something that is no {reply.DESCRIPTOR.name}; update the daemon") from None
        except FerryError as error:
            if error.reason != "DEADLINE_EXCEEDED":
                raise
            # No person set this deadline: for a transfer, a hub that does not answer in time cannot be reached.
            hub = self._address.text if self._address else "the embedded hub"
            raise FerryError("HUB_UNREACHABLE", error.message, hub=hub) from error


def _next_token(before: str, after: str, count: int) -> str:
    """The next page's token; a listing that does not move would never end."""
    if after == before or count == 0:
        raise convert.senseless("a listing that does not end")
    return after
