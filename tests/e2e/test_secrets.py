"""No secret is found outside the token file: not after work, renewals, errors, bugs, revocation and signing out.

The canaries are the tokens themselves, all of them, taken from the wire between daemon and hub.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ferryman import Client, DaemonError, Transfer
from tests.support.accounts import EMAIL, PASSWORD, SHORT_TTL_S, SHORT_URL_TTL_S, account_hub, secrets, token_file
from tests.support.canary import Canaries
from tests.support.cli import COMMAND
from tests.support.files import MIB, make_file
from tests.support.home import Home
from tests.support.hubs import HubServer
from tests.support.proxy import Proxy
from tests.support.signin import approve
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SIZE = 64 * MIB
NO_ASSET = "ast_00000000000000000000000000"
#: A client whose error nobody catches.
CLUMSY = f"from ferryman import Client; Client().assets.get('{NO_ASSET}')"
#: Given to the daemon alone: while the file FLAG exists, whatever the hub answers meets a bug, in the midst of frames
#: that hold tokens.
BUG = """
import os, sys
if any(os.path.basename(word) == "ferryd" for word in sys.orig_argv):
    from ferryd.auth import oauth
    from ferryd.remote import http

    def broken(module, name):
        kept = getattr(module, name)
        def act(*arguments):
            if os.path.exists(FLAG):
                raise RuntimeError("a bug of the test")
            return kept(*arguments)
        setattr(module, name, act)

    broken(http, "message_of")
    broken(oauth, "_object")
"""


@pytest.fixture
def hub() -> Iterator[HubServer]:
    # A long grace, since on a busy machine the bug below lasts for more than half a minute.
    lifetimes = ("--access-ttl", str(SHORT_TTL_S), "--url-ttl", str(SHORT_URL_TTL_S), "--refresh-grace", "600")
    with account_hub(*lifetimes) as server:
        yield server


@pytest.fixture
def canaries(hub: HubServer, home: Home) -> Iterator[Canaries]:
    with Proxy("127.0.0.1", hub.port) as proxy, Canaries(proxy, home.root, PASSWORD) as canaries:
        yield canaries


@pytest.fixture
def flag(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that makes the daemon's code fail while it exists."""
    flag, site = home.root / "flag", home.root / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(BUG.replace("FLAG", repr(str(flag))))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")])))
    home.traceback_expected = True
    return flag


class Said(list[str]):
    """Everything that anybody was told."""

    def ferry(self, *words: str, stdin: str = "", code: int | None = 0) -> str:
        """Run `ferry`; what it prints counts as told."""
        done = subprocess.run([*COMMAND, *words], input=stdin, capture_output=True, text=True, timeout=100, check=False)
        self += [done.stdout, done.stderr]
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def error(self, call: Callable[[], object]) -> DaemonError:
        """The error of a call, with its traceback."""
        with pytest.raises(DaemonError) as raised:
            call()
        shown = "".join(traceback.format_exception(raised.value))
        self += [repr(raised.value), str(raised.value), f"{raised.value.metadata}", shown]
        return raised.value


def sign_in(said: Said, hub_url: str, home: Home) -> None:
    """`ferry login --device`, approved over the same wire."""
    shown = home.root / "login.out"
    words = [*COMMAND, "--json", "login", "--device", "--name", "lab", hub_url]
    with shown.open("w") as out, subprocess.Popen(words, stdout=out, stderr=subprocess.PIPE, text=True) as process:
        event = wait_for(lambda: shown.read_text().partition("\n")[0], what="a code")
        approve(hub_url, json.loads(event)["data"]["user_code"], EMAIL, PASSWORD)
        _, err = process.communicate(timeout=60)
    said += [shown.read_text(), err]
    assert process.returncode == 0, err


def renew(client: Client, home: Home) -> None:
    spent = secrets(home)

    def use() -> bool:
        client.auth.status()
        return not secrets(home) & spent

    wait_for(use, what="a renewal")


def work(client: Client, said: Said, home: Home) -> list[Transfer[Any]]:
    """Move things both ways; returns two transfers that take their time."""
    project = client.create_project("P").project_id
    big, small = make_file(home.data / "big", SIZE), make_file(home.data / "small", MIB)

    def upload(path: Path) -> Transfer[Any]:
        return client.transfers.upload(path, title=path.name, owner_type="project", owner_id=project, chunk_size_mb=1)

    asset_id = upload(big).wait(timeout_s=120).asset_id
    said.ferry("--json", "upload", str(small), "--project", project)
    said.ferry("--json", "download", asset_id, str(home.root / "dl"))
    client.transfers.set_limits(bandwidth_bps=MIB, parts_in_flight=2)
    moving = [upload(big), client.transfers.download(asset_id, home.root / "dl2")]
    for transfer in moving:
        wait_for(partial(begun, transfer), timeout_s=120, what="a part")
    return moving


