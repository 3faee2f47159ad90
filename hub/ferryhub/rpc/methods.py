"""All services and methods that a hub has, from the protocol itself: to answer calls and to name them in logs."""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor import ServiceDescriptor

from ferryapi.hub.v1 import (
    access_service_pb2,
    asset_service_pb2,
    collection_service_pb2,
    content_service_pb2,
    project_service_pb2,
    relationship_service_pb2,
)

_MODULES: Final = (
    access_service_pb2,
    asset_service_pb2,
    collection_service_pb2,
    content_service_pb2,
    project_service_pb2,
    relationship_service_pb2,
)
#: By their short names, such as `ProjectService`.
SERVICES: Final[dict[str, ServiceDescriptor]] = {
    name: service for module in _MODULES for name, service in module.DESCRIPTOR.services_by_name.items()
}
#: Such as `ProjectService/GetProject`. Nothing else that is sent may become a label: that list would have no end.
METHODS: Final = frozenset(f"{name}/{method.name}" for name, service in SERVICES.items() for method in service.methods)
