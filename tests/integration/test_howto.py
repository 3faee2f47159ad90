"""The commands and the code of the how-to pages run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.architecture.sources import ROOT
from tests.support.files import make_file
from tests.support.home import Home
from tests.support.hubs import HubServer
from tests.support.signin import approve
from tests.support.terminal import Spawned
from tests.support.tls import Certificate
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


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
            ["sh", "-euc", login], env=home.env, capture_output=True, text=True, check=False, timeout=100
        )
        assert "SSL_CERT_FILE" in refused.stderr, "the next step is named"
        _sh(trust.replace("/path/to/authority.pem", str(certificate.authority)), home)
        shown = home.data / "shown"
        with shown.open("w") as stderr, subprocess.Popen(["sh", "-euc", f"exec {login}"], env=home.env, stderr=stderr):
            code = wait_for(lambda: re.search(r"Enter +(\S+)", shown.read_text()), what="a code")
            approve(address, code[1], "ada@example.org", password, verify=certificate.trust)
        found = _sh(whoami, home)
        hub.terminate()
        assert hub.wait(60) == 0
    assert "ada@example.org" in found
    assert address in found


def _answer(line: str, home: Home, password: str) -> None:
    """Run a line in a terminal and answer its two questions for a password."""
    child = Spawned("sh", ["-euc", line], env=home.env, cwd=home.data, timeout=60)
    for question in ("New password: ", "Once more: "):
        child.expect_exact(question)
        child.sendline(password)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_the_code_of_the_configuration_page_runs(home: Home) -> None:
    (limits,) = _blocks("docs/configuration.md", "python")
    done = subprocess.run(
        [sys.executable, "-c", limits], cwd=home.data, env=home.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Stopped the daemon" in _sh(
        next(one for one in _blocks("docs/configuration.md", "sh") if "daemon" in one), home
    )
    assert not Path(home.socket).exists() or home.stop_daemons() == []


@pytest.fixture
def two_hubs(home: Home, hub_server: HubServer) -> Iterator[dict[str, str]]:
    """The pages' addresses and where they are here; `token.txt` is Ada's at the first."""
    second = HubServer(home.root / "second" / "hub")
    second.state_dir.parent.mkdir()
    try:
        second.start()
        (home.data / "token.txt").write_text(hub_server.token("ada@example.org"))
        (home.data / "token-2.txt").write_text(second.token("ada@example.org"))
        yield {"https://hub.example.org": hub_server.url, "https://data.facility.example": second.url}
    finally:
        second.kill()


def _script(page: str, addresses: dict[str, str], *, leave_out: tuple[str, ...] = ()) -> str:
    """All the lines of a page, as somebody without a browser types them, in one shell."""
    lines = [line for block in _blocks(page, "sh") for line in block.splitlines()]
    text = "\n".join(line for line in lines if not line.startswith(leave_out or "\0"))
    for number, (shown, here) in enumerate(addresses.items()):
        token = "token-2.txt" if number else "token.txt"
        text = re.sub(rf"(ferry login {shown}[^<\n]*)$", rf"\1 --with-token < {token}", text, flags=re.MULTILINE)
        text = text.replace(shown, here)
    return text.replace(" --device", "")


def test_the_page_of_several_hubs(home: Home, two_hubs: dict[str, str]) -> None:
    make_file(home.data / "run-7" / "a", 1000)
    said = _sh(_script("docs/howto/several-hubs.md", two_hubs), home)
    assert all(address in said for address in two_hubs.values())


def test_the_page_of_the_cluster(home: Home, two_hubs: dict[str, str]) -> None:
    make_file(home.data / "results" / "a", 1000)
    script = _script("docs/howto/cluster.md", two_hubs).replace("/scratch/$USER", str(home.root / "scratch"))
    home.extra_env |= {"SLURM_JOB_ID": "7", "USER": "ada", "FERRYMAN_PROJECT": ""}
    said = _sh(script.replace("/tmp/ferryman-$USER", str(home.root / "run-2")), home)
    assert re.search(r"bandwidth +200(\.0)? MiB/s\ntransfers +2 at once", said)


def test_the_page_of_ci(home: Home, hub_server: HubServer) -> None:
    make_file(home.data / "dist" / "a", 1000)
    make, use = _blocks("docs/howto/ci.md", "sh")
    token = _sh(re.sub("^(.+)$", rf"\1 --state-dir {hub_server.state_dir}", make, flags=re.MULTILINE), home).split()[-1]
    [job] = _blocks("docs/howto/ci.md", "yaml")
    [upload] = re.findall(r"run: (ferry .*)", job)
    home.extra_env |= {"FERRYMAN_HUB": hub_server.url, "FERRYMAN_TOKEN": token, "GITHUB_RUN_NUMBER": "7"}
    first, second = (_sh(upload, home) for _ in range(2))
    asset = re.compile(r"asset +(ast_\w+)")
    assert asset.findall(first) == asset.findall(second) != [], "the next job's is a version of the same"
    jq = f"{sys.executable} -c 'import sys; print(sys.stdin.read())'"
    said = _sh(re.sub(r"jq -r '[^']*'", lambda _: jq, use), home)
    assert '"event":"uploaded"' in said.replace(" ", "")
    assert token not in said


def test_the_page_of_the_first_upload(home: Home) -> None:
    make_file(home.data / "run-7" / "a", 1000)
    for name in ("raw.h5", "clean.h5", "data.csv"):
        make_file(home.data / name, 100)
    page = "docs/howto/first-upload.md"
    script = _script(page, {}, leave_out=("pip ", "ferry login ", "ferry top", "ferry download "))
    said = _sh(script, home)
    [asset_id] = re.findall(r"asset +(ast_\w+)", said)[:1]
    [download] = [line for block in _blocks(page, "sh") for line in block.splitlines() if "ferry download" in line]
    _sh(download.replace("ASSET", asset_id), home)
    assert (home.data / "copy" / "a").stat().st_size == 1000
