"""A file system that forgets every write not yet fsynced: the power cut of a machine, for one directory.

A loop-mounted ext4 whose commits are far apart and whose shutdown flushes nothing. Needs root and loop devices.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Self

_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
_NOLOGFLUSH = 2
#: Where the tools for file systems are, whatever the caller's PATH leaves out.
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
#: Nothing reaches the disk by itself within a test, and a rename does not flush the file it publishes.
_OPTIONS = "loop,commit=300,noauto_da_alloc"


def unavailable() -> str:
    """Why this machine cannot do it; empty when it can."""
    if os.geteuid() != 0:
        return "mounting needs root"
    if not shutil.which("mkfs.ext4", path=_PATH):
        return "mkfs.ext4 is not installed"
    try:
        with LoopFS(size="16M"):
            return ""
    except subprocess.CalledProcessError as error:
        return f"{error.cmd[0]} failed: no loop devices here?"


class LoopFS:
    """`with LoopFS() as fs:` mounts an empty file system on `fs.root`; `fs.crash()` cuts its power, mounts it again."""

    def __init__(self, size: str = "512M", at: Path | None = None) -> None:
        self._dir = Path(tempfile.mkdtemp(prefix="fyfs", dir="/tmp"))
        self._image = self._dir / "image"
        self._size = size
        self.root = at or self._dir / "m"

    def __enter__(self) -> Self:
        self.root.mkdir(parents=True, exist_ok=True)
        try:
            _run("truncate", "-s", self._size, self._image)
            _run("mkfs.ext4", "-q", "-F", self._image)
            self._mount()
        except subprocess.CalledProcessError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", self.root], check=False, capture_output=True)
        shutil.rmtree(self._dir, ignore_errors=True)

    def crash(self) -> None:
        """Drop everything that is not durable. Kill the processes that use the file system first."""
        directory = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, _SHUTDOWN, struct.pack("I", _NOLOGFLUSH))
        finally:
            os.close(directory)
        _run("umount", self.root)
        self._mount()

    def _mount(self) -> None:
        _run("mount", "-o", _OPTIONS, self._image, self.root)


def _run(*command: str | Path) -> None:
    env = {**os.environ, "PATH": _PATH}
    subprocess.run([str(word) for word in command], check=True, capture_output=True, env=env)
