"""What the daemon tells of its own work, for metrics: calls answered, calls made to a hub, commits of the queue.

Told in passing, never waited for; nothing depends on who listens. What only adds up is kept by the engine's counters.
"""

from __future__ import annotations


class Observer:
    """Is told; this one listens to nothing. Names of methods are like `TransferService/CreateUpload`."""

    def answered(self, method: str, code: str, took_s: float | None) -> None:
        """A call of the daemon's own clients has ended. `code` is a name of grpc's; no time for one that streams."""

    def hub_answered(self, method: str, outcome: str, took_s: float) -> None:
        """A call to a hub has ended: `ok`, or a reason of the error table."""

    def committed(self, took_s: float) -> None:
        """The queue's writer has committed a group of writes. Called from its thread."""
