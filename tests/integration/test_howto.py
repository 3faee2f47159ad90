"""The commands and the code of the how-to pages run as they stand there."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT
from tests.support.home import Home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def _blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _sh(script: str, home: Home) -> str:
    done = subprocess.run(
        ["sh", "-euc", script], cwd=home.data, env=home.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_way_to_a_hub_of_your_own(home: Home) -> None:
    port = _free_port()
    create, serve, use = (block.replace("8720", str(port)) for block in _blocks("docs/howto/remote-hub.md", "sh"))
    token = _sh(create, home).strip()
    assert token.startswith("fat_")
    command = ["sh", "-euc", f"exec {serve}"]
    with subprocess.Popen(command, env=home.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as hub:
        assert hub.stdout is not None
        assert hub.stdout.readline() == f"ferryhub listening on http://127.0.0.1:{port}\n"
        said = _sh(use.replace("fat_…", token), home)
        hub.terminate()
        assert hub.wait(30) == 0
    assert "ada@example.org" in said
    assert f"hub='http://127.0.0.1:{port}'" in said


def test_the_code_of_the_configuration_page_runs(home: Home) -> None:
    limits, stop = _blocks("docs/configuration.md", "python")
    for code in (limits, stop):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=home.data, env=home.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert not Path(home.socket).exists() or home.stop_daemons() == []
