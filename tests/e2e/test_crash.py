"""kill -9 of the daemon in the middle: the next client's daemon finishes, and only parts in flight move again.

Bytes are counted between daemon and hub, by a proxy that belongs to neither.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from ferryman import Client
from ferryman import Transfer as TransferHandle
from tests.support.files import MIB, make_file, same_bytes, tree
from tests.support.home import Home
from tests.support.hubs import HubServer
from tests.support.proxy import Proxy
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

SIZE = 1 << 30
PART = 16 * MIB
#: The daemon's default limit of parts in flight.
IN_FLIGHT = 8
#: Of the files whose daemons crash at a given point: three parts, where a store wants 5 MiB of each.
SMALL = 11 * MIB
#: So small that the queue knows nothing of it before it was sent, or has its final name.
NO_ROW = 4096
#: Heads, catalogue calls and TCP's own view of them.
OVERHEAD = 2 * MIB


@pytest.fixture
def remote(home: Home, hub_server: HubServer, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """A counting proxy before a hub; daemons of this test use it."""
    proxy = Proxy("127.0.0.1", hub_server.port)
    monkeypatch.setenv("FERRYMAN_TOKEN", hub_server.token("me@x.org"))
    return proxy


def kill_at(client: Client, home: Home, transfer: TransferHandle, fraction: float) -> None:
    wait_for(lambda: transfer.info().persisted_bytes >= fraction * SIZE, timeout_s=60, what=f"{fraction:.0%}")
    client.transfers.set_limits(bandwidth_bps=PART)  # the next daemon, too, is not done before it has been looked at
    assert home.kill_daemons()


@pytest.mark.serial
def test_an_upload_survives_kill_9(home: Home, remote: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_file(home.data / "big", SIZE)
    with remote as proxy:
        monkeypatch.setenv("FERRYMAN_HUB", proxy.url)
        with Client() as client:
            project_id = client.create_project("P").project_id
            client.transfers.set_limits(bandwidth_bps=150 * MIB)
            before = proxy.moved["up"]
            transfer = client.transfers.upload(
                path, title="big", owner_type="project", owner_id=project_id, chunk_size_mb=PART // MIB
            )
            kill_at(client, home, transfer, 0.4)
        with Client() as client:
            assert list(client.assets.list(project=project_id)) == []  # nothing half-done is visible
            client.transfers.set_limits(bandwidth_bps=0)
            result = client.transfers.get(transfer.id).wait(timeout_s=120)
            sent = proxy.moved["up"] - before
            assert sent <= SIZE + IN_FLIGHT * PART + OVERHEAD, f"{(sent - SIZE) / MIB:.1f} MiB were sent twice"
            assert sent >= SIZE
            got = client.download(result.asset_id, home.root / "dl")
            assert same_bytes(path, Path(got.files[0].local_path))


@pytest.mark.serial
def test_a_download_survives_kill_9(home: Home, remote: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    path, dest = make_file(home.data / "big", SIZE), home.root / "dl"
    with remote as proxy:
        monkeypatch.setenv("FERRYMAN_HUB", proxy.url)
        with Client() as client:
            project_id = client.create_project("P").project_id
            result = client.upload(
                path, title="big", owner_type="project", owner_id=project_id, chunk_size_mb=PART // MIB
            )
            client.transfers.set_limits(bandwidth_bps=150 * MIB)
            before = proxy.moved["down"]
            transfer = client.transfers.download(result.asset_id, dest)
            kill_at(client, home, transfer, 0.4)
        assert all(name.endswith(".ferry-part") for name in tree(dest))  # nothing half-done has the final name
        with Client() as client:
            client.transfers.set_limits(bandwidth_bps=0)
            client.transfers.get(transfer.id).wait(timeout_s=120)
        received = proxy.moved["down"] - before
        assert received <= SIZE + IN_FLIGHT * PART + OVERHEAD, f"{(received - SIZE) / MIB:.1f} MiB came twice"
        assert tree(dest) == {"big": SIZE}
        assert same_bytes(path, dest / "big")


@pytest.mark.serial
def test_an_embedded_upload_survives_kill_9(client: Client, home: Home, project_id: str) -> None:
    path = make_file(home.data / "big", SIZE)
    client.transfers.set_limits(bandwidth_bps=150 * MIB)
    transfer = client.transfers.upload(
        path, title="big", owner_type="project", owner_id=project_id, chunk_size_mb=PART // MIB
    )
    kill_at(client, home, transfer, 0.4)
    with Client() as later:
        later.transfers.set_limits(bandwidth_bps=0)
        handle = later.transfers.get(transfer.id)
        result = handle.wait(timeout_s=120)
        assert handle.info().resent_bytes <= IN_FLIGHT * PART
        got = later.download(result.asset_id, home.root / "dl")
    assert same_bytes(path, Path(got.files[0].local_path))


def assert_one_crashed(home: Home) -> None:
    log = home.log_text()
    assert log.count("ferryd.app stopped") < log.count("ferryd.app serving"), "no daemon crashed"


@pytest.mark.usefixtures("configuration")
@pytest.mark.parametrize(
    ("point", "size"),
    [
        ("after-insert", SMALL),
        ("after-session", SMALL),
        ("after-part-sent", SMALL),
        ("after-part-sent", NO_ROW),
        ("after-part-row", SMALL),
        ("before-commit", SMALL),
        ("after-commit", SMALL),
    ],
)
def test_an_upload_survives_a_crash_at(point: str, size: int, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_file(home.data / "file", size)
    with Client() as client:
        project_id = client.create_project("P").project_id
    home.stop_daemons()
    monkeypatch.setenv("FERRYMAN_CRASHPOINT", point)
    # Where only the reply to the request was lost, the client asks the next daemon, which knows the request.
    with Client() as client, contextlib.suppress(ConnectionError):
        client.upload(path, title="t", owner_type="project", owner_id=project_id, chunk_size_mb=1)
    home.stop_daemons()
    assert_one_crashed(home)
    monkeypatch.delenv("FERRYMAN_CRASHPOINT")
    with Client() as client:
        [transfer] = client.transfers.list()
        result = client.transfers.get(transfer.transfer_id).wait(timeout_s=60)
        [asset] = client.assets.list(project=project_id)
        assert asset.asset_id == result.asset_id
        assert len(list(client.contents.list(asset.asset_id))) == 1
        assert same_bytes(path, Path(client.download(asset.asset_id, home.root / "dl").files[0].local_path))


@pytest.mark.usefixtures("configuration")
@pytest.mark.parametrize(
    ("point", "size"),
    [(point, SMALL) for point in ("after-part-file-write", "after-part-row", "before-publish", "after-publish")]
    + [(point, NO_ROW) for point in ("after-part-file-write", "before-publish", "after-publish")],
)
def test_a_download_survives_a_crash_at(point: str, size: int, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path, dest = make_file(home.data / "file", size), home.root / "dl"
    with Client() as client:
        project_id = client.create_project("P").project_id
        asset_id = client.upload(path, title="t", owner_type="project", owner_id=project_id, chunk_size_mb=1).asset_id
    home.stop_daemons()
    monkeypatch.setenv("FERRYMAN_CRASHPOINT", point)
    # Where it dies before anybody watches, the client watches at the next daemon, which may come to the end.
    with Client() as client, contextlib.suppress(ConnectionError):
        client.download(asset_id, dest)
    home.stop_daemons()
    assert_one_crashed(home)
    visible = {name: size for name, size in tree(dest).items() if not name.endswith(".ferry-part")}
    assert visible in ({}, {"file": size})
    monkeypatch.delenv("FERRYMAN_CRASHPOINT")
    with Client() as client:
        [transfer] = [info for info in client.transfers.list() if info.kind == "download"]
        client.transfers.get(transfer.transfer_id).wait(timeout_s=60)
    assert tree(dest) == {"file": size}
    assert same_bytes(path, dest / "file")
