"""What an upload takes and what it refuses."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ferryd.lanes.files import LocalFiles
from ferrywire.patterns import selection
from ferrywire.reasons import FerryError

FILES = LocalFiles()


def names(*paths: Path) -> list[str]:
    return [file.path for file in FILES.scan(str(path) for path in paths)]


def refused(*paths: Path) -> FerryError:
    with pytest.raises(FerryError) as caught:
        FILES.scan(str(path) for path in paths)
    return caught.value


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "run 7"
    (root / "b" / "c").mkdir(parents=True)
    (root / "z.txt").write_text("z")
    (root / "b" / "c" / "é.txt").write_text("deep")
    (root / "b" / ".x.trf_1.ferry-part").write_text("any file is taken")
    (root / "empty").mkdir()
    return root


def test_a_file_has_its_own_name(tree: Path) -> None:
    (file,) = FILES.scan([str(tree / "z.txt")])
    status = (tree / "z.txt").stat()
    assert (file.path, file.local_path) == ("z.txt", str(tree / "z.txt"))
    assert (file.identity.inode, file.identity.size_bytes, file.identity.ctime_ns) == (
        status.st_ino,
        1,
        status.st_ctime_ns,
    )


def test_a_directory_gives_relative_paths_sorted(tree: Path) -> None:
    assert names(tree) == ["b/.x.trf_1.ferry-part", "b/c/é.txt", "z.txt"]


def test_several_paths_keep_their_names(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "a.csv"
    other.touch()
    assert names(tree, other) == ["a.csv", "run 7/b/.x.trf_1.ferry-part", "run 7/b/c/é.txt", "run 7/z.txt"]


def test_two_paths_of_one_name_are_refused_by_name(tree: Path, tmp_path: Path) -> None:
    twin = tmp_path / "other" / "z.txt"
    twin.parent.mkdir()
    twin.touch()
    error = refused(tree / "z.txt", twin)
    assert error.reason == "INVALID_ARGUMENT"
    assert str(tree / "z.txt") in error.message
    assert str(twin) in error.message


def test_nothing_to_upload(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert refused(tmp_path).reason == "INVALID_ARGUMENT"
    assert refused().reason == "INVALID_ARGUMENT"
    assert refused(tmp_path / "no").reason == "SOURCE_MISSING"
    assert refused(tmp_path / "no").metadata["path"] == str(tmp_path / "no")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (os.mkfifo, "fifo"),
        (_socket, "socket"),
        (lambda path: path.symlink_to("/etc/hostname"), "leaves the directory"),
        (lambda path: path.symlink_to("nowhere"), "leads nowhere"),
        (lambda path: path.symlink_to("."), "link to a directory"),
        (lambda path: path.symlink_to(path.name), "symbolic link"),
        (lambda path: path.symlink_to("/dev/null"), "leaves the directory"),
    ],
)
def test_what_is_no_regular_file_is_refused_by_name(tree: Path, make: Callable[[Path], None], word: str) -> None:
    odd = tree / "b" / "odd"
    make(odd)
    error = refused(tree)
    assert (error.reason, error.metadata["path"]) == ("SOURCE_UNSUPPORTED", str(odd))
    assert word in error.message


def test_links_that_stay_inside_and_a_link_given_by_hand_are_followed(tree: Path, tmp_path: Path) -> None:
    (tree / "b" / "again").symlink_to("../z.txt")
    by_hand = tmp_path / "by hand"
    by_hand.symlink_to(tree)
    assert "b/again" in names(by_hand)
    (tmp_path / "one").symlink_to(tree / "z.txt")
    assert names(tmp_path / "one") == ["one"]


def test_devices_and_files_the_system_makes_up_are_refused() -> None:
    assert refused(Path("/dev/null")).reason == "SOURCE_UNSUPPORTED"
    if os.path.exists("/proc/self/status"):
        assert refused(Path("/proc/self/status")).reason == "SOURCE_UNSUPPORTED"


def test_a_name_that_is_not_text_is_shown(tree: Path) -> None:
    with open(os.fsencode(tree) + b"/caf\xe9", "wb"):
        pass
    error = refused(tree)
    assert error.reason == "SOURCE_UNSUPPORTED"
    assert r"caf\xe9" in error.message
    error.metadata["path"].encode()


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_cannot_be_read(tree: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in for the system's answer: these tests may run as root, to whom nothing is forbidden."""
    if kind == "file":
        monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("z.txt"))
    else:

        def forbid(path: str) -> object:
            raise PermissionError(13, "Permission denied", path)

        monkeypatch.setattr(os, "scandir", forbid)
    assert refused(tree).reason == "SOURCE_UNREADABLE"


def test_check_tells_changed_from_missing(tree: Path) -> None:
    (file,) = FILES.scan([str(tree / "z.txt")])
    FILES.check(file)
    (tree / "z.txt").write_text("zz")
    with pytest.raises(FerryError) as caught:
        FILES.check(file)
    assert caught.value.reason == "SOURCE_CHANGED"
    (tree / "z.txt").unlink()
    with pytest.raises(FerryError) as caught:
        FILES.check(file)
    assert caught.value.reason == "SOURCE_MISSING"


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb", "a\\b"])
def test_a_name_that_no_hub_takes_is_refused_before_anything_is_queued(tree: Path, name: str) -> None:
    (tree / "empty" / name).write_text("x")
    error = refused(tree)
    assert (error.reason, "rename it" in error.message) == ("SOURCE_UNSUPPORTED", True)
    assert "\n" not in error.message and "\x1b" not in error.message


def test_patterns_choose_and_what_they_leave_out_may_be_anything(tree: Path) -> None:
    (tree / "b" / "loop").symlink_to(tree)
    os.mkfifo(tree / "pipe")
    (tree / "shut").mkdir(mode=0)
    found = FILES.scan([str(tree)], selection(exclude=["loop", "pipe", "shut/", "*.ferry-part"]))
    assert [file.path for file in found] == ["b/c/é.txt", "z.txt"]
    assert [file.path for file in FILES.scan([str(tree)], selection(include=["z.*"], exclude=["shut"]))] == ["z.txt"]
    with pytest.raises(FerryError, match="leave no file of"):
        FILES.scan([str(tree)], selection(include=["*.none"], exclude=["shut"]))
    (tree / "shut").rmdir()
