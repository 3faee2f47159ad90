"""The hub's messages to the daemon's types and back. Upload steps 7, 8 and 10, download D7. Pure.

A reply that makes no sense (negative sizes, digests that do not add up) is refused here, before anything acts on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

from ferryapi.hub.v1 import asset_service_pb2 as assets
from ferryapi.hub.v1 import content_service_pb2 as pb
from ferryd.core.model import CRC64NVME, Part, UploadSpec
from ferryd.core.ports import Content, FileLocation, Location, RemoteFile, Session, UploadFile, UrlLocation
from ferryd.remote.address import HubAddress
from ferrywire.digest import DIGEST_BYTES, of_blocks
from ferrywire.parts import MAX_PART_BYTES, MIB, part_count
from ferrywire.reasons import FerryError

T = TypeVar("T")

_CHECKSUMS: Final = {pb.PART_CHECKSUM_UNSPECIFIED: "", pb.PART_CHECKSUM_CRC64NVME: CRC64NVME}
#: What one request may hold: well below any server's limit on a message.
_PAGE_BYTES: Final = 2 << 20


def new_asset(spec: UploadSpec) -> assets.Asset:
    """The asset that an upload without `asset_id` creates. INVALID_ARGUMENT for metadata that JSON cannot say."""
    asset = assets.Asset(
        title=spec.title,
        description=spec.description,
        alias=spec.alias,
        tags=spec.tags,
        owner_type=spec.owner_type,
        owner_id=spec.owner_id,
        collection_id=spec.collection_id,
    )
    try:
        asset.metadata.update(spec.metadata)
    except (ValueError, TypeError) as error:
        raise FerryError("INVALID_ARGUMENT", f"metadata is not JSON: {error}", field="metadata") from error
    return asset


def upload_files(files: Iterable[UploadFile]) -> list[pb.UploadFile]:
    """The files of a manifest page."""
    return [pb.UploadFile(path=f.path, size_bytes=f.size_bytes, part_size_bytes=f.part_bytes) for f in files]


def to_part(part: Part, *, blocks: bool) -> pb.Part:
    """A part by its digest, and with its block digests when it is recorded."""
    return pb.Part(
        file_index=part.file_index,
        part_number=part.number,
        digest=of_blocks(part.block_digests),
        block_digests=part.block_digests if blocks else b"",
        crc64nvme=part.crc64nvme,
    )


def from_part(part: pb.Part) -> Part:
    """A part that the hub has stored."""
    if not part.block_digests or len(part.block_digests) % DIGEST_BYTES:
        raise senseless(f"part {part.part_number} of file {part.file_index} without its block digests")
    return Part(part.file_index, part.part_number, part.block_digests)


def to_session(session: pb.UploadSession) -> Session:
    """An upload session; with its content when committed."""
    content = to_content(session.content) if session.HasField("content") else None
    if session.part_checksum not in _CHECKSUMS:
        raise senseless("a checksum of parts that this daemon does not know; update the daemon")
    least = session.least_part_size_bytes
    if not 0 <= least <= MAX_PART_BYTES or least % MIB:
        raise senseless(f"{least} as the smallest size of a part")
    # Less than that is not worth a pack, and what makes no sense is none.
    pack_bytes = session.pack_size_bytes if session.pack_size_bytes >= MIB else 0
    checksum = _CHECKSUMS[session.part_checksum]
    return Session(session.session_id, session.asset_id, content, checksum, least, pack_bytes)


def to_content(content: pb.Content) -> Content:
    """A committed version."""
    return Content(content.content_id, content.asset_id, content.digest, content.size_bytes, content.file_count)


class Locations:
    """Reads the places for bytes of one manifest, or one place. Files only from a hub that may name those of this
    machine."""

    def __init__(self, hub: HubAddress | None, *, accept_files: bool) -> None:
        self._hub = hub
        self._accept_files = accept_files
        self._last = UrlLocation("", {}, 0)
        self._last_text: str | None = None

    def read(self, location: pb.Location) -> Location:
        """The place, its URL absolute."""
        if location.HasField("file"):
            if not self._accept_files:
                raise senseless("a file of this machine, which only an embedded hub may do")
            return FileLocation(location.file.path, location.file.offset_bytes)
        if not location.HasField("url"):
            raise senseless("a location that is neither a URL nor a file; update the daemon")
        url = location.url
        if url.offset_bytes < 0:
            raise senseless(f"bytes that start at {url.offset_bytes}")
        if url.url != self._last_text:  # files of a pack follow each other
            self._last, self._last_text = self._read(url), url.url
        last = self._last
        return UrlLocation(last.url, last.headers, last.expires_at, last.report, url.offset_bytes)

    def _read(self, url: pb.SignedUrl) -> UrlLocation:
        if self._hub is None:
            raise senseless("a URL, although it has no address")
        expires_at = url.expire_time.ToNanoseconds() / 1e9
        return UrlLocation(self._hub.resolve(url.url), dict(url.headers), expires_at, url.report)


def to_remote_file(file: pb.DownloadFile, locations: Locations) -> RemoteFile:
    """A file of a download's manifest, its numbers checked against each other."""
    name = f"{file.path!r:.300}"
    if file.size_bytes < 0 or (file.size_bytes and file.part_size_bytes <= 0) or len(file.digest) != DIGEST_BYTES:
        raise senseless(f"impossible sizes or no digest for {name}")
    if len(file.part_digests) != DIGEST_BYTES * part_count(file.size_bytes, max(1, file.part_size_bytes)):
        raise senseless(f"part digests of {name} that do not match its size")
    location = None
    if file.size_bytes:
        location = locations.read(file.location)
    return RemoteFile(
        index=file.file_index,
        path=file.path,
        size_bytes=file.size_bytes,
        part_bytes=file.part_size_bytes,
        digest=file.digest,
        part_digests=file.part_digests,
        location=location,
    )


def senseless(what: str) -> FerryError:
    """The error for a reply that decodes and still cannot be right."""
    return FerryError("INTERNAL", f"the hub answered with {what}", errorId="hub-reply")


def file_pages(files: Sequence[UploadFile], most: int) -> Iterator[Sequence[UploadFile]]:
    """A manifest in pages that fit into requests; one empty page when there are no files."""
    yield from _pages(files, [len(file.path.encode()) + 32 for file in files], most)


def part_pages(parts: Sequence[Part], most: int) -> Iterator[Sequence[Part]]:
    """Parts in pages that fit into requests, block digests included; no page when there are none."""
    if parts:
        yield from _pages(parts, [len(part.block_digests) + 32 for part in parts], most)


def _pages(items: Sequence[T], sizes: Sequence[int], most: int) -> Iterator[Sequence[T]]:
    begin, total = 0, 0
    for index, size in enumerate(sizes):
        if index > begin and (index - begin == most or total + size > _PAGE_BYTES):
            yield items[begin:index]
            begin, total = index, 0
        total += size
    yield items[begin:]
