"""Makes `.venv` in the checkout: `python .ci/venv.py EXTRA` installs `ferryman[EXTRA]` there, editable.

Only the standard library. A stamp says what was installed from which pyproject.toml, so a second run only compares.
Safe to interrupt, to run twice at once, and after the checkout was moved: what does not fit is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed.json"
#: There while packages are being installed: whoever finds it knows that the last run was interrupted.
UNFINISHED = VENV / "unfinished"
TOOLS = ROOT / ".tools"
#: An extra that holds everything another one asks for.
INCLUDES = {"daemon": ("daemon", "dev"), "dev": ("dev",)}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two commands at once must not install into the same folder; the second waits."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "venv.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def wanted() -> str:
    """What the packages must fit: the dependencies and where the checkout is."""
    return hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + b"\0" + os.fsencode(ROOT)).hexdigest()


def stamp() -> dict[str, str]:
    """Extra to the `wanted()` it was installed for. Empty when nothing usable is there."""
    try:
        read = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def usable() -> bool:
    """Whether `.venv` was made here, was not left half-way, and starts (not after its Python was upgraded away)."""
    try:
        made_by = re.search(r"^command = (.*)$", (VENV / "pyvenv.cfg").read_text(), re.MULTILINE)
    except OSError:
        return False
    if UNFINISHED.exists() or not made_by or not made_by[1].endswith(f" {VENV}"):
        return False
    try:
        return subprocess.run([PYTHON, "-c", "import pip"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def make() -> None:
    """Make an empty `.venv` with pip, whatever was there before."""
    if VENV.is_symlink():
        VENV.unlink()  # somebody else's: making ours must not empty it
    arguments = ["--clear", str(VENV)]
    if subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True, check=False).returncode:
        arguments.insert(0, "--without-pip")  # Debian keeps ensurepip in a package of its own
    run([sys.executable, "-m", "venv", *arguments], "make .venv (on Debian or Ubuntu: apt install python3-venv)")
    if arguments[0] == "--without-pip":
        bootstrap_pip()


def bootstrap_pip() -> None:
    """Fetch pip's wheel from the package index, check its SHA-256 and let it install itself."""
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"
    with urllib.request.urlopen(index, timeout=60) as page:
        links = re.findall(
            r'href="([^"]*/(pip-([\d.]+)-py3-none-any\.whl)#sha256=([0-9a-f]{64}))"', page.read().decode()
        )
    link, name, _, sha256 = max(links, key=lambda found: [int(number) for number in found[2].split(".")])
    with urllib.request.urlopen(urllib.parse.urljoin(index, link), timeout=60) as answer:
        wheel = answer.read()
    if hashlib.sha256(wheel).hexdigest() != sha256:
        raise SystemExit(f"the package index sent a damaged {name}; run this again")
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / name).write_bytes(wheel)
        run([str(PYTHON), f"{scratch}/{name}/pip", "install", "-q", f"{scratch}/{name}"], "install pip")


def install(extra: str) -> None:
    """Install the checkout, editable, with one extra."""
    say("setting up (first run only, about a minute) …")
    if not usable():
        make()
    UNFINISHED.touch()
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    run([*pip, "--prefer-binary", "--editable", f"{ROOT}[{extra}]"], "install the packages from PyPI")
    known = {name: key for name, key in stamp().items() if key == wanted()}
    scratch = STAMP.with_suffix(".new")
    scratch.write_text(json.dumps({**known, extra: wanted()}))
    scratch.replace(STAMP)
    UNFINISHED.unlink()


def run(command: list[str], what: str) -> None:
    """Run quietly; show what it said only when it failed."""
    env = {name: value for name, value in os.environ.items() if name not in ("PIP_USER", "PIP_TARGET", "PIP_PREFIX")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        say(done.stdout + done.stderr)
        raise SystemExit(f"could not {what}; the lines above say why")


def main(extra: str) -> int:
    with one_at_a_time():
        have = stamp()
        if not usable() or not any(have.get(name) == wanted() for name in INCLUDES[extra]):
            install(extra)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except KeyboardInterrupt:
        say("interrupted; run it again, it starts where it must")
        sys.exit(130)
