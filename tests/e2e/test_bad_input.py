"""Bad input is an error that says what to do, and loses nothing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferryman import Client, DaemonError
from tests.support.configurations import EMBEDDED, only
from tests.support.files import MIB, make_file, tree
from tests.support.home import Home
from tests.support.waiting import wait_for


@contextlib.contextmanager
def refused(code: str, reason: str, *words: str) -> Iterator[None]:
    """Expect a DaemonError with this code and reason whose text holds these words and a next step."""
    with pytest.raises(DaemonError) as caught:
        yield
    error = caught.value
    assert (error.code, error.reason) == (code, reason), str(error)
    assert error.next_step
    assert error.next_step in str(error)
    for word in words:
        assert word in str(error)


def upload(client: Client, path: Any, project_id: str, **fields: Any) -> Any:
    return client.upload(path, **{"title": "t", "owner_type": "project", "owner_id": project_id, **fields})


def test_a_missing_file(client: Client, home: Home, project_id: str) -> None:
    with refused("not_found", "SOURCE_MISSING", "nowhere.csv"):
        upload(client, home.data / "nowhere.csv", project_id)
    assert client.transfers.list().total_size == 0


def test_a_directory_with_nothing_in_it(client: Client, home: Home, project_id: str) -> None:
    (home.data / "empty").mkdir()
    with refused("invalid_argument", "INVALID_ARGUMENT", "empty"):
        upload(client, home.data / "empty", project_id)


def test_a_fifo(client: Client, home: Home, project_id: str) -> None:
    os.mkfifo(home.data / "fifo")
    with refused("failed_precondition", "SOURCE_UNSUPPORTED", "fifo"):
        upload(client, home.data / "fifo", project_id)


PERMISSIONS = """
from pathlib import Path
from ferryman import Client
from tests.e2e.test_bad_input import check_permissions
from tests.support.home import Home
with Client() as client:
    check_permissions(client, Home(Path({root!r})))
    client.daemon.shutdown()
"""

#: Gives up what lets root read and write everything, for good, and becomes what runs the script. No `preexec_fn`: it
#: makes a fork of this process, and grpc's handlers may end one before it is the program (grpc/grpc#43055).
OBEYING = """
import ctypes, os, sys
if os.geteuid() == 0:
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("configuration")]


def check_permissions(client: Client, home: Home) -> None:
    project_id = client.create_project("P").project_id
    table = home.data / "data.csv"
    table.write_text("a")
    closed = home.data / "closed"
    closed.mkdir(mode=0o500)
    asset_id = upload(client, table, project_id).asset_id
    with refused("permission_denied", "DESTINATION_UNWRITABLE", "closed"):
        client.download(asset_id, closed)
    assert tree(closed) == {}
    table.chmod(0)
    with refused("permission_denied", "SOURCE_UNREADABLE", "data.csv"):
        upload(client, table, project_id)


def test_a_directory_without_permission(home: Home) -> None:
    """In a process of its own, because the tests may run as root."""
    script = PERMISSIONS.format(root=str(home.root))
    done = subprocess.run(
        [sys.executable, "-c", OBEYING, script],
        env=home.env,
        capture_output=True,
        text=True,
        timeout=200,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr


def test_an_unknown_owner(client: Client, table: Path) -> None:
    with refused("not_found", "OWNER_NOT_FOUND", "prj_nobody"):
        upload(client, table, "prj_nobody")
    assert list(client.assets.list()) == []


def test_a_bad_enum(client: Client, project_id: str, table: Path) -> None:
    with refused("invalid_argument", "INVALID_ARGUMENT", "owner_type"):
        upload(client, table, project_id, owner_type="org")
    asset_id = upload(client, table, project_id).asset_id
    with refused("invalid_argument", "INVALID_ARGUMENT", "if_exists"):
        client.download(asset_id, "/tmp", if_exists="overwrite")


def test_an_alias_in_use(client: Client, project_id: str, table: Path) -> None:
    upload(client, table, project_id, alias="taken-1")
    with refused("already_exists", "ALIAS_TAKEN", "taken-1"):
        upload(client, table, project_id, alias="taken-1")
    assert len(list(client.assets.list())) == 1


@only(EMBEDDED, because="it is refused before a hub hears of it")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**60, {1, 2}, object()])
def test_metadata_that_no_catalogue_can_keep(client: Client, project_id: str, table: Path, value: object) -> None:
    with refused("invalid_argument", "INVALID_ARGUMENT", "metadata"):
        upload(client, table, project_id, metadata={"deep": [{"x": value}]})
    asset_id = upload(client, table, project_id, metadata={"k": 1}).asset_id
    with refused("invalid_argument", "INVALID_ARGUMENT", "metadata"):
        client.set_metadata(asset_id, metadata={"x": value})
    assert client.get_metadata(asset_id).metadata == {"k": 1}


