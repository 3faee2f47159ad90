"""The commands and the code of the how-to pages run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from tests.architecture.sources import ROOT
from tests.support.home import Home
from tests.support.signin import approve
from tests.support.tls import Certificate
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def _blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def _sh(script: str, home: Home) -> str:
    done = subprocess.run(
        ["sh", "-euc", script], cwd=home.data, env=home.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_way_to_a_hub_of_your_own(home: Home) -> None:
    """An account, a hub with TLS, a sign-in; the authority is one that this machine does not know."""
    _, accounts, serve, sign_in, trust = _blocks("docs/howto/remote-hub.md", "sh")
    certificate = Certificate(home.data)
    add, passwd = accounts.splitlines()
    _sh(add, home)
    _answer(passwd, home, password := "a long enough passphrase")
    command = ["sh", "-euc", f"exec {serve.replace('8720', '0')}"]
    with subprocess.Popen(
        command, cwd=home.data, env=home.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as hub:
        assert hub.stdout is not None
        said = re.fullmatch(r"ferryhub listening on https://0\.0\.0\.0:(\d+)\n", hub.stdout.readline())
        assert said
        address = f"https://127.0.0.1:{said[1]}"
        login, whoami = sign_in.replace("https://hub.example.org:8720", address).splitlines()
        refused = subprocess.run(
            ["sh", "-euc", login], env=home.env, capture_output=True, text=True, check=False, timeout=60
        )
        assert "SSL_CERT_FILE" in refused.stderr, "the next step is named"
        _sh(trust.replace("/path/to/authority.pem", str(certificate.authority)), home)
        shown = home.data / "shown"
        with shown.open("w") as stderr, subprocess.Popen(["sh", "-euc", f"exec {login}"], env=home.env, stderr=stderr):
            code = wait_for(lambda: re.search(r"Enter +(\S+)", shown.read_text()), what="a code")
            approve(address, code[1], "ada@example.org", password, verify=certificate.trust)
        found = _sh(whoami, home)
        hub.terminate()
        assert hub.wait(30) == 0
    assert "ada@example.org" in found
    assert address in found


def _answer(line: str, home: Home, password: str) -> None:
    """Run a line in a terminal and answer its two questions for a password."""
    child = pexpect.spawn("sh", ["-euc", line], env=home.env, cwd=home.data, timeout=60)
    for question in ("New password: ", "Once more: "):
        child.expect_exact(question)
        child.sendline(password)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_the_code_of_the_configuration_page_runs(home: Home) -> None:
    limits, stop = _blocks("docs/configuration.md", "python")
    for code in (limits, stop):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=home.data, env=home.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert not Path(home.socket).exists() or home.stop_daemons() == []
