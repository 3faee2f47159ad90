"""The names of all methods that a hub has, from the protocol itself. For whoever names requests in logs and metrics."""

from __future__ import annotations

from typing import Final

from ferryapi.hub.v1 import (
    access_service_pb2,
    asset_service_pb2,
    collection_service_pb2,
    content_service_pb2,
    project_service_pb2,
    relationship_service_pb2,
)

_SERVICES: Final = (
    access_service_pb2,
    asset_service_pb2,
    collection_service_pb2,
    content_service_pb2,
    project_service_pb2,
    relationship_service_pb2,
)
#: Such as `ProjectService/GetProject`. Nothing else that is sent may become a label: that list would have no end.
METHODS: Final = frozenset(
    f"{service.name}/{method.name}"
    for module in _SERVICES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
)
