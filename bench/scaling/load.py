"""How many calls one hub answers in a second: a few callers, each asking again as soon as it has its answer.

In process, through the hub's ASGI app: everything but HTTP itself, whose parsing and sockets come on top. By time on
the hub's processor, too, for one hub never uses more than about one.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final

from sqlalchemy import URL

from ferryapi.hub.v1 import asset_service_pb2 as pb
from ferryhub.app import Hub, create_hub
from ferryhub.config import HubSettings
from scaling.world import World, key

_CALLERS: Final = 8
_SERVICE: Final = "/ferryapi.hub.v1.AssetService/"


def calls_per_s(url: URL, world: World, *, seconds: float) -> dict[str, float]:
    """Calls per second, and per second of the hub's processor time: four that get an asset to one of a page of 50."""
    return asyncio.run(_calls(url, world, seconds))


async def _calls(url: URL, world: World, seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="ferry-hub") as folder:
        state = Path(folder)
        there = url.render_as_string(hide_password=False)
        if url.drivername.startswith("sqlite"):
            (state / "catalogue.db").symlink_to(str(url.database))
            there = ""
        hub = create_hub(HubSettings(state, database_url=there, sweep_interval_s=0))
        await hub.start()
        try:
            return await _closed_loop(hub, world, seconds)
        finally:
            await hub.close()


async def _closed_loop(hub: Hub, world: World, seconds: float) -> dict[str, float]:
    answered = [0] * _CALLERS
    until = time.monotonic() + seconds

    async def one(caller: int) -> None:
        while time.monotonic() < until:
            at = answered[caller] * _CALLERS + caller
            if answered[caller] % 5 == 4:
                page = pb.ListAssetsRequest(project_id=key("prj", at % 300))
                await call(hub, "ListAssets", page.SerializeToString(), world)
            else:
                asset = pb.GetAssetRequest(asset_id=key("ast", at * 7919 % world.assets))
                await call(hub, "GetAsset", asset.SerializeToString(), world)
            answered[caller] += 1

    began, cpu = time.monotonic(), time.process_time()
    async with asyncio.TaskGroup() as tasks:
        for caller in range(_CALLERS):
            tasks.create_task(one(caller))
    took, busy = time.monotonic() - began, time.process_time() - cpu
    return {"calls per second": sum(answered) / took, "calls per second of processor": sum(answered) / busy}


async def call(hub: Hub, method: str, body: bytes, world: World) -> bytes:
    """One call in process."""
    return await hub.call(world.head.principal_id, _SERVICE + method, body)
