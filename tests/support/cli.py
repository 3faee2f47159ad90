"""Runs `ferry` as a person or a script would: in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "ferryman.cli"]


@dataclass(frozen=True)
class Done:
    """What a command said and returned."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def data(self, event: str) -> dict[str, Any]:
        """The payload of the one event of that name."""
        (found,) = [one["data"] for one in self.events if one["event"] == event]
        assert isinstance(found, dict)
        return found


def ferry(
    *arguments: str | Path, env: Mapping[str, str] | None = None, stdin: str = "", cwd: Path | None = None
) -> Done:
    """Run it to its end. The environment is this process's unless another is given."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        input=stdin,
        env=env,
        cwd=cwd,
        timeout=100,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)
