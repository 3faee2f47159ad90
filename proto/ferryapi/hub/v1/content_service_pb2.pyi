from ferryapi.hub.v1 import asset_service_pb2 as _asset_service_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PartChecksum(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PART_CHECKSUM_UNSPECIFIED: _ClassVar[PartChecksum]
    PART_CHECKSUM_CRC64NVME: _ClassVar[PartChecksum]
PART_CHECKSUM_UNSPECIFIED: PartChecksum
PART_CHECKSUM_CRC64NVME: PartChecksum

class Content(_message.Message):
    __slots__ = ("content_id", "asset_id", "version", "digest", "size_bytes", "file_count", "message", "create_time", "created_by")
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    content_id: str
    asset_id: str
    version: int
    digest: str
    size_bytes: int
    file_count: int
    message: str
    create_time: _timestamp_pb2.Timestamp
    created_by: str
    def __init__(self, content_id: _Optional[str] = ..., asset_id: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., file_count: _Optional[int] = ..., message: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., created_by: _Optional[str] = ...) -> None: ...

class UploadFile(_message.Message):
    __slots__ = ("path", "size_bytes", "part_size_bytes", "media_type")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PART_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    path: str
    size_bytes: int
    part_size_bytes: int
    media_type: str
    def __init__(self, path: _Optional[str] = ..., size_bytes: _Optional[int] = ..., part_size_bytes: _Optional[int] = ..., media_type: _Optional[str] = ...) -> None: ...

class UploadSession(_message.Message):
    __slots__ = ("session_id", "asset_id", "expire_time", "file_count", "content", "part_checksum", "least_part_size_bytes", "pack_size_bytes")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    PART_CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    LEAST_PART_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PACK_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    asset_id: str
    expire_time: _timestamp_pb2.Timestamp
    file_count: int
    content: Content
    part_checksum: PartChecksum
    least_part_size_bytes: int
    pack_size_bytes: int
    def __init__(self, session_id: _Optional[str] = ..., asset_id: _Optional[str] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., file_count: _Optional[int] = ..., content: _Optional[_Union[Content, _Mapping]] = ..., part_checksum: _Optional[_Union[PartChecksum, str]] = ..., least_part_size_bytes: _Optional[int] = ..., pack_size_bytes: _Optional[int] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("file_index", "part_number", "digest", "block_digests", "crc64nvme")
    FILE_INDEX_FIELD_NUMBER: _ClassVar[int]
    PART_NUMBER_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    BLOCK_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    CRC64NVME_FIELD_NUMBER: _ClassVar[int]
    file_index: int
    part_number: int
    digest: bytes
    block_digests: bytes
    crc64nvme: bytes
    def __init__(self, file_index: _Optional[int] = ..., part_number: _Optional[int] = ..., digest: _Optional[bytes] = ..., block_digests: _Optional[bytes] = ..., crc64nvme: _Optional[bytes] = ...) -> None: ...

class Pack(_message.Message):
    __slots__ = ("crc64nvme",)
    CRC64NVME_FIELD_NUMBER: _ClassVar[int]
    crc64nvme: bytes
    def __init__(self, crc64nvme: _Optional[bytes] = ...) -> None: ...

class Location(_message.Message):
    __slots__ = ("url", "file")
    URL_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    url: SignedUrl
    file: LocalFile
    def __init__(self, url: _Optional[_Union[SignedUrl, _Mapping]] = ..., file: _Optional[_Union[LocalFile, _Mapping]] = ...) -> None: ...

class SignedUrl(_message.Message):
    __slots__ = ("url", "headers", "expire_time", "report", "offset_bytes")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    URL_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    url: str
    headers: _containers.ScalarMap[str, str]
    expire_time: _timestamp_pb2.Timestamp
    report: bool
    offset_bytes: int
    def __init__(self, url: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., report: bool = ..., offset_bytes: _Optional[int] = ...) -> None: ...

class LocalFile(_message.Message):
    __slots__ = ("path", "offset_bytes")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    path: str
    offset_bytes: int
    def __init__(self, path: _Optional[str] = ..., offset_bytes: _Optional[int] = ...) -> None: ...

class CreateUploadRequest(_message.Message):
    __slots__ = ("new_asset", "asset_id", "files", "total_size_bytes", "total_file_count", "message", "request_id")
    NEW_ASSET_FIELD_NUMBER: _ClassVar[int]
    ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    new_asset: _asset_service_pb2.Asset
    asset_id: str
    files: _containers.RepeatedCompositeFieldContainer[UploadFile]
    total_size_bytes: int
    total_file_count: int
    message: str
    request_id: str
    def __init__(self, new_asset: _Optional[_Union[_asset_service_pb2.Asset, _Mapping]] = ..., asset_id: _Optional[str] = ..., files: _Optional[_Iterable[_Union[UploadFile, _Mapping]]] = ..., total_size_bytes: _Optional[int] = ..., total_file_count: _Optional[int] = ..., message: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class AddUploadFilesRequest(_message.Message):
    __slots__ = ("session_id", "first_index", "files")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    first_index: int
    files: _containers.RepeatedCompositeFieldContainer[UploadFile]
    def __init__(self, session_id: _Optional[str] = ..., first_index: _Optional[int] = ..., files: _Optional[_Iterable[_Union[UploadFile, _Mapping]]] = ...) -> None: ...

class SignPartsRequest(_message.Message):
    __slots__ = ("session_id", "parts", "accept_files", "pack")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FILES_FIELD_NUMBER: _ClassVar[int]
    PACK_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    accept_files: bool
    pack: Pack
    def __init__(self, session_id: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ..., accept_files: bool = ..., pack: _Optional[_Union[Pack, _Mapping]] = ...) -> None: ...

class SignPartsResponse(_message.Message):
    __slots__ = ("locations",)
    LOCATIONS_FIELD_NUMBER: _ClassVar[int]
    locations: _containers.RepeatedCompositeFieldContainer[Location]
    def __init__(self, locations: _Optional[_Iterable[_Union[Location, _Mapping]]] = ...) -> None: ...

class RecordPartsRequest(_message.Message):
    __slots__ = ("session_id", "parts", "pack")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    PACK_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    pack: Pack
    def __init__(self, session_id: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ..., pack: _Optional[_Union[Pack, _Mapping]] = ...) -> None: ...

class RecordPartsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPartsRequest(_message.Message):
    __slots__ = ("session_id", "page_size", "page_token")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    page_size: int
    page_token: str
    def __init__(self, session_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPartsResponse(_message.Message):
    __slots__ = ("parts", "next_page_token")
    PARTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    next_page_token: str
    def __init__(self, parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CommitUploadRequest(_message.Message):
    __slots__ = ("session_id", "file_digests")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    FILE_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    file_digests: bytes
    def __init__(self, session_id: _Optional[str] = ..., file_digests: _Optional[bytes] = ...) -> None: ...

class AbortUploadRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class AbortUploadResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetDownloadRequest(_message.Message):
    __slots__ = ("asset_id", "content_id", "page_size", "page_token", "accept_files", "accept_offsets")
    ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FILES_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_OFFSETS_FIELD_NUMBER: _ClassVar[int]
    asset_id: str
    content_id: str
    page_size: int
    page_token: str
    accept_files: bool
    accept_offsets: bool
    def __init__(self, asset_id: _Optional[str] = ..., content_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., accept_files: bool = ..., accept_offsets: bool = ...) -> None: ...

class DownloadFile(_message.Message):
    __slots__ = ("path", "size_bytes", "digest", "part_size_bytes", "part_digests", "location", "media_type", "file_index")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PART_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PART_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    FILE_INDEX_FIELD_NUMBER: _ClassVar[int]
    path: str
    size_bytes: int
    digest: bytes
    part_size_bytes: int
    part_digests: bytes
    location: Location
    media_type: str
    file_index: int
    def __init__(self, path: _Optional[str] = ..., size_bytes: _Optional[int] = ..., digest: _Optional[bytes] = ..., part_size_bytes: _Optional[int] = ..., part_digests: _Optional[bytes] = ..., location: _Optional[_Union[Location, _Mapping]] = ..., media_type: _Optional[str] = ..., file_index: _Optional[int] = ...) -> None: ...

class GetDownloadResponse(_message.Message):
    __slots__ = ("content", "title", "files", "next_page_token")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    content: Content
    title: str
    files: _containers.RepeatedCompositeFieldContainer[DownloadFile]
    next_page_token: str
    def __init__(self, content: _Optional[_Union[Content, _Mapping]] = ..., title: _Optional[str] = ..., files: _Optional[_Iterable[_Union[DownloadFile, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetContentRequest(_message.Message):
    __slots__ = ("content_id",)
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    content_id: str
    def __init__(self, content_id: _Optional[str] = ...) -> None: ...

class ListContentsRequest(_message.Message):
    __slots__ = ("asset_id", "page_size", "page_token")
    ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    asset_id: str
    page_size: int
    page_token: str
    def __init__(self, asset_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListContentsResponse(_message.Message):
    __slots__ = ("contents", "next_page_token")
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    contents: _containers.RepeatedCompositeFieldContainer[Content]
    next_page_token: str
    def __init__(self, contents: _Optional[_Iterable[_Union[Content, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
