"""Grants: who may do what with a project, collection or asset. Catalogue calls, forwarded by the daemon.

Pure functions make the calls; the two classes run them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferryapi.hub.v1 import access_service_pb2 as pb
from ferryman import arguments
from ferryman.call import Call, Listing
from ferryman.pages import AsyncPage, Page
from ferryman.types import Grant

if TYPE_CHECKING:
    from ferryman.aio_channel import AsyncConnection
    from ferryman.channel import Connection

_SERVICE = "/ferryapi.hub.v1.AccessService/"
_ROLES = ("viewer", "editor", "owner")

ResourceRef = arguments.ProjectRef | arguments.CollectionRef | arguments.AssetRef


def _parse(message: Any) -> Grant:
    return Grant(message.principal_id, message.email, message.resource_id, message.role)


def _resource(resource: ResourceRef) -> str:
    # An asset names its collection and a collection could name its project: the narrowest id is the object's own.
    return arguments.reference(resource, "resource", "asset_id", "collection_id", "project_id")


def _principal(principal: str) -> str:
    return arguments.reference(principal, "principal", "principal_id", "user_id")


def _set(resource: ResourceRef, principal: str, role: str) -> Call[Grant]:
    grant = pb.Grant(
        principal_id=_principal(principal),
        resource_id=_resource(resource),
        role=arguments.choice(role, "role", _ROLES),
    )
    return Call(f"{_SERVICE}SetGrant", pb.SetGrantRequest(grant=grant), pb.Grant, _parse)


def _remove(resource: ResourceRef, principal: str) -> Call[None]:
    request = pb.RemoveGrantRequest(resource_id=_resource(resource), principal_id=_principal(principal))
    return Call(f"{_SERVICE}RemoveGrant", request, pb.RemoveGrantResponse, lambda _: None)


def _list(resource: ResourceRef, page_size: int, page_token: str) -> Listing[Grant]:
    request = pb.ListGrantsRequest(
        resource_id=_resource(resource),
        page_size=arguments.page_size(page_size),
        page_token=arguments.text(page_token, "page_token"),
    )
    return Listing(f"{_SERVICE}ListGrants", request, pb.ListGrantsResponse, "grants", _parse)


class Grants:
    """`client.grants`: give, list and take away roles on a project, collection or asset and all below it.

    Example:
        client.grants.set(project, "ada@example.org", "viewer")
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def set(self, resource: ResourceRef, principal: str, role: str) -> Grant:
        """Give a principal a role in place of the one it has there. Needs the owner role.

        `principal` is a user's id or e-mail address; `role` is `viewer` (read), `editor` (read and write) or `owner`
        (all, and grants). Errors: `not_found`, `permission_denied`, `failed_precondition` for the last owner,
        `invalid_argument`.

        Example:
            client.grants.set("mic-26", "ada@example.org", "editor")
        """
        return self._connection.run(_set(resource, principal, role))

    def list(self, resource: ResourceRef, *, page_size: int = 0, page_token: str = "") -> Page[Grant]:
        """List the grants on a resource itself. Needs read on it. Error: `not_found`.

        `page_size` is how many are fetched at a time: 0 means 50, at most 1,000.

        Example:
            owners = [grant.email for grant in client.grants.list(project) if grant.role == "owner"]
        """
        return Page(self._connection, _list(resource, page_size, page_token))

    def remove(self, resource: ResourceRef, principal: str) -> None:
        """Take a principal's role on a resource away; nothing happens when it has none. Needs the owner role.

        Errors: `not_found`, `permission_denied`, `failed_precondition` for the last owner.

        Example:
            client.grants.remove(project, "ada@example.org")
        """
        self._connection.run(_remove(resource, principal))


class AsyncGrants:
    """`client.grants` of `AsyncClient`: as `Grants`, awaited.

    Example:
        await client.grants.set(project, "ada@example.org", "viewer")
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def set(self, resource: ResourceRef, principal: str, role: str) -> Grant:
        """Give a principal a role, as `Grants.set`."""
        return await self._connection.run(_set(resource, principal, role))

    def list(self, resource: ResourceRef, *, page_size: int = 0, page_token: str = "") -> AsyncPage[Grant]:
        """List the grants on a resource itself, as `Grants.list`; for `async for`."""
        return AsyncPage(self._connection, _list(resource, page_size, page_token))

    async def remove(self, resource: ResourceRef, principal: str) -> None:
        """Take a principal's role away, as `Grants.remove`."""
        await self._connection.run(_remove(resource, principal))
