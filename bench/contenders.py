"""Who moves a load: Ferryman through its SDK and daemon, or a program of somebody else."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from loads import Load
from measuring import Measured, run

from ferryman import Client

HERE = Path(__file__).resolve().parent
OURS = "ferryman"
#: How the names of those begin that are no peers, but the least that could do it (`limits.py`).
LIMIT = "bare"


class Contender(Protocol):
    """`key` is what a load is called at the target; `up` comes before `down`. `ready` is called when nothing but the
    moving itself is left to do: it brings the page cache into the state that the benchmark wants."""

    @property
    def name(self) -> str: ...

    @property
    def downs(self) -> bool: ...

    def up(self, load: Load, key: str, ready: Callable[[], None]) -> Measured: ...

    def down(self, load: Load, key: str, dest: Path, ready: Callable[[], None]) -> Measured: ...


@dataclass
class Ferry:
    """Ferryman: a script of its own each time, and the daemon that is there already and has moved a file: `first` where
    nothing else goes, else a small one."""

    client: Client
    servers: Sequence[int] = ()
    first: Path | None = None
    name: str = OURS
    downs: bool = True
    _assets: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._pid = self.client.daemon.info().pid
        self._project = self.client.create_project("Bench").project_id
        self._move_one()

    def up(self, load: Load, key: str, ready: Callable[[], None]) -> Measured:
        ready()
        measured = self._run("each" if load.apart else "up", str(load.root), self._project)
        self._assets[key] = measured.stdout.split()
        return measured

    def down(self, load: Load, key: str, dest: Path, ready: Callable[[], None]) -> Measured:
        ready()
        return self._run("down", str(dest), *self._assets[key])

    def _move_one(self) -> None:
        """A file up and down: the daemon and the hub are those of a machine that uses them."""
        with tempfile.TemporaryDirectory(prefix="fyb") as directory:
            file = self.first or Path(directory) / "first"
            if self.first is None:
                file.write_bytes(b"a,b\n1,2\n")
            done = self.client.upload(file, title="First", owner_type="project", owner_id=self._project)
            self.client.download(done.asset_id, Path(directory) / "back")

    def _run(self, *words: str) -> Measured:
        return run([*worker("sdk"), *words], beside=[self._pid], servers=self.servers)


@dataclass(frozen=True)
class Program:
    """A program: the command that sends a load to a key, and the one that brings it back."""

    name: str
    send: Callable[[Load, str], Sequence[str]]
    fetch: Callable[[Load, str, Path], Sequence[str]] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    servers: Sequence[int] = ()

    @property
    def downs(self) -> bool:
        return self.fetch is not None

    def up(self, load: Load, key: str, ready: Callable[[], None]) -> Measured:
        command = self.send(load, key)
        ready()
        return run(command, env=self.env, servers=self.servers)

    def down(self, load: Load, key: str, dest: Path, ready: Callable[[], None]) -> Measured:
        assert self.fetch is not None
        command = self.fetch(load, key, dest)
        ready()
        return run(command, env=self.env, servers=self.servers)


def worker(name: str) -> list[str]:
    """The command of one of our `worker_*.py`."""
    return [sys.executable, str(HERE / f"worker_{name}.py")]
