"""How requests are read and replies written: protobuf for the daemon, strict JSON for curl, R and JavaScript.

Unknown JSON fields are refused: a typing error must not pass for a default.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

from connectrpc.codec import Codec
from connectrpc.compat import google_protobuf_binary_codec
from google.protobuf import json_format
from google.protobuf.message import Message

from ferrywire.reasons import FerryError

M = TypeVar("M", bound=Message)

_NO_SUCH_FIELD: Final = re.compile(r'no field named "([^"]*)"')


class StrictJsonCodec:
    """JSON as proto3 defines it, without tolerance for unknown fields."""

    def name(self) -> str:
        """The name in the content type."""
        return "json"

    def encode(self, message: Message) -> bytes:
        """Write a reply."""
        return json_format.MessageToJson(message, indent=None).encode()

    def decode(self, data: bytes | bytearray, message_class: type[M]) -> M:
        """Read a request. Errors: `UNKNOWN_FIELD`, `INVALID_ARGUMENT`."""
        try:
            return json_format.Parse(bytes(data), message_class())
        except (json_format.ParseError, UnicodeDecodeError) as error:
            raise _refused(str(error)) from error


def codecs() -> list[Codec[Any, Any]]:
    """The codecs of every service."""
    return [google_protobuf_binary_codec(), StrictJsonCodec()]


def _refused(why: str) -> FerryError:
    if unknown := _NO_SUCH_FIELD.search(why):
        field = unknown.group(1)
        return FerryError("UNKNOWN_FIELD", f"the request has an unknown field '{field}': {why}", field=field)
    return FerryError("INVALID_ARGUMENT", f"the request is not the JSON it should be: {why}", field="body")
