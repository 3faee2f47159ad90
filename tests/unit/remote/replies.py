"""Replies of hubs, for tests."""

from __future__ import annotations

import base64
import json
from typing import Any

from google.rpc import error_details_pb2

from ferrywire.reasons import FerryError
from ferrywire.status import to_status


def connect_error(error: FerryError) -> bytes:
    """The Connect JSON body of one of our errors."""
    details = [
        {"type": any_.type_url.rpartition("/")[2], "value": base64.b64encode(any_.value).decode().rstrip("=")}
        for any_ in to_status(error).details
    ]
    return json.dumps({"code": error.code.value, "message": error.message, "details": details}).encode()


def foreign_info(**metadata: str) -> dict[str, Any]:
    info = error_details_pb2.ErrorInfo(reason="ALIAS_TAKEN", domain="ferryman", metadata=metadata)
    return {"type": "google.rpc.ErrorInfo", "value": base64.b64encode(info.SerializeToString()).decode()}
