"""Calls from inside this process: a method's path and the request's bytes in, the reply's bytes out. No HTTP.

For a daemon that embeds the hub. Upload steps 7, 8 and 10; every catalogue call of an embedded hub. Calls from the
network go through `edge.py`, to the same services.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from ferryhub.rpc import faults
from ferryhub.rpc.caller import set_caller
from ferryhub.rpc.identity import Identities
from ferryhub.rpc.methods import SERVICES
from ferrywire.reasons import FerryError

_Parse = Callable[[bytes], Message]
_Answer = Callable[[Message, None], Awaitable[Message]]


class Direct:
    """Answers calls of users that the caller vouches for. `services` are the service objects by their short names."""

    def __init__(self, services: Mapping[str, Any], identities: Identities) -> None:
        self._identities = identities
        self._closed = False
        self._methods = {
            path: method for name, service in services.items() for path, method in _methods(SERVICES[name], service)
        }

    async def __call__(self, principal_id: str, method_path: str, body: bytes) -> bytes:
        """The reply to `/ferryapi.hub.v1.XService/Method`. Every error has a reason."""
        try:
            if self._closed:
                raise FerryError("SHUTTING_DOWN", "the hub is closed")
            found = self._methods.get(method_path)
            if found is None:
                raise FerryError("UNIMPLEMENTED", f"the hub has no method {method_path}")
            set_caller(await self._identities.of_principal(principal_id))
            if len(body) > faults.MAX_REQUEST_BYTES:
                raise faults.too_large()
            parse, answer = found
            return (await answer(parse(body), None)).SerializeToString()
        except FerryError:
            raise
        except DecodeError as error:
            raise faults.unreadable(str(error)) from None
        except Exception as error:
            raise faults.unexpected(error, method_path.rpartition("/")[2]) from error
        finally:
            set_caller(None)  # the daemon's task goes on in this context: nothing of the call is left behind

    def close(self) -> None:
        """Refuse every call from now on, with `SHUTTING_DOWN`: a caller may keep this for longer than the hub lives."""
        self._closed = True


def _methods(descriptor: ServiceDescriptor, service: object) -> Iterator[tuple[str, tuple[_Parse, _Answer]]]:
    for method in descriptor.methods:
        answer: _Answer = getattr(service, _snake_case(method))
        parse: _Parse = GetMessageClass(method.input_type).FromString
        yield f"/{descriptor.full_name}/{method.name}", (parse, answer)


def _snake_case(method: MethodDescriptor) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower()
