"""The daemon itself: information, counters, drain, shutdown.

Pure functions make the calls; the two classes run them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferryapi.daemon.v1 import daemon_service_pb2 as pb
from ferryman.call import Call
from ferryman.convert import moment
from ferryman.reports import DaemonInfo, Statistics

if TYPE_CHECKING:
    from ferryman.aio_channel import AsyncConnection
    from ferryman.channel import Connection

_SERVICE = "/ferryapi.daemon.v1.DaemonService/"
#: Stopping waits for running parts to be checkpointed, in seconds.
_STOP_S = 60.0


def _info(message: Any) -> DaemonInfo:
    return DaemonInfo(
        version=message.version,
        pid=message.pid,
        hub=message.hub,
        state_dir=message.state_dir,
        socket_path=message.socket_path,
        started_at=moment(message, "start_time"),
        draining=message.draining,
    )


def _statistics(message: Any) -> Statistics:
    return Statistics(
        transfers=dict(message.transfers),
        sent_bytes=message.sent_bytes,
        received_bytes=message.received_bytes,
        retried_parts=message.retried_parts,
        forwarded_calls=message.forwarded_calls,
        watchers=message.watchers,
        resident_bytes=message.resident_bytes,
        open_files=message.open_files,
        loop_lag_s=message.loop_lag_seconds,
        cpu_s=message.cpu_seconds,
    )


def _get_info() -> Call[DaemonInfo]:
    return Call(f"{_SERVICE}GetInfo", pb.GetInfoRequest(), pb.DaemonInfo, _info)


def _get_statistics() -> Call[Statistics]:
    return Call(f"{_SERVICE}GetStatistics", pb.GetStatisticsRequest(), pb.Statistics, _statistics)


def _drain() -> Call[int]:
    method = f"{_SERVICE}Drain"
    return Call(method, pb.DrainRequest(), pb.DrainResponse, lambda reply: int(reply.checkpointed_transfers), _STOP_S)


def _shutdown() -> Call[int]:
    return Call(f"{_SERVICE}Shutdown", pb.ShutdownRequest(), pb.ShutdownResponse, lambda reply: int(reply.pid), _STOP_S)


class Daemon:
    """`client.daemon`: what the daemon is and does, and how to stop it. No call changes a transfer's outcome.

    Example:
        print(client.daemon.info().version)
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def info(self) -> DaemonInfo:
        """Get what the daemon is and where it keeps things. Error: `unavailable`.

        Example:
            client.daemon.info().state_dir
        """
        return self._connection.run(_get_info())

    def statistics(self) -> Statistics:
        """Get counters since the start of the daemon's process. Error: `unavailable`.

        Example:
            client.daemon.statistics().resident_bytes / 1e6
        """
        return self._connection.run(_get_statistics())

    def drain(self) -> int:
        """Stop all transfers at a checkpoint and refuse new ones; returns how many were running.

        Returns when no byte moves, allowing at least 60 s. The daemon goes on answering. Error: `deadline_exceeded`.

        Example:
            client.daemon.drain()
        """
        return self._connection.run(_drain())

    def shutdown(self) -> int:
        """Drain the daemon, then end its process; returns its process id, before it has ended.

        The next call starts a new daemon, which continues all transfers. Use `auto_start=False` not to start one merely
        to stop it. Error: `deadline_exceeded`.

        Example:
            Client(auto_start=False).daemon.shutdown()
        """
        return self._connection.run(_shutdown())


class AsyncDaemon:
    """`client.daemon` of `AsyncClient`: as `Daemon`, awaited.

    Example:
        print((await client.daemon.info()).version)
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def info(self) -> DaemonInfo:
        """Get what the daemon is and where it keeps things, as `Daemon.info`."""
        return await self._connection.run(_get_info())

    async def statistics(self) -> Statistics:
        """Get counters since the start of the daemon's process, as `Daemon.statistics`."""
        return await self._connection.run(_get_statistics())

    async def drain(self) -> int:
        """Stop all transfers at a checkpoint and refuse new ones, as `Daemon.drain`."""
        return await self._connection.run(_drain())

    async def shutdown(self) -> int:
        """Drain the daemon, then end its process, as `Daemon.shutdown`."""
        return await self._connection.run(_shutdown())