def begun(transfer: Transfer[Any]) -> bool:
    return transfer.info().persisted_bytes > 0


def meet_errors(client: Client, said: Said, home: Home, proxy: Proxy) -> None:
    """What is not there, and a hub that cannot be reached."""

    def ask() -> object:
        return client.assets.get(NO_ASSET)

    assert said.error(ask).code == "not_found"
    # Not in the midst of a renewal: of a pair whose reply is cut off nobody could know.
    renew(client, home)
    proxy.refusing = True
    proxy.cut()
    assert said.error(ask).reason == "HUB_UNREACHABLE"
    look(client, said)
    proxy.refusing = False
    for words in (["--debug"], ["--json"], []):
        said.ferry(*words, "asset", "get", NO_ASSET, code=None)
    clumsy = subprocess.run([sys.executable, "-c", CLUMSY], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" in clumsy.stderr
    said += [clumsy.stdout, clumsy.stderr]


def meet_bugs(client: Client, said: Said, home: Home, flag: Path, moving: list[Transfer[Any]]) -> None:
    """In calls, in transfers, and in a renewal."""

    def ask() -> object:
        return client.assets.get(NO_ASSET)

    flag.touch()
    assert said.error(ask).reason == "INTERNAL"
    wait_for(lambda: said.error(ask) and "renewal failed" in home.log_text(), what="a renewal that fails")
    for transfer in moving:
        wait_for(partial(fails, transfer), timeout_s=120, what="it to meet the bug")
    look(client, said)
    flag.unlink()
    for transfer in moving:
        transfer.resume()


def holders(canaries: Canaries, home: Home) -> list[Path]:
    """What holds a secret in this home; not the file that is just about to take the place of the tokens'."""
    found = canaries.holders(home.root)
    return [path for path in found if path != token_file(home).with_name(f"{token_file(home).name}.new")]


def look(client: Client, said: Said) -> None:
    """All that shows how things stand."""
    for words in (["ls"], ["--json", "ls"], ["--json", "whoami"], ["--json", "doctor"], ["--json", "hub", "list"]):
        said.ferry(*words, code=None)
    said += [repr(client.contexts.list()), repr(client.daemon.info()), repr(list(client.transfers.list()))]


def fails(transfer: Transfer[Any]) -> bool:
    error = transfer.info().error
    return transfer.info().state == "failed" and error is not None and error.reason == "INTERNAL"


def waits_for_sign_in(transfer: Transfer[Any]) -> bool:
    return transfer.info().waiting_for == "auth"


def test_tokens_are_found_nowhere_else(hub: HubServer, home: Home, canaries: Canaries, flag: Path) -> None:
    (home.config_dir / "config.toml").write_text('log_level = "debug"\n')
    said = Said()
    sign_in(said, canaries.proxy.url, home)
    with Client() as client:
        moving = work(client, said, home)
        for _ in range(2):
            renew(client, home)
        meet_errors(client, said, home, canaries.proxy)
        meet_bugs(client, said, home, flag, moving)
        renew(client, home)
        look(client, said)
        assert stat.S_IMODE(os.stat(token_file(home)).st_mode) == 0o600
        assert {secret.encode() for secret in secrets(home)} <= canaries.secrets
        assert holders(canaries, home) == [token_file(home)]

        hub.command("users", "disable", EMAIL)
        for transfer in moving:
            wait_for(partial(waits_for_sign_in, transfer), timeout_s=120, what="it to wait for a sign-in")
            said.append(f"{transfer.info()!r} {transfer.info().error}")
        said.error(client.auth.status)
        look(client, said)
        assert canaries.holders(home.root) == [], "what is worth nothing is not kept"

        hub.command("users", "enable", EMAIL)
        said.ferry("login", canaries.proxy.url, "--with-token", stdin="fat_" + "x" * 43, code=None)
        said.ferry("login", canaries.proxy.url, "--with-token", stdin=hub.token(EMAIL))
        assert holders(canaries, home) == [token_file(home)]
        client.transfers.set_limits(bandwidth_bps=0)
        for transfer in moving:
            said.append(f"{transfer.wait(timeout_s=120)!r}")
        sign_in(said, canaries.proxy.url, home)
        said.ferry("--json", "logout", "lab")
    assert len(canaries.tokens("fat_")) >= 5
    assert len(canaries.tokens("frt_")) >= 3
    assert canaries.unknown(hub.state_dir / "catalogue.db") == 0
    assert canaries.holders(home.root) == [], "signed out"
    home.stop_daemons()
    assert "a bug of the test" in home.log_text()
    assert canaries.holders(home.root, hub.state_dir, hub.log) == []
    assert canaries.within(said) == []
    assert any("ferryd" in told for told in canaries.told)
    assert any("ferryhub" in told for told in canaries.told)
    assert canaries.within(canaries.told) == []
