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

from ferryman import unit
from ferryman.cli import systemd
from tests.architecture.sources import ROOT

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


@analyzed
@pytest.mark.parametrize("write", [_installed, _hub])
def test_systemd_finds_no_fault(tmp_path: Path, write: object) -> None:
    done = _analyze("verify", "--man=no", write(tmp_path))  # type: ignore[operator]
    said = [line for line in done.stderr.splitlines() if "ferry" in line]
    assert (done.returncode, said) == (0, []), done.stderr


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
