from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuthStatus(_message.Message):
    __slots__ = ("user_email", "user_id", "expire_time", "hub")
    USER_EMAIL_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    HUB_FIELD_NUMBER: _ClassVar[int]
    user_email: str
    user_id: str
    expire_time: _timestamp_pb2.Timestamp
    hub: str
    def __init__(self, user_email: _Optional[str] = ..., user_id: _Optional[str] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., hub: _Optional[str] = ...) -> None: ...

class GetAuthStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
