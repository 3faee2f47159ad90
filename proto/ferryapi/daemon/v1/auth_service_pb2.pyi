from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuthStatus(_message.Message):
    __slots__ = ("user_email", "user_id", "expire_time", "hub", "context", "scopes", "storage")
    USER_EMAIL_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    HUB_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    STORAGE_FIELD_NUMBER: _ClassVar[int]
    user_email: str
    user_id: str
    expire_time: _timestamp_pb2.Timestamp
    hub: str
    context: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    storage: str
    def __init__(self, user_email: _Optional[str] = ..., user_id: _Optional[str] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., hub: _Optional[str] = ..., context: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., storage: _Optional[str] = ...) -> None: ...

class Context(_message.Message):
    __slots__ = ("name", "hub", "current", "signed_in", "user_email")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HUB_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    SIGNED_IN_FIELD_NUMBER: _ClassVar[int]
    USER_EMAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    hub: str
    current: bool
    signed_in: bool
    user_email: str
    def __init__(self, name: _Optional[str] = ..., hub: _Optional[str] = ..., current: bool = ..., signed_in: bool = ..., user_email: _Optional[str] = ...) -> None: ...

class DeviceCode(_message.Message):
    __slots__ = ("user_code", "verification_uri", "verification_uri_complete", "expire_time", "interval")
    USER_CODE_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_URI_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_URI_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expire_time: _timestamp_pb2.Timestamp
    interval: _duration_pb2.Duration
    def __init__(self, user_code: _Optional[str] = ..., verification_uri: _Optional[str] = ..., verification_uri_complete: _Optional[str] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., interval: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class GetAuthStatusRequest(_message.Message):
    __slots__ = ("context",)
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    context: str
    def __init__(self, context: _Optional[str] = ...) -> None: ...

class LoginRequest(_message.Message):
    __slots__ = ("hub", "context", "scopes")
    HUB_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    hub: str
    context: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, hub: _Optional[str] = ..., context: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ...) -> None: ...

class LoginEvent(_message.Message):
    __slots__ = ("device_code", "signed_in")
    DEVICE_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNED_IN_FIELD_NUMBER: _ClassVar[int]
    device_code: DeviceCode
    signed_in: AuthStatus
    def __init__(self, device_code: _Optional[_Union[DeviceCode, _Mapping]] = ..., signed_in: _Optional[_Union[AuthStatus, _Mapping]] = ...) -> None: ...

class LoginWithTokenRequest(_message.Message):
    __slots__ = ("hub", "context", "token")
    HUB_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    hub: str
    context: str
    token: str
    def __init__(self, hub: _Optional[str] = ..., context: _Optional[str] = ..., token: _Optional[str] = ...) -> None: ...

class LogoutRequest(_message.Message):
    __slots__ = ("context",)
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    context: str
    def __init__(self, context: _Optional[str] = ...) -> None: ...

class LogoutResponse(_message.Message):
    __slots__ = ("revoked",)
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    revoked: bool
    def __init__(self, revoked: bool = ...) -> None: ...

class ListContextsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListContextsResponse(_message.Message):
    __slots__ = ("contexts",)
    CONTEXTS_FIELD_NUMBER: _ClassVar[int]
    contexts: _containers.RepeatedCompositeFieldContainer[Context]
    def __init__(self, contexts: _Optional[_Iterable[_Union[Context, _Mapping]]] = ...) -> None: ...

class UseContextRequest(_message.Message):
    __slots__ = ("context",)
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    context: str
    def __init__(self, context: _Optional[str] = ...) -> None: ...
