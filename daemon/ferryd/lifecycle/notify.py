"""Tells the service manager how the daemon is: READY, STATUS, WATCHDOG, STOPPING, as datagrams to its socket. Step 2.

The watchdog is fed only after the queue has answered, and from the event loop: when either hangs, the feeding stops and
systemd starts a new daemon, which goes on. Without a service manager every method does nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping

from ferrywire.reasons import FerryError

log = logging.getLogger(__name__)

#: A datagram waits only while the receiver's queue is full.
_SEND_TIMEOUT_S = 0.5


class ServiceManager:
    """systemd, or nobody. `environ` holds what systemd has put there."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._watchdog_s = _watchdog_s(environ) if self._address else 0.0
        #: Whether a service manager decides when the daemon ends.
        self.present = bool(self._address) or "INVOCATION_ID" in environ

    def ready(self, status: str) -> None:
        """The daemon answers calls."""
        self._say("READY=1", f"STATUS={_line(status)}")

    def status(self, text: str) -> None:
        """What `systemctl status` shows beside the state. One line."""
        self._say(f"STATUS={_line(text)}")

    def stopping(self) -> None:
        """The daemon has begun to stop."""
        self._say("STOPPING=1", "STATUS=stopping")

    async def feed_watchdog(self, look: Callable[[], Awaitable[str]]) -> None:
        """Report every half of the watchdog's time that the daemon lives, for as long as `look` answers.

        `look` reads the queue and returns the status line. While it does not return, or fails, nothing is reported.
        Returns at once when no watchdog is set.
        """
        period_s = self._watchdog_s / 2
        while period_s:
            try:
                status = await look()
            except FerryError as error:
                log.warning("watchdog_not_fed reason=%s %s", error.reason, error)
                await asyncio.sleep(period_s / 4)  # the next half would come too late
                continue
            self._say("WATCHDOG=1", f"STATUS={_line(status)}")
            await asyncio.sleep(period_s)

    def _say(self, *lines: str) -> None:
        if not self._address:
            return
        # A leading @ stands for the NUL of an abstract socket.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_SEND_TIMEOUT_S)
                sender.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            log.warning("service_manager_not_told %s: %s", lines[0], error)


def _watchdog_s(environ: Mapping[str, str]) -> float:
    """The watchdog's time in seconds; 0 when none is set, or when it is meant for another process."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    return int(microseconds) / 1e6


def _line(text: str) -> str:
    return " ".join(text.split())
