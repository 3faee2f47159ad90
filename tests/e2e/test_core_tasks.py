"""The six core tasks as a new user does them from the README: each line of its terminal block, word for word.

A wheel in a virtual environment of its own, a hub with TLS in a process of its own, a person who approves in headless
Chromium, or over HTTP where no browser is installed.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import shlex
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from tests.architecture.sources import ROOT
from tests.support import chromium, signin
from tests.support.files import MIB, make_file
from tests.support.home import Home
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EMAIL, PASSWORD = "ada@example.org", "a long enough passphrase"
FOLDER_BYTES = 20 * MIB


def lines() -> list[str]:
    """The README's terminal block, without its comments."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"## In a terminal\n\n```sh\n(.*?)```", text, re.DOTALL)
    assert block
    return [line.partition("  #")[0].strip() for line in block[1].splitlines()]


INSTALL, LOGIN, UPLOAD, TOP, WATCH, DOWNLOAD = lines()


@dataclass
class Newcomer:
    """A person at a terminal on a fresh machine: a home, a PATH, and what they have typed so far."""

    home: Home
    programs: Path
    ca: Path
    typed: list[str] = field(default_factory=list)
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.programs), "/usr/local/bin", "/usr/bin", "/bin"])
        kept = {name: value for name, value in self.home.env.items() if name not in ("PYTHONPATH", "DISPLAY")}
        return {**kept, "PATH": path, "SSL_CERT_FILE": str(self.ca), "TERM": "xterm", "LANG": "C.UTF-8"}

    def type(self, line: str, *, code: int = 0) -> str:
        """Run a line and return its standard output."""
        self.typed.append(line)
        done = subprocess.run(
            shlex.split(line),
            env=self.env,
            cwd=self.home.data,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == code, f"$ {line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, line: str, stderr: Path) -> subprocess.Popen[str]:
        """Run a line beside what follows."""
        self.typed.append(line)
        with stderr.open("w") as errors:
            process = subprocess.Popen(
                shlex.split(line), env=self.env, cwd=self.home.data, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self.running.append(process)
        return process

    def leave(self) -> None:
        """End what still runs."""
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.communicate()


@pytest.fixture(scope="module")
def wheel() -> Iterator[Path]:
    """The package as it is published."""
    with tempfile.TemporaryDirectory(prefix="fywheel") as directory:
        build = f"import hatchling.build as b; print(b.build_wheel({directory!r}))"
        done = subprocess.run([sys.executable, "-c", build], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        yield Path(directory) / done.stdout.split()[-1]


@pytest.fixture
def programs(home: Home, wheel: Path) -> Path:
    """Task 1, install: the wheel in an environment of its own, its dependencies taken from this one."""
    assert INSTALL == 'pip install ".[cli,daemon]"'
    place = home.root / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    site = next(place.glob("lib/python3*/site-packages"))
    (site / "dependencies.pth").write_text(f"{Path(grpc.__file__).parents[1]}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(place / "bin/python"), "install", "--quiet"]
    done = subprocess.run(
        [*pip, "--no-deps", "--no-index", "--force-reinstall", str(wheel)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    where = subprocess.run(
        [place / "bin/python", "-c", "import ferryman, ferryd; print(ferryman.__file__, ferryd.__file__)"],
        env={"PATH": "/usr/bin"},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert where.count(str(place)) == 2, "the wheel is what runs"
    return place / "bin"


@pytest.fixture
def newcomer(home: Home, programs: Path) -> Iterator[Newcomer]:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(home.root / "ca.pem"))
    cert = ca.issue_cert("localhost", "127.0.0.1")
    cert.private_key_pem.write_to_path(str(home.root / "key.pem"))
    for number, pem in enumerate(cert.cert_chain_pems):
        pem.write_to_path(str(home.root / "cert.pem"), append=number > 0)
    newcomer = Newcomer(home, programs, home.root / "ca.pem")
    yield newcomer
    newcomer.leave()


@pytest.fixture
def hub(newcomer: Newcomer) -> Iterator[str]:
    """A hub as an institution runs it: TLS, a user with a password. Yields its address."""
    root, ferryhub = newcomer.home.root, str(newcomer.programs / "ferryhub")
    state = ["--state-dir", str(root / "hub")]
    subprocess.run(
        [ferryhub, "users", "add", EMAIL, "--password-stdin", *state],
        env=newcomer.env,
        input=PASSWORD + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    tls = ["--tls-cert", str(root / "cert.pem"), "--tls-key", str(root / "key.pem")]
    log = root / "hub.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [ferryhub, "serve", "--listen", "127.0.0.1:0", "--device-interval", "1", *tls, *state],
            env=newcomer.env,
            stdout=output,
            stderr=output,
        )
    try:
        yield wait_for(lambda: _announced(log), what="the hub")
    finally:
        process.terminate()
        process.wait(60)
    assert "Traceback" not in log.read_text()


def _announced(log: Path) -> str:
    found = re.search(r"https://127\.0\.0\.1:[1-9]\d*", log.read_text())
    return found[0] if found else ""


def test_six_tasks_one_command_each(newcomer: Newcomer, hub: str) -> None:
    home = newcomer.home
    # The small file is stored long before the big one.
    for name, size in {"a.bin": MIB, "deep/b.bin": FOLDER_BYTES - MIB, "deep/empty": 0}.items():
        make_file(home.data / "run-7" / name, size)

    _sign_in(newcomer, hub)

    # Upload a folder; what is slowed down can be watched and killed.
    newcomer.type("ferry limit 1M")
    upload = newcomer.start(UPLOAD, home.root / "upload.err")
    moving = wait_for(lambda: _moving(newcomer), what="bytes to move")

    _top_shows(newcomer, moving["transfer_id"])

    # A kill of everything: the command and the daemon. `ferry watch` is all it takes.
    upload.send_signal(signal.SIGKILL)
    upload.communicate()
    assert home.kill_daemons()
    before = moving["persisted_bytes"]
    assert 0 < before < FOLDER_BYTES
    newcomer.type("ferry limit off")
    newcomer.type(WATCH)
    [ended] = [one for one in _transfers(newcomer) if one["kind"] == "upload"]
    assert ended["state"] == "succeeded"
    assert ended["transfer_id"] == moving["transfer_id"]
    assert ended["resent_bytes"] <= FOLDER_BYTES - before, "what was stored is not sent again"

    # Download.
    newcomer.type(DOWNLOAD.replace("ASSET", ended["asset_id"]))
    _same_files(home.data / "run-7", home.data / "copy")


def test_without_a_hub_one_line_less(newcomer: Newcomer) -> None:
    """The README: skip the second line."""
    home = newcomer.home
    make_file(home.data / "run-7" / "a.bin", 3 * MIB)
    asset_id = _asset_id(newcomer.type(UPLOAD))
    newcomer.type(WATCH)
    newcomer.type(DOWNLOAD.replace("ASSET", asset_id))
    _same_files(home.data / "run-7", home.data / "copy")
    newcomer.type("ferry doctor")


def _asset_id(said: str) -> str:
    found = re.findall(r"\bast_\w+", said)
    assert len(set(found)) == 1, said
    return str(found[0])


def _sign_in(newcomer: Newcomer, hub: str) -> None:
    said = newcomer.home.root / "login.err"
    login = newcomer.start(LOGIN.replace("https://hub.example.org", hub), said)
    code = wait_for(lambda: _after("Enter", said.read_text()), what="a code")
    if chromium.PROGRAM:
        address = f"{_after('Open', said.read_text())}?user_code={code}"
        chromium.approve(address, EMAIL, PASSWORD, trusted=chromium.pin(newcomer.home.root / "cert.pem"))
    else:
        signin.approve(hub, code, EMAIL, PASSWORD, verify=ssl.create_default_context(cafile=str(newcomer.ca)))
    out, _ = login.communicate(timeout=60)
    assert login.returncode == 0, said.read_text()
    assert EMAIL in out
    assert json.loads(newcomer.type("ferry whoami --json"))["data"]["hub"] == hub


def _after(word: str, said: str) -> str:
    found = re.search(rf"^{word}\s+(\S+)", said, re.MULTILINE)
    return found[1] if found else ""


def _transfers(newcomer: Newcomer) -> list[dict[str, Any]]:
    return [json.loads(line)["data"] for line in newcomer.type("ferry ls --json").splitlines()]


def _moving(newcomer: Newcomer) -> dict[str, Any]:
    """The upload, once some of it is stored."""
    return next((one for one in _transfers(newcomer) if one["persisted_bytes"]), {})


def _top_shows(newcomer: Newcomer, transfer_id: str) -> None:
    """On a real terminal, until the transfer is on the screen; then q."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        shlex.split(TOP), env={**newcomer.env, "COLUMNS": "120", "LINES": "30"}, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    seen = b""
    deadline = time.monotonic() + 60
    try:
        while b"run-7" not in seen and transfer_id.encode() not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([master], [], [], 1.0)[0]:
                seen += os.read(master, 65536)
        os.write(master, b"q")
        with contextlib.suppress(OSError):  # EIO: it has left the terminal
            while os.read(master, 65536):
                pass
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
    newcomer.typed.append(TOP)


def _same_files(source: Path, copy: Path) -> None:
    assert copy.is_dir(), list(copy.parent.rglob("*"))
    ours = {path.relative_to(source): path.read_bytes() for path in source.rglob("*") if path.is_file()}
    theirs = {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert ours == theirs
