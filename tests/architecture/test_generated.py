"""Generated code is what the protos give, and the protos keep the rules of buf."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

BUF = Path(sys.executable).with_name("buf")
BUF_CONFIG = """\
version: v2
modules:
  - path: proto
  - path: third_party
    lint:
      ignore: [third_party]
lint:
  use: [STANDARD, COMMENTS]
  except:
    # AIP-131, 133 and 216: Get, Create and state methods return the resource itself.
    - RPC_REQUEST_RESPONSE_UNIQUE
    - RPC_RESPONSE_STANDARD_NAME
    # AIP-216: values of a nested State enum carry no prefix.
    - ENUM_VALUE_PREFIX
  rpc_allow_google_protobuf_empty_responses: true
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Our protos and the googleapis ones that they import, as buf wants them."""
    ours = shutil.ignore_patterns("*.py", "*.pyi", "__pycache__", "ferrywire")
    shutil.copytree(ROOT / "proto", tmp_path / "proto", ignore=ours)
    for file in metadata.files("googleapis-common-protos") or []:
        if file.suffix == ".proto" and file.parent.as_posix() in ("google/api", "google/rpc"):
            target = tmp_path / "third_party" / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), target)
    (tmp_path / "buf.yaml").write_text(BUF_CONFIG)
    return tmp_path


def _buf_lint(workspace: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BUF, "lint"], cwd=workspace, capture_output=True, text=True, check=False)


def test_the_protos_pass_buf_lint(workspace: Path) -> None:
    done = _buf_lint(workspace)
    assert done.returncode == 0, done.stdout + done.stderr


def test_buf_lint_catches_a_planted_violation(workspace: Path) -> None:
    service = workspace / "proto/ferryapi/daemon/v1/daemon_service.proto"
    service.write_text(service.read_text() + "\nmessage undocumented { int32 someField = 1; }\n")
    done = _buf_lint(workspace)
    assert done.returncode != 0
    assert "undocumented" in done.stdout


def test_generated_code_is_current() -> None:
    command = [sys.executable, str(ROOT / "proto" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_drift_is_noticed(tmp_path: Path) -> None:
    copy = shutil.copytree(ROOT / "proto", tmp_path / "proto", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".tools").symlink_to(ROOT / ".tools")
    spoiled = copy / "ferryapi/daemon/v1/daemon_service.proto"
    spoiled.write_text(spoiled.read_text().replace("string version = 1;", "string version_text = 1;"))
    command = [sys.executable, str(copy / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "daemon_service_pb2.py" in done.stdout
