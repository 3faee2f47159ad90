from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import field_info_pb2 as _field_info_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Transfer(_message.Message):
    __slots__ = ("transfer_id", "kind", "state", "phase", "waiting_for", "next_attempt_time", "error", "attempt_count", "priority", "size_bytes", "persisted_bytes", "rate_bps", "chunk_count", "chunk_index", "file_count", "file_index", "file_name", "asset_id", "content_id", "digest", "local_path", "title", "create_time", "update_time", "end_time", "resent_bytes", "context", "present_file_count")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Transfer.Kind]
        UPLOAD: _ClassVar[Transfer.Kind]
        DOWNLOAD: _ClassVar[Transfer.Kind]
    KIND_UNSPECIFIED: Transfer.Kind
    UPLOAD: Transfer.Kind
    DOWNLOAD: Transfer.Kind
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Transfer.State]
        QUEUED: _ClassVar[Transfer.State]
        RUNNING: _ClassVar[Transfer.State]
        PAUSED: _ClassVar[Transfer.State]
        SUCCEEDED: _ClassVar[Transfer.State]
        FAILED: _ClassVar[Transfer.State]
        CANCELLED: _ClassVar[Transfer.State]
    STATE_UNSPECIFIED: Transfer.State
    QUEUED: Transfer.State
    RUNNING: Transfer.State
    PAUSED: Transfer.State
    SUCCEEDED: Transfer.State
    FAILED: Transfer.State
    CANCELLED: Transfer.State
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    WAITING_FOR_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_TIME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PERSISTED_BYTES_FIELD_NUMBER: _ClassVar[int]
    RATE_BPS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_INDEX_FIELD_NUMBER: _ClassVar[int]
    FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    FILE_INDEX_FIELD_NUMBER: _ClassVar[int]
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LOCAL_PATH_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    RESENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    transfer_id: str
    kind: Transfer.Kind
    state: Transfer.State
    phase: str
    waiting_for: str
    next_attempt_time: _timestamp_pb2.Timestamp
    error: _status_pb2.Status
    attempt_count: int
    priority: int
    size_bytes: int
    persisted_bytes: int
    rate_bps: float
    chunk_count: int
    chunk_index: int
    file_count: int
    file_index: int
    file_name: str
    asset_id: str
    content_id: str
    digest: str
    local_path: str
    title: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    resent_bytes: int
    context: str
    present_file_count: int
    def __init__(self, transfer_id: _Optional[str] = ..., kind: _Optional[_Union[Transfer.Kind, str]] = ..., state: _Optional[_Union[Transfer.State, str]] = ..., phase: _Optional[str] = ..., waiting_for: _Optional[str] = ..., next_attempt_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., attempt_count: _Optional[int] = ..., priority: _Optional[int] = ..., size_bytes: _Optional[int] = ..., persisted_bytes: _Optional[int] = ..., rate_bps: _Optional[float] = ..., chunk_count: _Optional[int] = ..., chunk_index: _Optional[int] = ..., file_count: _Optional[int] = ..., file_index: _Optional[int] = ..., file_name: _Optional[str] = ..., asset_id: _Optional[str] = ..., content_id: _Optional[str] = ..., digest: _Optional[str] = ..., local_path: _Optional[str] = ..., title: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., resent_bytes: _Optional[int] = ..., context: _Optional[str] = ..., present_file_count: _Optional[int] = ...) -> None: ...

class TransferFile(_message.Message):
    __slots__ = ("path", "local_path", "size_bytes", "digest", "persisted_bytes", "skipped")
    PATH_FIELD_NUMBER: _ClassVar[int]
    LOCAL_PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PERSISTED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    path: str
    local_path: str
    size_bytes: int
    digest: str
    persisted_bytes: int
    skipped: bool
    def __init__(self, path: _Optional[str] = ..., local_path: _Optional[str] = ..., size_bytes: _Optional[int] = ..., digest: _Optional[str] = ..., persisted_bytes: _Optional[int] = ..., skipped: bool = ...) -> None: ...

