"""What `./check` runs and how it ends: all stages, the failed ones named, pytest's closing line over both runs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.architecture.sources import ROOT


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ferry_check", ROOT / ".ci" / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _report(path: Path, **counts: int) -> None:
    attributes = " ".join(f'{key}="{count}"' for key, count in counts.items())
    path.write_text(f'<?xml version="1.0"?><testsuites><testsuite name="pytest" {attributes}/></testsuites>')


def test_the_closing_line_adds_up_both_runs(check: ModuleType, tmp_path: Path) -> None:
    _report(tmp_path / "parallel.xml", tests=10, failures=1, errors=0, skipped=2)
    _report(tmp_path / "serial.xml", tests=3, failures=0, errors=1, skipped=0)
    assert check.closing_line(tmp_path, 12.3456) == "===== 1 failed, 9 passed, 2 skipped, 1 error in 12.35s ====="


def test_no_report_is_not_a_success(check: ModuleType, tmp_path: Path) -> None:
    assert check.closing_line(tmp_path, 1) == "===== no tests ran in 1.00s ====="


def test_fast_leaves_out_what_is_slow_and_nothing_else(check: ModuleType, tmp_path: Path) -> None:
    whole, fast = check.stages(False, tmp_path), check.stages(True, tmp_path)
    assert [stage.name for stage in whole] == [stage.name for stage in fast]
    marks = [stage.command[stage.command.index("-m", 3) + 1] for stage in fast if "pytest" in stage.command]
    assert marks == ["not serial and not slow", "serial and not slow"]


def test_every_stage_runs_and_a_failed_one_fails_the_whole(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = {"first": "raise SystemExit(3)", "second": "pass"}
    planned = [check.Stage(name, [sys.executable, "-c", code]) for name, code in commands.items()]
    monkeypatch.setattr(check, "stages", lambda fast, reports: planned)
    assert check.main([]) == 1
    said = capsys.readouterr().out
    assert "── second\n   ok" in said
    assert "failed: first\n" in said


def test_a_wrong_argument_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "check.py", "slow"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "usage: ./check [fast]\n")
