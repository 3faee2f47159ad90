"""A sign-in that the hub takes back while transfers are under way: they wait for one sign-in, and go on by it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from ferryman import Client, DaemonError, Transfer
from tests.support.accounts import EMAIL, PASSWORD, SHORT_TTL_S, SHORT_URL_TTL_S, account_hub, kept, login, secrets
from tests.support.cli import COMMAND, ferry
from tests.support.files import MIB, make_file
from tests.support.home import Home
from tests.support.hubs import HubServer
from tests.support.signin import Device, approve
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SIZE = 48 * MIB
SMALL = 2 * MIB
#: So that a download, too, must ask the hub again before long.
LIFETIMES = ("--access-ttl", str(SHORT_TTL_S), "--url-ttl", str(SHORT_URL_TTL_S))


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with account_hub(*LIFETIMES) as server:
        yield server


@pytest.fixture
def other() -> Iterator[HubServer]:
    with account_hub(*LIFETIMES) as server:
        yield server


@dataclass(frozen=True)
class Scene:
    """Transfers of the hub `lab`, and one of another."""

    paused: Transfer[Any]  #: by its user, before anything happens
    elsewhere: Transfer[Any]
    up: Transfer[Any]
    down: Transfer[Any]
    queued_up: Transfer[Any]
    queued_down: Transfer[Any]
    left: Transfer[Any]  #: queued; paused by its user while it waits for a sign-in

    @property
    def waiting(self) -> list[Transfer[Any]]:
        """What one sign-in to `lab` sets going."""
        return [self.up, self.down, self.queued_up, self.queued_down]


def set_scene(client: Client, home: Home, hub: HubServer, other: HubServer) -> Scene:
    """Three run, the others are queued or paused."""
    login(client, hub, "lab")
    login(client, other, "other")
    there = uploader(client)
    client.contexts.use("lab")
    here = uploader(client)
    big, small = make_file(home.data / "big", SIZE), make_file(home.data / "small", SMALL, seed=1)
    old, old_small = (here(path).wait(timeout_s=120).asset_id for path in (big, small))

    client.transfers.set_limits(bandwidth_bps=MIB, running_transfers=3, parts_in_flight=3)
    paused = here(big)
    wait_for(partial(begun, paused), timeout_s=120, what="a part")
    paused.pause()
    client.contexts.use("other")
    elsewhere = there(big)
    client.contexts.use("lab")
    up, down = here(big), client.transfers.download(old, home.root / "dl")
    for transfer in (elsewhere, up, down):
        wait_for(partial(begun, transfer), timeout_s=120, what="a part")
    queued_down = client.transfers.download(old_small, home.root / "dl")
    scene = Scene(paused, elsewhere, up, down, here(small), queued_down, here(small))
    states = {field.name: getattr(scene, field.name).info().state for field in fields(scene)}
    assert states == {
        "paused": "paused",
        **dict.fromkeys(("elsewhere", "up", "down"), "running"),
        **dict.fromkeys(("queued_up", "queued_down", "left"), "queued"),
    }
    return scene


def uploader(client: Client) -> Callable[[Path], Transfer[Any]]:
    """Queues uploads into a new project of the current hub."""
    project = client.create_project("P").project_id

    def upload(path: Path) -> Transfer[Any]:
        return client.transfers.upload(path, title=path.name, owner_type="project", owner_id=project, chunk_size_mb=1)

    return upload


def begun(transfer: Transfer[Any]) -> bool:
    return transfer.info().persisted_bytes > 0


def waits_for(what: str, transfer: Transfer[Any]) -> bool:
    info = transfer.info()
    return (info.state, info.waiting_for) == ("paused", what)


def disable(hub: HubServer, home: Home) -> None:
    hub.command("users", "disable", EMAIL)


def sign_out(hub: HubServer, home: Home) -> None:
    hub.command("users", "passwd", EMAIL, "--password-stdin", "--sign-out", stdin=f"{PASSWORD}\n")


def steal(hub: HubServer, home: Home) -> None:
    """Somebody has a copy of the refresh token and uses it: now two hold it, and the hub trusts neither."""
    with httpx.Client(base_url=hub.url) as client:
        thief = Device(client)
        stolen = thief.refresh(kept(home, "lab")["refresh_token"]).json()["refresh_token"]
        thief.refresh(stolen)  # refused where the daemon was quicker: then the hub has noticed already


def by_code(client: Client, hub: HubServer, home: Home) -> None:
    login(client, hub, "lab")


def by_ferry(client: Client, hub: HubServer, home: Home) -> None:
    """Just `ferry login`: it knows which hub is in use."""
    said = home.root / "login.err"
    with said.open("w") as err, subprocess.Popen([*COMMAND, "login", "--device"], stderr=err) as process:
        shown = wait_for(lambda: re.search(r"^Enter\s+(\S+)", said.read_text(), re.MULTILINE), what="a code")
        assert shown is not None
        approve(hub.url, shown[1], EMAIL, PASSWORD)
        assert process.wait(60) == 0, said.read_text()


def by_token(client: Client, hub: HubServer, home: Home) -> None:
    done = ferry("login", hub.url, "--with-token", stdin=hub.token(EMAIL))
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("shut_out", "restart", "sign_in"), [(disable, False, by_ferry), (sign_out, True, by_token), (steal, True, by_code)]
)
def test_one_sign_in_resumes_what_waits_for_it(
    client: Client,
    hub: HubServer,
    other: HubServer,
    home: Home,
    shut_out: Callable[[HubServer, Home], None],
    restart: bool,
    sign_in: Callable[[Client, HubServer, Home], None],
) -> None:
    scene = set_scene(client, home, hub, other)
    shut_out(hub, home)
    for transfer in (*scene.waiting, scene.left):
        wait_for(partial(waits_for, "auth", transfer), timeout_s=120, what="it to wait for a sign-in")
    disable(other, home)  # not before: in the slot that this leaves a queued one would run while its old token lives
    wait_for(partial(waits_for, "auth", scene.elsewhere), timeout_s=120, what="it to wait for a sign-in, too")
    for transfer in (*scene.waiting, scene.left):
        check_says_what_to_do(transfer.info().error, hub)
    assert "sign" in ferry("ls").out
    assert not secrets(home), "what is worth nothing is not kept"
    progress = {transfer.id: transfer.info().persisted_bytes for transfer in (scene.up, scene.down)}

    scene.left.pause()
    client.transfers.set_limits(bandwidth_bps=0)
    for server in (hub, other):
        server.command("users", "enable", EMAIL)
    if restart:  # and whoever signs in does not wait for it
        home.kill_daemons()
    apart = (scene.elsewhere, scene.paused, scene.left)
    before = [home.history(transfer.id) for transfer in apart]
    sign_in(client, hub, home)
    assert restart or [home.history(transfer.id) for transfer in apart] == before, "left alone"

    for transfer in scene.waiting:
        transfer.wait(timeout_s=120)
    for name, transfer in (("big", scene.down), ("small", scene.queued_down)):
        (file,) = transfer.wait(timeout_s=1).files
        assert Path(file.local_path).read_bytes() == (home.data / name).read_bytes()
    for transfer in (scene.paused, scene.left):
        assert waits_for("user", transfer)
    wait_for(partial(waits_for, "auth", scene.elsewhere), timeout_s=120, what="it to wait for its own sign-in")
    assert scene.up.info().size_bytes - scene.up.info().resent_bytes >= min(progress.values()) > 0

    login(client, other, "other")
    for transfer in (scene.paused, scene.left):
        transfer.resume()
    for transfer in (scene.elsewhere, scene.paused, scene.left):
        assert transfer.wait(timeout_s=120).asset_id


def check_says_what_to_do(error: DaemonError | None, hub: HubServer) -> None:
    """A person who looks at the transfer knows where to sign in, and how."""
    assert error is not None
    assert error.reason == "NOT_SIGNED_IN"
    assert hub.url in error.message
    assert "lab" in error.message
    assert "ferry login" in error.next_step
