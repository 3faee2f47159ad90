"""DaemonService: what the daemon is, its counters, and how to stop it. Not a step."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ferryapi.daemon.v1 import daemon_service_pb2 as pb
from ferryd.rpc.convert import timestamp


@dataclass(frozen=True, slots=True)
class About:
    """What never changes while the process lives. `start_time` is seconds since the epoch."""

    version: str
    state_dir: str
    socket_path: str
    start_time: float


@dataclass(frozen=True, slots=True)
class Counters:
    """What the daemon counted since it started; `transfers` is by state's name, now."""

    transfers: dict[str, int]
    sent_bytes: int
    received_bytes: int
    retried_parts: int
    forwarded_calls: int
    watchers: int
    loop_lag_s: float


@dataclass(frozen=True, slots=True)
class Controls:
    """What the service may do to the daemon, given by the composition root."""

    drain: Callable[[], Awaitable[int]]
    shutdown: Callable[[], None]
    is_draining: Callable[[], bool]
    #: The address of the current hub.
    hub: Callable[[], str]
    counters: Callable[[], Awaitable[Counters]]


class DaemonRpc:
    """The methods of DaemonService."""

    service = pb.DESCRIPTOR.services_by_name["DaemonService"]

    def __init__(self, about: About, controls: Controls) -> None:
        self._about = about
        self._controls = controls

    async def get_info(self, _request: pb.GetInfoRequest) -> pb.DaemonInfo:
        about = self._about
        return pb.DaemonInfo(
            version=about.version,
            pid=os.getpid(),
            hub=self._controls.hub(),
            state_dir=about.state_dir,
            socket_path=about.socket_path,
            start_time=timestamp(about.start_time),
            draining=self._controls.is_draining(),
        )

    async def get_statistics(self, _request: pb.GetStatisticsRequest) -> pb.Statistics:
        counters = await self._controls.counters()
        # Few ask, and every start would wait for it; nor may the loop.
        psutil = await asyncio.to_thread(importlib.import_module, "psutil")
        process = psutil.Process()
        with process.oneshot():
            times = process.cpu_times()
            return pb.Statistics(
                transfers=counters.transfers,
                sent_bytes=counters.sent_bytes,
                received_bytes=counters.received_bytes,
                retried_parts=counters.retried_parts,
                forwarded_calls=counters.forwarded_calls,
                watchers=counters.watchers,
                loop_lag_seconds=counters.loop_lag_s,
                resident_bytes=process.memory_info().rss,
                open_files=process.num_fds(),
                cpu_seconds=times.user + times.system,
            )

    async def drain(self, _request: pb.DrainRequest) -> pb.DrainResponse:
        return pb.DrainResponse(checkpointed_transfers=await self._controls.drain())

    async def shutdown(self, _request: pb.ShutdownRequest) -> pb.ShutdownResponse:
        self._controls.shutdown()
        return pb.ShutdownResponse(pid=os.getpid())
