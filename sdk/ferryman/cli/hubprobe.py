"""Asks a hub directly who it is and what time it has, without a token: `GET /healthz`.

As the daemon does, it uses no proxy, so what it finds is what the daemon would.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class HubAnswer:
    """What a hub said. `skew_s` is this machine's clock minus the hub's, good to a second; None without a Date."""

    version: str
    skew_s: float | None
    round_trip_s: float


def ask(hub: str) -> HubAnswer:
    """Ask the hub at `http://…`, `https://…` or `unix:/…`. Raises `OSError` with the cause."""
    connection, path = _connection(hub)
    began, began_at = time.monotonic(), time.time()
    with contextlib.closing(connection):
        try:
            connection.request("GET", path, headers={"user-agent": "ferry-doctor"})
            reply = connection.getresponse()
        except http.client.HTTPException as error:
            raise OSError(f"it does not speak HTTP as a hub does: {error!r}") from error
        took_s = time.monotonic() - began
        if reply.status != 200:
            raise OSError(
                f"it answers GET {path} with {reply.status}: this is no hub, or something stands in front of it"
            )
        date = _parsed(reply.getheader("date", ""))
        # A Date has whole seconds: on the average it is half a second old.
        skew_s = None if date is None else began_at + took_s / 2 - (date.timestamp() + 0.5)
        return HubAnswer(reply.getheader("ferryman-version", ""), skew_s, took_s)


def _parsed(date: str) -> datetime | None:
    with contextlib.suppress(ValueError, TypeError):
        found = parsedate_to_datetime(date)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None


def _connection(hub: str) -> tuple[http.client.HTTPConnection, str]:
    if hub.startswith("unix:"):
        return _UnixConnection(hub.removeprefix("unix:")), "/healthz"
    try:
        parts = urlsplit(hub)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise OSError(f"the address {hub} is none: {error}") from error
    path = parts.path.rstrip("/") + "/healthz"
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context), path
    return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S), path


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(self._path)