class CreateUploadRequest(_message.Message):
    __slots__ = ("paths", "title", "owner_type", "owner_id", "description", "alias", "tags", "metadata", "collection_id", "asset_id", "chunk_size_mb", "priority", "client", "message", "include", "exclude", "request_id")
    PATHS_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    OWNER_TYPE_FIELD_NUMBER: _ClassVar[int]
    OWNER_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_ID_FIELD_NUMBER: _ClassVar[int]
    ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    CHUNK_SIZE_MB_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    paths: _containers.RepeatedScalarFieldContainer[str]
    title: str
    owner_type: str
    owner_id: str
    description: str
    alias: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    metadata: _struct_pb2.Struct
    collection_id: str
    asset_id: str
    chunk_size_mb: int
    priority: int
    client: str
    message: str
    include: _containers.RepeatedScalarFieldContainer[str]
    exclude: _containers.RepeatedScalarFieldContainer[str]
    request_id: str
    def __init__(self, paths: _Optional[_Iterable[str]] = ..., title: _Optional[str] = ..., owner_type: _Optional[str] = ..., owner_id: _Optional[str] = ..., description: _Optional[str] = ..., alias: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., collection_id: _Optional[str] = ..., asset_id: _Optional[str] = ..., chunk_size_mb: _Optional[int] = ..., priority: _Optional[int] = ..., client: _Optional[str] = ..., message: _Optional[str] = ..., include: _Optional[_Iterable[str]] = ..., exclude: _Optional[_Iterable[str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateDownloadRequest(_message.Message):
    __slots__ = ("asset_id", "content_id", "dest_dir", "if_exists", "include", "priority", "client", "request_id")
    class IfExists(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        IF_EXISTS_UNSPECIFIED: _ClassVar[CreateDownloadRequest.IfExists]
        FAIL: _ClassVar[CreateDownloadRequest.IfExists]
        SKIP: _ClassVar[CreateDownloadRequest.IfExists]
        REPLACE: _ClassVar[CreateDownloadRequest.IfExists]
        RENAME: _ClassVar[CreateDownloadRequest.IfExists]
    IF_EXISTS_UNSPECIFIED: CreateDownloadRequest.IfExists
    FAIL: CreateDownloadRequest.IfExists
    SKIP: CreateDownloadRequest.IfExists
    REPLACE: CreateDownloadRequest.IfExists
    RENAME: CreateDownloadRequest.IfExists
    ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    DEST_DIR_FIELD_NUMBER: _ClassVar[int]
    IF_EXISTS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    asset_id: str
    content_id: str
    dest_dir: str
    if_exists: CreateDownloadRequest.IfExists
    include: _containers.RepeatedScalarFieldContainer[str]
    priority: int
    client: str
    request_id: str
    def __init__(self, asset_id: _Optional[str] = ..., content_id: _Optional[str] = ..., dest_dir: _Optional[str] = ..., if_exists: _Optional[_Union[CreateDownloadRequest.IfExists, str]] = ..., include: _Optional[_Iterable[str]] = ..., priority: _Optional[int] = ..., client: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetTransferRequest(_message.Message):
    __slots__ = ("transfer_id",)
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    transfer_id: str
    def __init__(self, transfer_id: _Optional[str] = ...) -> None: ...

class ListTransfersRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[Transfer.State]
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[Transfer.State, str]]] = ...) -> None: ...

class ListTransfersResponse(_message.Message):
    __slots__ = ("transfers", "next_page_token", "total_size")
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    transfers: _containers.RepeatedCompositeFieldContainer[Transfer]
    next_page_token: str
    total_size: int
    def __init__(self, transfers: _Optional[_Iterable[_Union[Transfer, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class ListTransferFilesRequest(_message.Message):
    __slots__ = ("transfer_id", "page_size", "page_token")
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    transfer_id: str
    page_size: int
    page_token: str
    def __init__(self, transfer_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTransferFilesResponse(_message.Message):
    __slots__ = ("files", "next_page_token")
    FILES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[TransferFile]
    next_page_token: str
    def __init__(self, files: _Optional[_Iterable[_Union[TransferFile, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchTransfersRequest(_message.Message):
    __slots__ = ("transfer_ids", "min_interval")
    TRANSFER_IDS_FIELD_NUMBER: _ClassVar[int]
    MIN_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    transfer_ids: _containers.RepeatedScalarFieldContainer[str]
    min_interval: _duration_pb2.Duration
    def __init__(self, transfer_ids: _Optional[_Iterable[str]] = ..., min_interval: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WatchTransfersResponse(_message.Message):
    __slots__ = ("transfer", "initial")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    INITIAL_FIELD_NUMBER: _ClassVar[int]
    transfer: Transfer
    initial: bool
    def __init__(self, transfer: _Optional[_Union[Transfer, _Mapping]] = ..., initial: bool = ...) -> None: ...

class PauseTransferRequest(_message.Message):
    __slots__ = ("transfer_id",)
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    transfer_id: str
    def __init__(self, transfer_id: _Optional[str] = ...) -> None: ...

class ResumeTransferRequest(_message.Message):
    __slots__ = ("transfer_id",)
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    transfer_id: str
    def __init__(self, transfer_id: _Optional[str] = ...) -> None: ...

class CancelTransferRequest(_message.Message):
    __slots__ = ("transfer_id",)
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    transfer_id: str
    def __init__(self, transfer_id: _Optional[str] = ...) -> None: ...

class RetryTransferRequest(_message.Message):
    __slots__ = ("transfer_id",)
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    transfer_id: str
    def __init__(self, transfer_id: _Optional[str] = ...) -> None: ...

class SetPriorityRequest(_message.Message):
    __slots__ = ("transfer_id", "priority")
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    transfer_id: str
    priority: int
    def __init__(self, transfer_id: _Optional[str] = ..., priority: _Optional[int] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("bandwidth_bps", "running_transfers", "parts_in_flight")
    BANDWIDTH_BPS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    PARTS_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    bandwidth_bps: int
    running_transfers: int
    parts_in_flight: int
    def __init__(self, bandwidth_bps: _Optional[int] = ..., running_transfers: _Optional[int] = ..., parts_in_flight: _Optional[int] = ...) -> None: ...

class GetLimitsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetLimitsRequest(_message.Message):
    __slots__ = ("bandwidth_bps", "running_transfers", "parts_in_flight")
    BANDWIDTH_BPS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    PARTS_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    bandwidth_bps: int
    running_transfers: int
    parts_in_flight: int
    def __init__(self, bandwidth_bps: _Optional[int] = ..., running_transfers: _Optional[int] = ..., parts_in_flight: _Optional[int] = ...) -> None: ...
