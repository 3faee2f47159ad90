"""`ferryhub users`, as an operator uses it; and that what it does counts for who calls the hub."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import httpx
import pexpect
import pytest
from sqlalchemy import URL

from tests.integration.hub_auth.conftest import identity
from tests.support.hubs import HubServer
from tests.support.signin import Browser
from tests.support.terminal import Spawned
from tests.unit.hub.conftest import database_url as database_url

pytestmark = pytest.mark.slow

PASSWORD = "a long enough password"


@pytest.fixture
def users(tmp_path: Path, database_url: URL) -> HubServer:
    """A hub that is not started."""
    return HubServer(tmp_path / "hub", database=None if "sqlite" in str(database_url) else database_url)


def failing(users: HubServer, *words: str, stdin: str = "") -> str:
    done = users.run(*words, stdin=stdin)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"ferryhub: .+\n", done.stderr), done.stderr
    return done.stderr


def test_people_bots_and_groups(users: HubServer) -> None:
    ann = users.command("users", "add", "Ann@x.org", "--display-name", "Ann Lee").strip()
    bot = users.command("users", "add", "ci-bot", "--bot").strip()
    group = users.command("users", "group", "add", "lab", "ann@x.org", "ci-bot").strip()
    assert (ann[:4], bot[:4], group[:4]) == ("usr_", "bot_", "grp_")
    users.command("users", "disable", "ci-bot")
    lines = users.command("users", "list").splitlines()
    assert re.fullmatch(rf"{bot}  bot  ci-bot  made [\d-]+  disabled", lines[0])
    assert re.fullmatch(rf"{group}  group  lab  made [\d-]+", lines[1])
    assert re.fullmatch(rf"{ann}  user  ann@x\.org  made [\d-]+  Ann Lee  no password", lines[2])
    assert users.command("users", "group", "list", "lab") == f"{ann}  ann@x.org\n{bot}  ci-bot  disabled\n"
    users.command("users", "group", "remove", "lab", bot)
    users.command("users", "enable", "ci-bot")
    assert users.command("users", "group", "list", "lab") == f"{ann}  ann@x.org\n"
    assert re.fullmatch(r"fat_[\w-]{43}\n", users.command("users", "token", "ci-bot", "--scope", "read"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("words", "stdin", "says"),
    [
        (("add", "nonsense"), "", "is not an e-mail address"),
        (("add", "a@x.org", "--password-stdin"), "short\n", "10 to 1000 characters"),
        (("add", "a@x.org", "--password-stdin"), "", "10 to 1000 characters"),
        (("add", "bot@x.org", "--bot"), "", "must be 1 to 63"),
        (("disable", "nobody@x.org"), "", "nobody on this hub"),
        (("passwd", "nobody@x.org", "--password-stdin"), PASSWORD, "nobody on this hub"),
        (("passwd", "nobody@x.org"), "", "give --password-stdin"),
        (("token", "nobody@x.org"), "", "nobody on this hub"),
        (("group", "remove", "lab", "a@x.org"), "", "nobody on this hub"),
    ],
)
def test_mistakes_are_one_line(users: HubServer, words: tuple[str, ...], stdin: str, says: str) -> None:
    assert says in failing(users, "users", *words, stdin=stdin)
    assert users.command("users", "list") == ""


def test_mistakes_with_what_is_there(users: HubServer) -> None:
    users.command("users", "add", "a@x.org")
    users.command("users", "group", "add", "lab")
    assert "on this hub already" in failing(users, "users", "add", "A@X.org")
    assert "make tokens for its members" in failing(users, "users", "token", "lab")
    assert "only users have passwords" in failing(users, "users", "passwd", "lab", "--password-stdin", stdin=PASSWORD)
    assert "is a user, not a group" in failing(users, "users", "group", "add", "a@x.org")
    assert "give both" in failing(users, "serve", "--tls-cert", "x.pem")
    assert "cannot use the certificate" in failing(users, "serve", "--tls-cert", "x.pem", "--tls-key", "y.pem")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_password_is_asked_for_on_a_terminal_and_not_shown(users: HubServer) -> None:
    users.command("users", "add", "a@x.org")
    words = ["-m", "ferryhub", "users", "passwd", "a@x.org", "--state-dir", str(users.state_dir)]
    for second, says in (("something else", "not the same"), (PASSWORD, "")):
        terminal = Spawned(sys.executable, words, timeout=30, encoding="utf-8")
        terminal.expect("New password: ")
        terminal.sendline(PASSWORD)
        terminal.expect("Once more: ")
        terminal.sendline(second)
        terminal.expect(pexpect.EOF)
        terminal.close()
        shown = terminal.before or ""
        assert says in shown
        assert PASSWORD not in shown
        assert terminal.exitstatus == (1 if says else 0)
    assert "password of" in users.command("users", "list")


def test_what_is_done_while_it_serves_counts(hub: HubServer, browser: Browser, client: httpx.Client) -> None:
    hub.add_user("new@x.org", PASSWORD)
    assert "Signed in as" in browser.sign_in("new@x.org", PASSWORD).text
    hub.command("users", "passwd", "new@x.org", "--password-stdin", stdin=PASSWORD + "!\n")
    assert "Signed in as" not in browser.open().text
    assert browser.sign_in("new@x.org", PASSWORD).status_code == 403
    assert "Signed in as" in browser.sign_in("new@x.org", PASSWORD + "!").text
    hub.command("users", "add", "robot", "--bot")
    token = hub.command("users", "token", "robot").strip()
    assert identity(client, token).json()["email"] == "robot"
    fresh = hub.command("users", "token", "robot").strip()
    hub.command("users", "disable", "robot")
    assert identity(client, fresh).status_code == 401
