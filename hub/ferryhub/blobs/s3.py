"""Blobs in a bucket: `<prefix>/<blob key>`, put together from parts that callers send to the store themselves.

Upload steps 8 (URLs for parts) and 10 (completing); D7 (URLs for reading). A file of one part is one PutObject to its
final key, which holds its checksum, and so is a pack of them; others are multipart uploads. No SQL: what a replica must
know comes with its `StagedFile`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from typing import Any, Final, TypeVar

from botocore.exceptions import ClientError

from ferryhub.blobs.locations import UrlLocation
from ferryhub.blobs.s3client import S3Options, clients, code_of, explained, traced
from ferryhub.blobs.s3sign import Presigner
from ferryhub.blobs.s3urls import S3Urls, encryption, is_single, text_of
from ferryhub.blobs.store import Gap, PartPut, StagedFile, Stored, blob_key, file_of, is_blob_key, session_of
from ferrywire.ids import is_id
from ferrywire.parts import part_count, part_span
from ferrywire.reasons import FerryError

T = TypeVar("T")
R = TypeVar("R")

#: Calls of one publish that are under way at once.
_AT_ONCE: Final = 8
_NOT_THERE: Final = ("NoSuchUpload", "NoSuchKey", "404", "NotFound")
#: What completing says when parts, or the checksum of the whole, are not what we say they are.
_WRONG_PARTS: Final = ("InvalidPart", "InvalidPartOrder", "BadDigest", "InvalidDigest")


class S3BlobStore:
    """A `BlobStore` that `SupportsUrls` and `SupportsReads`. `url_ttl_s` is how long its URLs work."""

    def __init__(self, options: S3Options, url_ttl_s: float) -> None:
        self._options = options
        self._client, self._signer, credentials = clients(options)
        self._urls = S3Urls(options, Presigner(self._signer, credentials, options.bucket), max(1, int(url_ttl_s)))
        self._prefix = f"{options.prefix}/" if options.prefix else ""
        self._threads = ThreadPoolExecutor(_AT_ONCE, "hub-s3")

    def publish(self, files: Sequence[StagedFile]) -> list[Gap]:
        """See `BlobStore`. The store verified each part as it came; names, counts and sizes are checked here, against
        the store's own list, and the checksum of a whole that has several parts by the store."""
        single = [file for file in files if is_single(file)]
        several = [file for file in files if not is_single(file)]
        with traced("publish", self._options.bucket):
            sizes = self._sizes(files[0].session_id) if single else {}
            gaps = [Gap(file) for file in single if sizes.get(self.key_of(file)) != file.size_bytes]
            found = self._each(self._find_parts, several)
            gaps += [gap for gap, _ in found if gap is not None]
            if gaps:
                return gaps
            jobs = [(file, etags) for file, (_, etags) in zip(several, found, strict=True) if etags]
            done = self._each(lambda job: self._complete(*job), jobs)
            return [gap for gap in done if gap is not None]

    def _find_parts(self, file: StagedFile) -> tuple[Gap | None, list[str]]:
        """What is missing of a file, or the ETags of all its parts; neither when it was completed before. An upload
        that is open counts more than a blob that is there: it was begun after that."""
        if not file.upload_id:
            return Gap(file), []
        try:
            parts = _newest(self._parts(file))
        except ClientError as error:
            if code_of(error) not in _NOT_THERE:
                raise
            return (None if self._size(file.key) == file.size_bytes else Gap(file)), []
        numbers = range(1, part_count(file.size_bytes, file.part_bytes) + 1)
        spans = {number: part_span(file.size_bytes, file.part_bytes, number)[1] for number in numbers}
        lacking = tuple(number for number in numbers if parts.get(number, {}).get("Size") != spans[number])
        return (Gap(file, lacking) if lacking else None), [parts[number]["ETag"] for number in numbers if not lacking]

    def _complete(self, file: StagedFile, etags: list[str]) -> Gap | None:
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        whole: dict[str, str] = {}
        if self._options.checksum and file.crc64nvme:
            whole = {"ChecksumCRC64NVME": text_of(file.crc64nvme), "ChecksumType": "FULL_OBJECT"}
        try:
            answer = self._client.complete_multipart_upload(
                **self._at(file.key), UploadId=file.upload_id, MultipartUpload={"Parts": parts}, **whole
            )
        except ClientError as error:
            if code_of(error) in _NOT_THERE:  # by another replica, or by us with a lost reply
                return None if self._size(file.key) == file.size_bytes else Gap(file)
            if code_of(error) not in _WRONG_PARTS:
                raise self._too_small(error) or error from error
            self.abandon(file)
            return Gap(file)
        said = answer.get("ChecksumCRC64NVME")
        if whole and said and answer.get("ChecksumType") == "FULL_OBJECT" and said != whole["ChecksumCRC64NVME"]:
            self._client.delete_object(**self._at(file.key))
            return Gap(file)
        return None

    def _too_small(self, error: ClientError) -> FerryError | None:
        if code_of(error) != "EntityTooSmall":
            return None
        message = "the hub's storage wants larger parts than its location asks for; see 'ferryhub storage add --help'"
        return FerryError("INTERNAL", message, errorId="s3-part-size")

    def key_of(self, file: StagedFile) -> str:
        """See `BlobStore`. One part with other bytes has another name: a PUT that comes late changes no blob."""
        if file.pack:
            return file.key
        return f"{file.key}-{file.crc64nvme.hex()}" if self._options.checksum and is_single(file) else file.key

    def holds(self, file: StagedFile) -> bool:
        """See `BlobStore`."""
        return not self.missing([file])

    def missing(self, files: Sequence[StagedFile]) -> list[StagedFile]:
        """See `SupportsUrls`."""
        if not files:
            return []
        with traced("look", self._options.bucket):
            # Uploads first: one that is completed in between is a blob by the time blobs are listed.
            uploads = {upload["UploadId"] for upload in self._uploads(_session_prefix(files[0].session_id))}
            sizes = self._sizes(files[0].session_id)
        there = {(file_of(key), size) for key, size in sizes.items()}
        return [file for file in files if file.upload_id not in uploads and (file.key, file.size_bytes) not in there]

    def begin(self, file: StagedFile) -> str:
        """See `SupportsUrls`."""
        checksum = {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"} if self._options.checksum else {}
        with traced("begin", self._options.bucket):
            made = self._client.create_multipart_upload(**self._at(file.key), **encryption(self._options), **checksum)
        upload_id: str = made["UploadId"]
        return upload_id

    def abandon(self, file: StagedFile) -> None:
        """See `SupportsUrls`."""
        with traced("abandon", self._options.bucket):
            self._abort(file.key, file.upload_id)

    def put_urls(self, parts: Sequence[PartPut]) -> list[UrlLocation]:
        """See `SupportsUrls`. Size and checksum are signed: no other bytes can be put there, but by a collision."""
        with explained(self._options.bucket):
            return [self._urls.put(part, self._full(self._key_of_part(part))) for part in parts]

    def get_urls(self, keys: Sequence[str]) -> list[UrlLocation]:
        """See `SupportsUrls`. The range is not signed."""
        with explained(self._options.bucket):
            return [self._urls.get(self._full(key)) for key in keys]

    def discard(self, session_id: str) -> None:
        """See `BlobStore`. A part that arrives during the abort may survive it: the sweep comes again."""
        prefix = _session_prefix(session_id)
        with traced("discard", self._options.bucket):
            uploads = [(self._name(upload["Key"]), upload["UploadId"]) for upload in self._uploads(prefix)]
            self._each(lambda upload: self._abort(*upload), uploads)

    def _each(self, do: Callable[[T], R], things: Sequence[T]) -> list[R]:
        """Do it to all, a few at once, as part of what is being done here."""
        contexts = [copy_context() for _ in things]  # one can be entered by one thread alone
        return list(self._threads.map(lambda context, thing: context.run(do, thing), contexts, things))

    def _abort(self, key: str, upload_id: str) -> None:
        with explained(self._options.bucket):
            try:
                self._client.abort_multipart_upload(**self._at(key), UploadId=upload_id)
            except ClientError as error:
                if code_of(error) not in _NOT_THERE:
                    raise

    def delete(self, key: str) -> None:
        """See `BlobStore`."""
        with traced("delete", self._options.bucket):
            self._client.delete_object(**self._at(key))

    def sessions(self) -> Iterator[Stored]:
        """See `BlobStore`. One for each upload that is not completed."""
        with explained(self._options.bucket):
            for upload in self._uploads(""):
                name = self._name(upload["Key"])
                if is_blob_key(name):
                    yield Stored(session_of(name), upload["Initiated"].timestamp())

    def blobs(self) -> Iterator[Stored]:
        """See `BlobStore`."""
        with explained(self._options.bucket):
            for found in self._objects(""):
                name = self._name(found["Key"])
                if is_blob_key(name):
                    yield Stored(name, found["LastModified"].timestamp())

    def blobs_of(self, session_id: str) -> list[str]:
        """See `BlobStore`."""
        with explained(self._options.bucket):
            return list(self._sizes(session_id))

    def open_blob(self, key: str) -> S3BlobReader | None:
        """See `SupportsReads`."""
        with explained(self._options.bucket):
            size = self._size(key)
        return None if size is None else S3BlobReader(self, key, size)

    def read(self, key: str, offset: int, count: int) -> bytes:
        """At most `count` bytes, at least 1, of a blob from `offset`."""
        with explained(self._options.bucket):
            answer = self._client.get_object(**self._at(key), Range=f"bytes={offset}-{offset + count - 1}")
            data: bytes = answer["Body"].read()
        return data

    def close(self) -> None:
        """See `BlobStore`."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for client in {id(client): client for client in (self._client, self._signer)}.values():
            client.close()

    def _key_of_part(self, part: PartPut) -> str:
        return self.key_of(replace(part.file, crc64nvme=part.crc64nvme)) if is_single(part.file) else part.file.key

    def _at(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._options.bucket, "Key": self._full(key)}

    def _full(self, key: str) -> str:
        if not is_blob_key(key):
            raise ValueError(f"not a blob key: {key!r}")
        return self._prefix + key

    def _name(self, key: str) -> str:
        return key.removeprefix(self._prefix)

    def _size(self, key: str) -> int | None:
        try:
            size: int = self._client.head_object(**self._at(key))["ContentLength"]
        except ClientError as error:
            if code_of(error) not in _NOT_THERE:
                raise
            return None
        return size

    def _sizes(self, session_id: str) -> dict[str, int]:
        """The blobs of a session with their sizes."""
        found = {self._name(each["Key"]): each["Size"] for each in self._objects(_session_prefix(session_id))}
        return {name: size for name, size in found.items() if is_blob_key(name)}

    def _objects(self, prefix: str) -> Iterator[Any]:
        return self._pages("list_objects_v2", "Contents", Prefix=self._prefix + prefix)

    def _uploads(self, prefix: str) -> Iterator[Any]:
        try:
            yield from self._pages("list_multipart_uploads", "Uploads", Prefix=self._prefix + prefix)
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":  # what rclone says when there is none
                raise

    def _parts(self, file: StagedFile) -> Iterator[Any]:
        return self._pages("list_parts", "Parts", Key=self._full(file.key), UploadId=file.upload_id)

    def _pages(self, call: str, field: str, **wanted: str) -> Iterator[Any]:
        pages = self._client.get_paginator(call).paginate(Bucket=self._options.bucket, **wanted)
        return (found for page in pages for found in page.get(field, ()))


class S3BlobReader:
    """See `BlobReader`. Every read is a request of its own."""

    def __init__(self, store: S3BlobStore, key: str, size_bytes: int) -> None:
        self._store = store
        self._key = key
        self._size_bytes = size_bytes

    @property
    def size_bytes(self) -> int:
        """See `BlobReader`."""
        return self._size_bytes

    def read(self, offset: int, count: int) -> bytes:
        """See `BlobReader`."""
        count = min(count, self._size_bytes - offset)
        return self._store.read(self._key, offset, count) if count > 0 else b""

    def close(self) -> None:
        """See `BlobReader`. Nothing is held."""


def _newest(listed: Iterator[Any]) -> dict[int, Any]:
    """Parts by number. SeaweedFS lists a part that was sent again twice: the newer one counts, and when it cannot be
    told, none does, and the part is sent once more."""
    parts: dict[int, Any] = {}
    for part in listed:
        known = parts.get(part["PartNumber"])
        if known is None or known["LastModified"] < part["LastModified"]:
            parts[part["PartNumber"]] = part
        elif known["LastModified"] == part["LastModified"] and known["ETag"] != part["ETag"]:
            parts[part["PartNumber"]] = part | {"Size": -1}
    return parts


def _session_prefix(session_id: str) -> str:
    """What the keys of a session's blobs begin with."""
    if not is_id(session_id, "upl"):
        raise ValueError(f"not a session id: {session_id!r}")
    return blob_key(session_id, 0).removesuffix("0")
