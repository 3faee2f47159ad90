"""A hub with an OpenID provider: how it is started, alone with it, without it, with a provider that is not there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ferryhub.app import create_hub
from ferryhub.config import HubSettings
from tests.integration.hub_auth.conftest import PASSWORD
from tests.integration.hub_auth.test_provider import options
from tests.integration.hub_auth.test_users import failing
from tests.support import openid
from tests.support.hubs import HubServer
from tests.support.openid import CLIENT_SECRET
from tests.support.ports import free_port
from tests.support.signin import Browser

pytestmark = pytest.mark.slow


@contextmanager
def serving(state_dir: Path, url: str, *words: str) -> Iterator[HubServer]:
    """A hub at this address with Ann on it; a traceback in its log is a failure."""
    server = HubServer(state_dir, *words)
    server.url = url
    try:
        server.add_people(PASSWORD, "ann@x.org")
        yield server.start()
        server.stop()
        log = server.log.read_text()
        assert "Traceback" not in log, f"the hub logged a traceback:\n{log[-6000:]}"
    finally:
        server.kill()


def test_without_a_provider_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    script = f"""
import asyncio, sys
from pathlib import Path
from ferryhub.app import create_hub
from ferryhub.config import HubSettings
async def main():
    hub = create_hub(HubSettings(state_dir=Path({str(tmp_path)!r}), web=True))
    await hub.start()
    await hub.close()
asyncio.run(main())
print(sorted({{"httpx", "ferryhub.auth.provider", "ferryhub.web.provider", "authlib.oidc"}} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_hub_without_one_has_no_such_pages(hub: HubServer, client: httpx.Client, browser: Browser) -> None:
    assert client.get("/device/callback?code=x&state=y").status_code == 404
    assert "Sign in with" not in browser.open().text
    assert browser.send(action="provider").status_code == 400


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--oidc-issuer", "https://x.org"), "give --oidc-issuer, --oidc-client-id and"),
        (("--oidc-new-users-of", "x.org"), "give --oidc-issuer, --oidc-client-id and"),
        (("--no-passwords",), "nobody could sign in"),
        (("--oidc-issuer", "http://x.org", "ID", "FILE", "--public-url", "https://hub"), "not an https address"),
        (("--oidc-issuer", "javascript:x", "ID", "FILE", "--public-url", "https://hub"), "not an https address"),
        (("--oidc-issuer", "https://x.org", "ID", "FILE"), "needs --public-url"),
        (("--oidc-issuer", "https://x.org", "ID", "NONE", "--public-url", "https://hub"), "No such file"),
        (("--oidc-issuer", "https://x.org", "ID", "EMPTY", "--public-url", "https://hub"), "holds no client secret"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    secret, empty = tmp_path / "secret", tmp_path / "empty"
    secret.write_text(CLIENT_SECRET)
    empty.write_text("\n")
    files = {"FILE": str(secret), "EMPTY": str(empty), "NONE": str(tmp_path / "none")}
    given: list[str] = []
    for word in words:
        if word == "ID":
            given += ["--oidc-client-id", "hub"]
        elif word in files:
            given += ["--oidc-client-secret-file", files[word]]
        else:
            given.append(word)
    message = failing(HubServer(tmp_path / "hub"), "serve", "--listen", "127.0.0.1:0", *given)
    assert says in message
    assert CLIENT_SECRET not in message


def test_a_hub_where_nobody_has_a_password(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with openid.provider() as provider:
        words = (*options(provider, url, tmp_path / "secret"), "--no-passwords")
        with serving(tmp_path / "hub", url, *words) as server, Browser(url) as browser:
            page = browser.open().text
            assert ("Password" in page, "Sign in with The University" in page) == (False, True)
            assert browser.send(action="sign_in", email="ann@x.org", password=PASSWORD).status_code == 400
            assert "Signed in as" in browser.sign_in_at_provider().text
            arguments = Path(f"/proc/{server.pid}/cmdline")
            assert not arguments.exists() or CLIENT_SECRET.encode() not in arguments.read_bytes()


@pytest.mark.parametrize("spoilt", ["nobody listens", "silent", "issuer", "endpoint", "not json"])
def test_a_provider_that_cannot_be_used_leaves_passwords(tmp_path: Path, spoilt: str) -> None:
    with openid.provider() as provider:
        url = f"http://127.0.0.1:{free_port()}"
        words = list(options(provider, url, tmp_path / "secret"))
        if spoilt == "nobody listens":
            words[words.index(provider.url)] = f"http://127.0.0.1:{free_port()}"
        if spoilt == "issuer":
            provider.lies["/.well-known/openid-configuration"] = lambda known: {**known, "issuer": "https://evil.org"}
        if spoilt == "endpoint":
            spoil = {"authorization_endpoint": "javascript:alert(1)"}
            provider.lies["/.well-known/openid-configuration"] = lambda known: {**known, **spoil}
        if spoilt == "not json":
            provider.lies["/.well-known/openid-configuration"] = lambda _: "x"  # type: ignore[return-value, assignment]
        if spoilt == "silent":
            provider.lies["/.well-known/openid-configuration"] = _hang_up
        with serving(tmp_path / "hub", url, *words) as server, Browser(url) as browser:
            browser.open()
            refused = browser.send(action="provider")
            down = spoilt in ("nobody listens", "silent")
            assert (refused.status_code, "evil" in refused.text) == (503 if down else 502, False)
            assert browser.visit_cookie == ""
            # It is asked again, and is well now.
            provider.lies.clear()
            browser.open()
            assert browser.send(action="provider").status_code == (503 if spoilt == "nobody listens" else 200)
            assert "Signed in as" in browser.sign_in("ann@x.org", PASSWORD).text
            log = server.log.read_text()
            assert re.search("WARNING ferryhub.web.provider provider_failed provider=The University why=.+", log)


def _hang_up(_: openid.Claims) -> openid.Claims:
    raise ConnectionAbortedError


def test_another_process_finishes_what_one_began(tmp_path: Path) -> None:
    """Nothing that it takes is in the process: not state, nonce or code verifier."""
    url = f"http://127.0.0.1:{free_port()}"
    with openid.provider() as provider:
        words = options(provider, url, tmp_path / "secret")
        with serving(tmp_path / "hub", url, *words) as server, Browser(url) as browser:
            back = browser.at_provider(browser.leave())
            server.stop()
            server.start()
            assert "Signed in" in browser.come_back(back).text


async def test_settings_in_process(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="nobody could sign in"):
        await create_hub(HubSettings(state_dir=tmp_path, web=True, passwords=False)).start()
