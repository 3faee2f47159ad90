"""`./quickstart` and the benchmarks run as a person would run them, in this checkout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from tests.architecture.sources import ROOT
from tests.support.files import MIB, make_file, make_sparse
from tests.support.waiting import wait_for

# They share the checkout's .quickstart and .venv.
pytestmark = [pytest.mark.slow, pytest.mark.serial, pytest.mark.timeout(300)]


def _run(*command: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    known = {**os.environ, **(env or {})}
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, env=known)


def test_quickstart_moves_a_directory(tmp_path: Path) -> None:
    """With names that need quoting, an empty file and one of several MiB."""
    make_file(tmp_path / "a set" / "deep" / "ä.bin", 5 * MIB + 1)
    make_file(tmp_path / "a set" / "empty", 0)
    done = _run(ROOT / "quickstart", tmp_path / "a set")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "compared  2 files, every byte equal" in done.stdout
    assert "All bytes came back equal" in done.stdout
    assert "100.0 %" in done.stderr
    assert (ROOT / ".quickstart/downloads/1").is_dir()


def test_quickstart_names_a_wrong_path(tmp_path: Path) -> None:
    done = _run(ROOT / "quickstart", tmp_path / "nothing")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"quickstart: there is no file or directory {tmp_path / 'nothing'}"
    assert "Traceback" not in done.stderr


def test_quickstart_says_that_a_name_cannot_be_sent(tmp_path: Path) -> None:
    """A name of bytes that are no text: the daemon's own error, not a traceback of ours."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/lat\xe9in")).write_text("x")
    done = _run(ROOT / "quickstart", tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "lat" in done.stderr
    assert "Traceback" not in done.stderr


def test_quickstart_starts_afresh_after_one_that_was_killed(tmp_path: Path) -> None:
    """Its daemon lives on, with work to do; the next run waits until that has ended. Two at once are refused."""
    big, small = make_sparse(tmp_path / "big", 2 << 30), make_file(tmp_path / "small", MIB)
    with subprocess.Popen([ROOT / "quickstart", big], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        while "signed in as" not in run.stdout.readline():
            assert run.poll() is None
        second = _run(ROOT / "quickstart", small)
        run.kill()
    assert second.returncode == 2, second.stdout
    assert "another ./quickstart runs in this folder" in second.stderr
    done = _run(ROOT / "quickstart", small)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All bytes came back equal" in done.stdout


def test_quickstart_ends_cleanly_when_interrupted(tmp_path: Path) -> None:
    """Ctrl-C in the middle: one sentence, status 130, and the daemon it started is gone."""
    big = make_sparse(tmp_path / "big", 2 << 30)
    command = [ROOT / "quickstart", big]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        while "signed in as" not in run.stdout.readline():
            assert run.poll() is None
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert "interrupted; nothing keeps running" in said
    assert "Traceback" not in said
    state = str(ROOT / ".quickstart" / "state")
    wait_for(lambda: not [p for p in psutil.process_iter() if _lives_in(p, state)], what="the daemon to end")


def _lives_in(process: psutil.Process, state_dir: str) -> bool:
    try:
        return process.environ().get("FERRYMAN_STATE_DIR") == state_dir
    except psutil.Error:
        return False


def test_a_benchmark_prints_its_figures(tmp_path: Path) -> None:
    """Whether a bar is met depends on the machine, so only what is printed is looked at."""
    done = _run(
        sys.executable, ROOT / "bench" / "forwarding.py", "20", "1,2", "0.1", env={"BENCH_RESULTS": str(tmp_path)}
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert "get_metadata, remote hub, over bare" in done.stdout, done.stdout + done.stderr
    page = json.loads((tmp_path / "forwarding.json").read_text())
    assert all(figure["value"] > 0 for figure in page["figures"])


def test_the_benchmark_of_a_hub_s_own_store_prints_its_figures(tmp_path: Path) -> None:
    done = _run(sys.executable, ROOT / "bench" / "receiving.py", "8", "1", env={"BENCH_RESULTS": str(tmp_path)})
    assert done.returncode in (0, 1), done.stdout + done.stderr
    page = json.loads((tmp_path / "receiving.json").read_text())
    bars = [figure["name"] for figure in page["figures"] if figure["bar"]]
    assert bars == ["parts in, server CPU over the floor", "ranges out, server CPU over the floor"]
    assert all(figure["value"] > 0 for figure in page["figures"] if figure["unit"] == "MB/s")


def test_the_transfer_benchmark_measures_us_beside_others(tmp_path: Path) -> None:
    """Tiny loads, and of the peers those that are installed; each has to bring back what it took."""
    words = ["--size", "0.002", "--rounds", "1", "--load", "small", "--target", "s3", "embedded"]
    done = _run(sys.executable, ROOT / "bench" / "transfers.py", *words, env={"BENCH_RESULTS": str(tmp_path)})
    assert done.returncode in (0, 1), done.stdout + done.stderr
    for target in ("s3", "embedded"):
        rows = json.loads((tmp_path / f"transfers-{target}-small.json").read_text())["details"]["rows"]
        ours = [row for row in rows if row["who"] == "ferryman"]
        assert [row["direction"] for row in ours] == ["up", "down"]
        assert all(row["wall_s"] > 0 and row["cpu_s"] > 0 for row in rows)
        assert len(rows) > 2, "nobody beside us"
