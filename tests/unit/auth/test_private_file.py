"""Small private files: whole, durable and nobody else's, on a real file system."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ferryd.auth import private_file
from ferrywire.reasons import FerryError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fails(work: Callable[[], object]) -> FerryError:
    with pytest.raises(FerryError) as caught:
        work()
    return caught.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secret.json"


def test_no_file_is_no_text(path: Path) -> None:
    assert private_file.read(path) is None


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_what_is_written_is_read_by_its_owner_alone(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        private_file.write(path, "älter")
        private_file.write(path, "neu ✓")
    finally:
        os.umask(before)
    assert mode(path) == 0o600
    assert private_file.read(path) == "neu ✓"
    assert os.listdir(path.parent) == [path.name]


def test_a_file_open_to_others_is_closed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_text("text")
    path.chmod(0o644)
    assert private_file.read(path) == "text"
    assert mode(path) == 0o600
    assert "open to others" in caplog.text


def test_a_file_that_was_open_to_others_is_replaced_by_a_private_one(path: Path) -> None:
    path.write_text("old")
    path.chmod(0o666)
    private_file.write(path, "new")
    assert mode(path) == 0o600


def test_a_link_is_neither_followed_nor_written_through(path: Path) -> None:
    target = path.with_name("target")
    target.write_text("mine")
    path.symlink_to(target)
    error = fails(lambda: private_file.read(path))
    assert error.reason == "IO_ERROR"
    assert "remove it" in error.message
    private_file.write(path, "new")
    assert target.read_text() == "mine"
    assert not path.is_symlink()


def test_a_link_in_the_way_of_the_new_file_is_not_written_through(path: Path) -> None:
    target = path.with_name("target")
    target.write_text("mine")
    path.with_name(f"{path.name}.new").symlink_to(target)
    private_file.write(path, "new")
    assert (target.read_text(), path.read_text()) == ("mine", "new")


def test_what_is_no_file_is_refused_at_once(path: Path) -> None:
    os.mkfifo(path)
    assert fails(lambda: private_file.read(path)).reason == "IO_ERROR"
    path.unlink()
    path.mkdir()
    assert fails(lambda: private_file.read(path)).reason == "IO_ERROR"
    assert fails(lambda: private_file.write(path, "new")).reason == "IO_ERROR"
    assert os.listdir(path.parent) == [path.name], "no half of it stays"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(path: Path) -> None:
    path.write_text("theirs")
    os.chown(path, 65534, 65534)
    error = fails(lambda: private_file.read(path))
    assert error.reason == "IO_ERROR"
    assert "not a file of yours" in error.message


def test_durable_before_it_counts_and_its_name_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is the promise: bytes, then the name, then the directory."""
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "bytes"
        if kind == "bytes":
            assert os.fstat(descriptor).st_size == len("text")
        steps.append(kind)
        fsync(descriptor)

    def watched_replace(source: os.PathLike[str], target: os.PathLike[str]) -> None:
        steps.append("name")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    private_file.write(path, "text")
    assert steps == ["bytes", "name", "directory"]


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.ENOSPC, "DISK_FULL"), (errno.EDQUOT, "DISK_FULL"), (errno.EROFS, "READ_ONLY")]
)
def test_a_write_that_fails_keeps_the_old_text(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    private_file.write(path, "old")

    def fail(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        error = fails(lambda: private_file.write(path, "new secret"))
    assert error.reason == reason
    assert "secret" not in error.message.replace(str(path), "")
    assert private_file.read(path) == "old"
    assert os.listdir(path.parent) == [path.name]


def test_the_rest_of_a_write_that_was_cut_off_is_no_hindrance(path: Path) -> None:
    path.with_name(f"{path.name}.new").write_text("half of")
    private_file.write(path, "whole")
    assert private_file.read(path) == "whole"
    assert os.listdir(path.parent) == [path.name]


def test_what_could_not_be_read_back_is_not_written(path: Path) -> None:
    private_file.write(path, "old")
    error = fails(lambda: private_file.write(path, "x" * (5 << 20)))
    assert error.reason == "IO_ERROR"
    assert private_file.read(path) == "old"


def test_a_file_larger_than_any_of_ours_is_not_half_read(path: Path) -> None:
    path.write_bytes(b" " * (5 << 20))
    assert fails(lambda: private_file.read(path)).reason == "IO_ERROR"


def test_what_makes_no_sense_is_kept_under_another_name(path: Path) -> None:
    path.write_text("{")
    path.chmod(0o600)
    private_file.move_aside(path)
    (kept,) = path.parent.iterdir()
    assert kept.name.startswith("secret.json.damaged-")
    assert (kept.read_text(), mode(kept)) == ("{", 0o600)
