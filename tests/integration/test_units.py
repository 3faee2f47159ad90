"""The units that are shipped: sound to systemd, hardened, in the wheel, and not so hard that the daemon breaks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ferryman import Client, address, unit
from ferryman.cli import systemd
from tests.architecture.sources import ROOT
from tests.support.files import MIB, make_file
from tests.support.home import Home
from tests.support.waiting import wait_for

UNITS = ROOT / "systemd"
#: RELIABILITY's gate for the user's unit, in the units of `systemd-analyze security`.
MAX_EXPOSURE = 2.5

analyzed = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def _analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


def _installed(directory: Path) -> Path:
    """The user's unit as `ferry service install` writes it here."""
    path = directory / unit.NAME
    path.write_text(systemd.render([str(Path(sys.executable).parent / "ferryd")]))
    return path


def _hub(directory: Path) -> Path:
    """The hub's unit, running a program that is on this machine."""
    path = directory / "ferryhub.service"
    text = (UNITS / path.name).read_text()
    path.write_text(text.replace("/usr/local/bin/ferryhub", str(Path(sys.executable).parent / "ferryhub")))
    return path


def _one_of_several_hubs(directory: Path) -> Path:
    """The hub's unit with what `docs/howto/deploy.md` puts beside it."""
    path = _hub(directory).rename(directory / "ferryhub@8720.service")
    page = (ROOT / "docs" / "howto" / "deploy.md").read_text()
    [more] = re.findall(r"^```ini\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    beside = directory / f"{path.name}.d"
    beside.mkdir()
    program = str(Path(sys.executable).parent / "ferryhub")
    (beside / "hubs.conf").write_text(more.replace("/usr/local/bin/ferryhub", program))
    return path


@analyzed
@pytest.mark.parametrize("write", [_installed, _hub, _one_of_several_hubs])
def test_systemd_finds_no_fault(tmp_path: Path, write: object) -> None:
    done = _analyze("verify", "--man=no", write(tmp_path))  # type: ignore[operator]
    # Before Linux 6.5 nobody knew of cachestat; then the daemon does without.
    said = [line for line in done.stderr.splitlines() if "ferry" in line and not line.endswith("ignoring: cachestat")]
    assert (done.returncode, said) == (0, []), done.stderr


@analyzed
def test_a_fault_beside_a_unit_would_be_found(tmp_path: Path) -> None:
    path = _one_of_several_hubs(tmp_path)
    more = path.with_name(f"{path.name}.d") / "hubs.conf"
    more.write_text(more.read_text().replace("RestartSec=5", "RestartSec=soon"))
    assert "soon" in _analyze("verify", "--man=no", path).stderr


@analyzed
def test_a_fault_would_be_found(tmp_path: Path) -> None:
    path = _installed(tmp_path)
    path.write_text(path.read_text().replace("Restart=on-failure", "Restart=whenever\nNoSuchSetting=1"))
    done = _analyze("verify", "--man=no", path)
    assert "NoSuchSetting" in done.stderr
    assert "whenever" in done.stderr


@analyzed
@pytest.mark.parametrize("write", [_installed, _hub])
def test_exposure_is_low(tmp_path: Path, write: object) -> None:
    done = _analyze("security", "--offline=true", "--no-pager", write(tmp_path))  # type: ignore[operator]
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MAX_EXPOSURE, done.stdout


def test_downloads_reach_where_the_user_may_write() -> None:
    """A unit can be so hard that nothing can be carried: homes, /tmp and /scratch must stay what they are."""
    lines = (UNITS / unit.NAME).read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert settings["ProtectSystem"] == "full", "strict makes /scratch and /mnt read-only"
    assert {"ProtectHome", "PrivateTmp", "RootDirectory", "DynamicUser"}.isdisjoint(settings)
    assert "%h" in settings["ReadWritePaths"]
    assert settings["Type"] == "notify"
    assert int(settings["WatchdogSec"]) > 0


@analyzed
@pytest.mark.parametrize("name", ["a b", "o'brien", 'say "x"', "100%", "$HOME", "back\\slash", "ä;é"])
def test_systemd_finds_the_program_whatever_its_path(tmp_path: Path, name: str) -> None:
    program = tmp_path / name / "ferryd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    path = tmp_path / unit.NAME
    path.write_text(systemd.render([str(program)], {"FERRYMAN_STATE_DIR": str(program.parent)}))
    done = _analyze("verify", "--man=no", path)
    said = [line for line in done.stderr.splitlines() if "ferry" in line and not line.endswith("ignoring: cachestat")]
    assert (done.returncode, said) == (0, [])
    assert systemd.program(path.read_text()) == str(program)


def test_whom_to_trust_is_repeated_and_makes_no_other_daemon(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "SSL_CERT_FILE": "/etc/our authority.pem"}
    text = systemd.render(["/x"], environ)
    assert 'Environment="SSL_CERT_FILE=/etc/our authority.pem"' in text
    path = unit.unit_path(environ)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert unit.serves(environ)
    assert unit.serves({"XDG_CONFIG_HOME": str(tmp_path)})


def test_words_of_the_command_survive_systemds_quoting() -> None:
    text = systemd.render(["/opt/my tools/100%/ferryd"], {"FERRYMAN_STATE_DIR": "/data/a b"})
    assert 'ExecStart="/opt/my tools/100%%/ferryd" run' in text
    assert 'Environment="FERRYMAN_STATE_DIR=/data/a b"' in text
    assert systemd.program(text) == "/opt/my tools/100%/ferryd"
    assert systemd.program(systemd.render(["/usr/bin/python3", "-m", "ferryd"])) == "/usr/bin/python3"
    assert systemd.program("[Service]") == ""


def test_the_shipped_unit_is_what_is_installed() -> None:
    """But for the program."""
    shipped = [line for line in (UNITS / unit.NAME).read_text().splitlines() if not line.startswith("ExecStart=")]
    written = [line for line in systemd.render(["/x"], {}).splitlines() if not line.startswith("ExecStart=")]
    assert shipped == written


#: Becomes a program that may load no code it has written itself, as MemoryDenyWriteExecute= has it.
DENY_WRITE_EXECUTE = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit("this kernel has no PR_SET_MDWE")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def _calls(*names: str) -> set[str]:
    """The system calls in these sets of systemd's."""
    found = set[str]()
    for name in names:
        text = subprocess.run(
            ["systemd-analyze", "--no-pager", "syscall-filter", name], capture_output=True, text=True, check=True
        ).stdout
        words = [line.strip() for line in text.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
        found |= {word for word in words if not word.startswith("@")}
        found |= _calls(*(word for word in words if word.startswith("@")))
    return found


@pytest.mark.slow
@analyzed
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_daemon_needs_nothing_that_the_unit_denies(home: Home) -> None:
    """Memory that is written and executed, and system calls; a whole upload and download under strace."""
    trace = home.root / "trace"
    with home.log.open("ab") as log:
        command = ["strace", "-f", "-qq", "-o", trace, sys.executable, "-c", DENY_WRITE_EXECUTE, "-m", "ferryd", "run"]
        process = subprocess.Popen(command, env=home.env, stdout=log, stderr=log, cwd="/")
    try:
        wait_for(lambda: address.answers(home.socket) or process.poll() is not None, what="the daemon")
        if b"PR_SET_MDWE" in home.log.read_bytes():
            pytest.skip("this kernel has no PR_SET_MDWE")
        with Client(auto_start=False) as client:
            project = client.create_project("Hard").project_id
            made = make_file(home.data / "a", 3 * MIB)
            asset = client.upload(made, title="A", owner_type="project", owner_id=project)
            [got] = client.download(asset.asset_id, home.data / "back").files
            assert Path(got.local_path).read_bytes() == made.read_bytes()
            client.daemon.shutdown()
        assert process.wait(60) == 0
    finally:
        home.stop_daemons()
        process.wait(60)
    used = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(errors="replace"), re.MULTILINE))
    assert {"execve", "fdatasync"} <= used
    allowed = _calls("@system-service", "@default") - _calls("@privileged", "@resources", "@obsolete")
    tolerated = {"fchown"} if os.getuid() == 0 else set()  # SQLite as root tries it, and goes on without
    assert used - allowed - tolerated == set()


@pytest.mark.slow
def test_the_units_are_in_the_wheel_and_found_there(tmp_path: Path) -> None:
    build = f"import hatchling.build as b; print(b.build_wheel({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", build], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wheel = tmp_path / done.stdout.split()[-1]
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
        names = archive.namelist()
    assert {"ferryman/systemd/ferryd.service", "ferryman/systemd/ferryhub.service"} <= set(names)
    show = "import ferryman, json, ferryman.cli.systemd as s; print(json.dumps([ferryman.__file__, s.template()]))"
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    done = subprocess.run([sys.executable, "-c", show], cwd="/", env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    imported, text = json.loads(done.stdout)
    assert imported.startswith(str(tmp_path))
    assert text == (UNITS / unit.NAME).read_text()
