"""One daemon, safely: locks, private directories, readiness lines, identity, idle exit, the vanished socket."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from ferryd.lifecycle import locks
from ferryd.lifecycle.identity import load_identity
from ferryd.lifecycle.readiness import Readiness
from ferryd.lifecycle.watch import wait_idle, wait_socket_gone


def test_a_second_daemon_is_told_that_the_first_serves(tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    held = locks.take_runtime_lock(path, tmp_path, timeout_s=0)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with pytest.raises(locks.Busy):
            locks.take_runtime_lock(path, tmp_path, timeout_s=30)
    os.close(held)


def test_the_lock_is_free_once_its_holder_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    os.close(locks.take_runtime_lock(path, tmp_path, timeout_s=0))
    os.close(locks.take_runtime_lock(path, tmp_path, timeout_s=0))


def test_the_lock_beside_the_socket_says_whose_queue_it_is(tmp_path: Path) -> None:
    for state in ("a long name", "short"):
        os.close(locks.take_runtime_lock(tmp_path / "daemon.sock", tmp_path / state, timeout_s=0))
        assert (tmp_path / "daemon.lock").read_bytes() == os.fsencode(tmp_path / state)


def test_two_daemons_cannot_share_a_queue(tmp_path: Path) -> None:
    held = locks.take_state_lock(tmp_path, tmp_path / "nobody.sock", timeout_s=0)
    with pytest.raises(locks.Unsafe, match="another daemon"):
        locks.take_state_lock(tmp_path, tmp_path / "mine.sock", timeout_s=0.05)
    os.close(held)


def test_a_daemon_that_serves_the_queue_elsewhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "theirs.sock"
    held = locks.take_state_lock(tmp_path, path, timeout_s=0)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with pytest.raises(locks.Busy, match=r"theirs\.sock"):
            locks.take_state_lock(tmp_path, tmp_path / "mine.sock", timeout_s=30)
        monkeypatch.setenv("FERRYMAN_SOCKET", str(tmp_path / "mine.sock"))  # this one and no other is wanted
        with pytest.raises(locks.Unsafe, match="another daemon"):
            locks.take_state_lock(tmp_path, tmp_path / "mine.sock", timeout_s=0.05)
    os.close(held)


def test_a_lock_file_that_is_a_symlink_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    (tmp_path / "daemon.lock").symlink_to(target)
    with pytest.raises(OSError):
        locks.take_state_lock(tmp_path, tmp_path / "mine.sock", timeout_s=0)
    assert not target.exists()


def test_a_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(locks.Unsafe, match="chmod 700"):
        locks.private_dir(tmp_path, "FERRYMAN_STATE_DIR")


def test_a_symlinked_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(locks.Unsafe, match="FERRYMAN_STATE_DIR"):
        locks.private_dir(tmp_path / "link", "FERRYMAN_STATE_DIR")


@pytest.mark.parametrize(
    ("say", "line"),
    [(Readiness.ready, b"ready\n"), (Readiness.busy, b"busy\n"), (lambda r: r.error("a\nb"), b"error a b\n")],
)
def test_readiness_says_one_line_and_closes(say: object, line: bytes) -> None:
    reader, writer = os.pipe()
    readiness = Readiness(writer)
    say(readiness)  # type: ignore[operator]
    readiness.ready()  # nothing more is said
    assert os.read(reader, 100) == line
    assert os.read(reader, 100) == b""
    os.close(reader)


def test_a_starter_that_is_gone_does_not_stop_the_daemon() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    Readiness(writer).ready()


def test_the_identity_is_made_once(tmp_path: Path) -> None:
    first = load_identity(tmp_path)
    assert first == load_identity(tmp_path)
    assert first.principal_id.startswith("usr_")
    assert "@" in first.email


async def test_idle_waits_while_busy_and_ends_when_quiet() -> None:
    loop = asyncio.get_running_loop()
    busy = True

    async def idle_since() -> float | None:
        return None if busy else loop.time() - 1

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(wait_idle(0.01, idle_since))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        busy = False


async def test_a_removed_socket_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.touch()
    async with asyncio.TaskGroup() as group:
        group.create_task(wait_socket_gone(path))
        await asyncio.sleep(0)
        path.unlink()


@pytest.mark.parametrize("text", ["garbage", "[]", '{"email": "me"}', ""])
def test_a_damaged_identity_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "identity.json").write_text(text)
    with pytest.raises(ValueError, match=r"identity\.json is damaged"):
        load_identity(tmp_path)
