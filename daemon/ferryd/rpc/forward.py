"""Forwards catalogue calls to the hub without decoding them. Not a step: metadata, relationships, listings.

One generic handler with identity serializers; a new catalogue call needs no change here. The token is added, and
errors are decoded, by the transport behind `call`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from ferryd.rpc.server import Activity, asked_context, guard, seconds_left

#: bytes of one unary call: (context's name, method path, request, seconds) → reply. Raises FerryError.
HubCall = Callable[[str, str, bytes, float], Awaitable[bytes]]

#: Only these services, so that a token never signs a call that no SDK makes.
SERVICES: Final = frozenset(
    f"ferryapi.hub.v1.{name}Service" for name in ("Project", "Collection", "Asset", "Content", "Relationship", "Access")
)


class Forwarder(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic for the type checker only
    """Answers every unary call of the allowed services with the hub's own bytes."""

    def __init__(self, call: HubCall, activity: Activity) -> None:
        self._call = call
        self._activity = activity
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
        self.forwarded_calls = 0

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        path = handler_call_details.method
        if path not in self._handlers and path.strip("/").partition("/")[0] in SERVICES:
            self._handlers[path] = grpc.unary_unary_rpc_method_handler(self._handle(path))
        return self._handlers.get(path)

    def _handle(self, path: str) -> Callable[..., Awaitable[Any]]:
        async def forward(request: bytes) -> bytes:
            self.forwarded_calls += 1
            return await self._call(asked_context(), path, request, seconds_left())

        return guard(forward, self._activity, path.rpartition(".")[2])