@only(EMBEDDED, because="it is refused before a hub hears of it")
@pytest.mark.parametrize("size", [0, -1, 10**9, 2**70, 1.5, "8"])
def test_an_absurd_chunk_size(client: Client, project_id: str, table: Path, size: object) -> None:
    with refused("invalid_argument", "INVALID_ARGUMENT", "chunk_size_mb"):
        upload(client, table, project_id, chunk_size_mb=size)
    assert client.transfers.list().total_size == 0


def test_a_destination_that_exists(client: Client, home: Home, project_id: str, table: Path) -> None:
    asset_id, dest = upload(client, table, project_id).asset_id, home.root / "dl"
    dest.mkdir()
    mine = dest / "data.csv"
    mine.write_text("mine")
    with refused("already_exists", "DESTINATION_EXISTS", "data.csv", "if_exists"):
        client.download(asset_id, dest)
    assert mine.read_text() == "mine"
    assert client.download(asset_id, dest, if_exists="skip").files[0].skipped
    assert mine.read_text() == "mine"
    renamed = client.download(asset_id, dest, if_exists="rename").files[0]
    assert Path(renamed.local_path).name == "data (1).csv"
    assert mine.read_text() == "mine"
    client.download(asset_id, dest, if_exists="replace")
    assert mine.read_bytes() == table.read_bytes()
    again = client.download(asset_id, dest).files[0]  # the right bytes are there: done
    assert again.skipped
    assert tree(dest) == {"data.csv": 8, "data (1).csv": 8}


def test_a_file_in_place_of_the_destination_directory(client: Client, home: Home, project_id: str, table: Path) -> None:
    asset_id = upload(client, table, project_id).asset_id
    with refused("permission_denied", "DESTINATION_UNWRITABLE", "data.csv"):
        client.download(asset_id, table)
    assert table.read_bytes() == b"a,b\n1,2\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a small file system of its own")
def test_a_full_disk_at_the_destination_waits_and_goes_on(client: Client, home: Home, project_id: str) -> None:
    path = make_file(home.data / "big", 8 * MIB)
    asset_id = upload(client, path, project_id).asset_id
    small = home.root / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)], check=True)
    try:
        transfer = client.transfers.download(asset_id, small / "dl")
        info = wait_for(
            lambda: info if (info := transfer.info()).waiting_for == "space" else None,
            what="the transfer to wait for space",
        )
        assert info.error is not None
        assert info.error.reason == "DISK_FULL"
        assert info.next_attempt_at is not None
        assert not (small / "dl" / "big").exists()
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        transfer.retry()
        transfer.wait(timeout_s=60)
        assert (small / "dl" / "big").stat().st_size == 8 * MIB
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


@only(EMBEDDED, because="it has no hub to begin with")
def test_an_unreachable_hub(home: Home, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRYMAN_HUB", "http://127.0.0.1:9")
    monkeypatch.setenv("FERRYMAN_TOKEN", "fat_" + "x" * 43)
    with Client() as client:
        with refused("unavailable", "HUB_UNREACHABLE", "127.0.0.1:9"):
            client.create_project("P")
        transfer = client.transfers.upload(table, title="t", owner_type="user", owner_id="me@x.org")
        wait_for(lambda: transfer.info().waiting_for == "network", what="the transfer to wait for the network")
        info = transfer.info()
        assert info.state == "queued"
        assert info.error is not None
        assert info.error.reason == "HUB_UNREACHABLE"
        assert "x" * 43 not in home.log_text()


def test_a_source_that_changes_is_never_uploaded_mixed(client: Client, home: Home, project_id: str) -> None:
    path = make_file(home.data / "big", 64 * MIB)
    client.transfers.set_limits(bandwidth_bps=4 * MIB, parts_in_flight=1)
    transfer = client.transfers.upload(path, title="t", owner_type="project", owner_id=project_id, chunk_size_mb=1)
    wait_for(lambda: transfer.info().persisted_bytes > 0, what="the first part")
    client.transfers.set_limits(bandwidth_bps=MIB)
    with path.open("r+b") as file:
        file.seek(40 * MIB)
        file.write(b"changed")
    client.transfers.set_limits(bandwidth_bps=0)
    with refused("failed_precondition", "SOURCE_CHANGED", "big"):
        transfer.wait(timeout_s=60)
    assert list(client.assets.list()) == []


def test_an_empty_title_and_an_unknown_field(client: Client, project_id: str, table: Path) -> None:
    with refused("invalid_argument", "INVALID_ARGUMENT", "title"):
        upload(client, table, project_id, title="")
    asset_id = upload(client, table, project_id).asset_id
    with refused("invalid_argument", "UNKNOWN_FIELD", "colour", "title"):
        client.set_metadata(asset_id, colour="red")


def test_an_unknown_id_everywhere(client: Client, table: Path) -> None:
    with refused("not_found", "ASSET_NOT_FOUND"):
        client.get_metadata("no-such-asset")
    with refused("not_found", "PROJECT_NOT_FOUND"):
        client.projects.get("no-such-project")
    with refused("not_found", "COLLECTION_NOT_FOUND"):
        client.collections.get("no-such-collection")
    with refused("not_found", "TRANSFER_NOT_FOUND"):
        client.transfers.get("trf_nothing").info()
