"""AuthService: who the daemon is signed in as. Not a step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, ClassVar

from ferryapi.daemon.v1 import auth_service_pb2 as pb
from ferryapi.hub.v1 import access_service_pb2 as hub_pb
from ferryd.rpc.forward import HubCall
from ferrywire.reasons import FerryError

_TIMEOUT_S = 20.0
_SERVICE = pb.DESCRIPTOR.services_by_name["AuthService"]
_METHOD = "/ferryapi.hub.v1.AccessService/GetIdentity"


class _NotYet:
    """Calls of the contract that this daemon does not answer."""

    __slots__ = ()

    async def _refuse(self, _request: Any) -> Any:
        raise FerryError("UNIMPLEMENTED", "this daemon does not know this call; update it")

    async def login(self, _request: pb.LoginRequest) -> AsyncIterator[pb.LoginEvent]:
        await self._refuse(_request)
        yield pb.LoginEvent()

    login_with_token = logout = list_contexts = use_context = _refuse


@dataclass(frozen=True, slots=True)
class EmbeddedAuth(_NotYet):
    """Sign-in on the embedded hub: the local user always is, so the hub need not even be loaded."""

    service: ClassVar[Any] = _SERVICE
    user_id: str
    user_email: str

    async def get_auth_status(self, _request: pb.GetAuthStatusRequest) -> pb.AuthStatus:
        return pb.AuthStatus(user_id=self.user_id, user_email=self.user_email, hub="embedded")


@dataclass(frozen=True, slots=True)
class RemoteAuth(_NotYet):
    """Sign-in at a hub of its own: asked each time, because a token can be revoked."""

    service: ClassVar[Any] = _SERVICE
    call: HubCall
    hub: str

    async def get_auth_status(self, _request: pb.GetAuthStatusRequest) -> pb.AuthStatus:
        reply = await self.call(_METHOD, hub_pb.GetIdentityRequest().SerializeToString(), _TIMEOUT_S)
        identity = hub_pb.Identity.FromString(reply)
        status = pb.AuthStatus(user_id=identity.principal_id, user_email=identity.email, hub=self.hub)
        if identity.HasField("expire_time"):
            status.expire_time.CopyFrom(identity.expire_time)
        return status
