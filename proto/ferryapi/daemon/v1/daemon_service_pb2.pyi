from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DaemonInfo(_message.Message):
    __slots__ = ("version", "pid", "hub", "state_dir", "socket_path", "start_time", "draining")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    HUB_FIELD_NUMBER: _ClassVar[int]
    STATE_DIR_FIELD_NUMBER: _ClassVar[int]
    SOCKET_PATH_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    version: str
    pid: int
    hub: str
    state_dir: str
    socket_path: str
    start_time: _timestamp_pb2.Timestamp
    draining: bool
    def __init__(self, version: _Optional[str] = ..., pid: _Optional[int] = ..., hub: _Optional[str] = ..., state_dir: _Optional[str] = ..., socket_path: _Optional[str] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., draining: bool = ...) -> None: ...

class Statistics(_message.Message):
    __slots__ = ("transfers", "sent_bytes", "received_bytes", "retried_parts", "forwarded_calls", "watchers", "resident_bytes", "open_files", "loop_lag_seconds", "cpu_seconds")
    class TransfersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    SENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    RETRIED_PARTS_FIELD_NUMBER: _ClassVar[int]
    FORWARDED_CALLS_FIELD_NUMBER: _ClassVar[int]
    WATCHERS_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    OPEN_FILES_FIELD_NUMBER: _ClassVar[int]
    LOOP_LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    transfers: _containers.ScalarMap[str, int]
    sent_bytes: int
    received_bytes: int
    retried_parts: int
    forwarded_calls: int
    watchers: int
    resident_bytes: int
    open_files: int
    loop_lag_seconds: float
    cpu_seconds: float
    def __init__(self, transfers: _Optional[_Mapping[str, int]] = ..., sent_bytes: _Optional[int] = ..., received_bytes: _Optional[int] = ..., retried_parts: _Optional[int] = ..., forwarded_calls: _Optional[int] = ..., watchers: _Optional[int] = ..., resident_bytes: _Optional[int] = ..., open_files: _Optional[int] = ..., loop_lag_seconds: _Optional[float] = ..., cpu_seconds: _Optional[float] = ...) -> None: ...

class GetInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatisticsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DrainRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DrainResponse(_message.Message):
    __slots__ = ("checkpointed_transfers",)
    CHECKPOINTED_TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    checkpointed_transfers: int
    def __init__(self, checkpointed_transfers: _Optional[int] = ...) -> None: ...

class ShutdownRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShutdownResponse(_message.Message):
    __slots__ = ("pid",)
    PID_FIELD_NUMBER: _ClassVar[int]
    pid: int
    def __init__(self, pid: _Optional[int] = ...) -> None: ...
