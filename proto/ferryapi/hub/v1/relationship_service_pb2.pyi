from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import field_info_pb2 as _field_info_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTION_UNSPECIFIED: _ClassVar[Direction]
    DIRECTION_ORIGINS: _ClassVar[Direction]
    DIRECTION_DERIVED: _ClassVar[Direction]
    DIRECTION_BOTH: _ClassVar[Direction]
DIRECTION_UNSPECIFIED: Direction
DIRECTION_ORIGINS: Direction
DIRECTION_DERIVED: Direction
DIRECTION_BOTH: Direction

class Relationship(_message.Message):
    __slots__ = ("relationship_id", "from_asset_id", "to_asset_id", "type", "analysis_mode", "qualifier_note", "qualifier_time", "qualifiers", "related_asset", "create_time", "created_by")
    RELATIONSHIP_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    TO_ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ANALYSIS_MODE_FIELD_NUMBER: _ClassVar[int]
    QUALIFIER_NOTE_FIELD_NUMBER: _ClassVar[int]
    QUALIFIER_TIME_FIELD_NUMBER: _ClassVar[int]
    QUALIFIERS_FIELD_NUMBER: _ClassVar[int]
    RELATED_ASSET_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    relationship_id: str
    from_asset_id: str
    to_asset_id: str
    type: str
    analysis_mode: str
    qualifier_note: str
    qualifier_time: str
    qualifiers: _struct_pb2.Struct
    related_asset: AssetSummary
    create_time: _timestamp_pb2.Timestamp
    created_by: str
    def __init__(self, relationship_id: _Optional[str] = ..., from_asset_id: _Optional[str] = ..., to_asset_id: _Optional[str] = ..., type: _Optional[str] = ..., analysis_mode: _Optional[str] = ..., qualifier_note: _Optional[str] = ..., qualifier_time: _Optional[str] = ..., qualifiers: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., related_asset: _Optional[_Union[AssetSummary, _Mapping]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., created_by: _Optional[str] = ...) -> None: ...

class AssetSummary(_message.Message):
    __slots__ = ("asset_id", "title", "alias", "latest_content_id")
    ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    LATEST_CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    asset_id: str
    title: str
    alias: str
    latest_content_id: str
    def __init__(self, asset_id: _Optional[str] = ..., title: _Optional[str] = ..., alias: _Optional[str] = ..., latest_content_id: _Optional[str] = ...) -> None: ...

class CreateRelationshipRequest(_message.Message):
    __slots__ = ("relationship", "request_id")
    RELATIONSHIP_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    relationship: Relationship
    request_id: str
    def __init__(self, relationship: _Optional[_Union[Relationship, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class ListRelationshipsRequest(_message.Message):
    __slots__ = ("asset_id", "direction", "page_size", "page_token")
    ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    asset_id: str
    direction: Direction
    page_size: int
    page_token: str
    def __init__(self, asset_id: _Optional[str] = ..., direction: _Optional[_Union[Direction, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRelationshipsResponse(_message.Message):
    __slots__ = ("relationships", "next_page_token")
    RELATIONSHIPS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    relationships: _containers.RepeatedCompositeFieldContainer[Relationship]
    next_page_token: str
    def __init__(self, relationships: _Optional[_Iterable[_Union[Relationship, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteRelationshipRequest(_message.Message):
    __slots__ = ("relationship_id",)
    RELATIONSHIP_ID_FIELD_NUMBER: _ClassVar[int]
    relationship_id: str
    def __init__(self, relationship_id: _Optional[str] = ...) -> None: ...

class DeleteRelationshipResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetLineageRequest(_message.Message):
    __slots__ = ("asset_id", "direction", "max_depth", "max_assets")
    ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    MAX_DEPTH_FIELD_NUMBER: _ClassVar[int]
    MAX_ASSETS_FIELD_NUMBER: _ClassVar[int]
    asset_id: str
    direction: Direction
    max_depth: int
    max_assets: int
    def __init__(self, asset_id: _Optional[str] = ..., direction: _Optional[_Union[Direction, str]] = ..., max_depth: _Optional[int] = ..., max_assets: _Optional[int] = ...) -> None: ...

class Lineage(_message.Message):
    __slots__ = ("assets", "relationships", "truncated")
    ASSETS_FIELD_NUMBER: _ClassVar[int]
    RELATIONSHIPS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    assets: _containers.RepeatedCompositeFieldContainer[LineageAsset]
    relationships: _containers.RepeatedCompositeFieldContainer[Relationship]
    truncated: bool
    def __init__(self, assets: _Optional[_Iterable[_Union[LineageAsset, _Mapping]]] = ..., relationships: _Optional[_Iterable[_Union[Relationship, _Mapping]]] = ..., truncated: bool = ...) -> None: ...

class LineageAsset(_message.Message):
    __slots__ = ("asset", "depth")
    ASSET_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    asset: AssetSummary
    depth: int
    def __init__(self, asset: _Optional[_Union[AssetSummary, _Mapping]] = ..., depth: _Optional[int] = ...) -> None: ...
