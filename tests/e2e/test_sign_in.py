"""Signing in to hubs and out again: by code, by token, to several at once. Real daemons, real hubs."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman import AsyncClient, Client, DaemonError, DeviceCode, UploadResult
from tests.support.accounts import EMAIL, PASSWORD, account_hub, login, secrets, token_file
from tests.support.cli import COMMAND, ferry
from tests.support.home import Home
from tests.support.hubs import HubServer
from tests.support.signin import Browser, approve

pytestmark = pytest.mark.slow


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with account_hub() as server:
        yield server


def upload(client: Client, path: Path) -> UploadResult:
    project = client.create_project("P")
    return client.upload(path, title="Data", owner_type="project", owner_id=project.project_id)


def test_sign_in_by_code_then_work_then_sign_out(client: Client, hub: HubServer, home: Home, table: Path) -> None:
    status = login(client, hub)
    assert (status.user_email, status.hub, status.storage) == (EMAIL, hub.url, "file")
    assert sorted(status.scopes) == ["read", "write"]
    assert client.auth.status().user_email == EMAIL, "what was signed in to is the current context"

    got = client.download(upload(client, table).asset_id, home.root / "dl")
    assert Path(got.files[0].local_path).read_bytes() == table.read_bytes()

    assert client.auth.logout() is True
    assert not secrets(home)
    with pytest.raises(DaemonError) as refused:
        client.create_project("Q")
    assert refused.value.reason == "NOT_SIGNED_IN"
    assert client.auth.logout() is False, "a second time nothing is left to revoke"


def test_a_sign_in_outlives_its_daemon(client: Client, hub: HubServer, home: Home) -> None:
    login(client, hub)
    home.kill_daemons()
    with Client() as later:
        status = later.auth.status()
        assert (status.user_email, status.hub) == (EMAIL, hub.url)


def test_a_client_that_has_outlived_its_daemon_signs_in(client: Client, hub: HubServer, home: Home) -> None:
    client.connect()
    home.kill_daemons()
    assert login(client, hub).user_email == EMAIL, "the first call that meets the new daemon is a stream"

    async def again() -> str:
        async with AsyncClient() as later:
            await later.daemon.info()
            home.kill_daemons()
            watched = later.transfers.watch([])
            first = asyncio.ensure_future(anext(aiter(watched)))
            transfer = await later.transfers.upload(
                __file__, title="T", owner_type="project", owner_id=(await later.create_project("P")).project_id
            )
            assert (await first).transfer_id == transfer.id
            return (await later.auth.login(hub.url, on_code=approve_code, timeout_s=60)).user_email

    def approve_code(code: DeviceCode) -> None:
        approve(hub.url, code.user_code, EMAIL, PASSWORD)

    assert asyncio.run(again()) == EMAIL


def test_signing_out_ends_the_tokens_at_the_hub(client: Client, hub: HubServer, home: Home) -> None:
    login(client, hub, "lab")
    access = next(secret for secret in secrets(home) if secret.startswith("fat_"))
    client.auth.logout("lab")
    with pytest.raises(DaemonError) as refused:
        client.auth.login_with_token(hub.url, access)
    assert refused.value.reason == "TOKEN_INVALID"


def test_a_denied_code_signs_nobody_in(client: Client, hub: HubServer, home: Home) -> None:
    def deny(code: str) -> None:
        with Browser(hub.url) as browser:
            browser.sign_in(EMAIL, PASSWORD, code)
            browser.send(action="deny")

    with pytest.raises(DaemonError) as refused:
        client.auth.login(hub.url, on_code=lambda code: deny(code.user_code), timeout_s=60)
    assert refused.value.reason == "LOGIN_DENIED"
    assert not secrets(home)
    assert [context.name for context in client.contexts.list()] == ["embedded"]


def test_a_token_made_elsewhere(client: Client, hub: HubServer, home: Home, table: Path) -> None:
    token = hub.token(EMAIL)
    assert client.auth.login_with_token(hub.url, token, context="lab").user_email == EMAIL
    assert secrets(home) == {token}
    assert upload(client, table).asset_id
    assert client.auth.logout("lab") is False, "it is the maker's to revoke"
    assert not secrets(home)


def test_a_wrong_token_is_refused_and_not_kept(client: Client, hub: HubServer, home: Home) -> None:
    wrong = "fat_" + "x" * 43
    with pytest.raises(DaemonError) as refused:
        client.auth.login_with_token(hub.url, wrong, context="lab")
    assert refused.value.reason == "TOKEN_INVALID"
    assert wrong not in f"{refused.value!r} {refused.value}"
    assert not token_file(home).exists()
    assert [context.name for context in client.contexts.list()] == ["embedded"]


def test_a_wrong_token_leaves_the_sign_in_there_is(client: Client, hub: HubServer) -> None:
    login(client, hub, "lab")
    with pytest.raises(DaemonError):
        client.auth.login_with_token(None, "fat_" + "x" * 43, context="lab")
    assert client.auth.status("lab").user_email == EMAIL


def test_the_token_of_the_environment_is_never_kept(
    home: Home, hub: HubServer, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = hub.token(EMAIL)
    monkeypatch.setenv("FERRYMAN_HUB", hub.url)
    monkeypatch.setenv("FERRYMAN_TOKEN", token)
    with Client() as client:
        assert (client.auth.status().context, client.auth.status().storage) == ("env", "environment")
        assert upload(client, table).asset_id
        with pytest.raises(DaemonError) as refused:
            client.auth.logout()
        assert refused.value.reason == "INVALID_ARGUMENT"
        for words in (["--json", "doctor"], ["--json", "whoami"], ["--debug", "asset", "get", "nothing"]):
            told = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=60, check=False)
            assert token not in told.stdout + told.stderr
    home.stop_daemons()
    holders = [file for file in home.root.rglob("*") if file.is_file() and token.encode() in file.read_bytes()]
    assert holders == []


@pytest.mark.slow
def test_two_hubs_at_once(client: Client, hub: HubServer, home: Home, table: Path) -> None:
    with account_hub() as other:
        login(client, hub, "one")
        login(client, other, "two")
        assert [(c.name, c.hub) for c in client.contexts.list() if c.signed_in and c.name != "embedded"] == [
            ("one", hub.url),
            ("two", other.url),
        ]
        stored = {}
        for name in ("one", "two"):
            client.contexts.use(name)
            stored[name] = upload(client, table)
            assert client.auth.status().context == name
        for name, result in stored.items():
            client.contexts.use(name)
            got = client.download(result.asset_id, home.root / name)
            assert Path(got.files[0].local_path).read_bytes() == table.read_bytes()
        with pytest.raises(DaemonError) as unknown:
            client.assets.get(stored["one"].asset_id)
        assert unknown.value.code == "not_found", "each hub knows its own alone"


def test_two_contexts_on_one_hub(client: Client, hub: HubServer, home: Home) -> None:
    """Each has a sign-in of its own; a login that names neither means the one in use."""
    writes, reads = hub.token(EMAIL), hub.token(EMAIL, "read")
    for name in ("one", "two"):
        client.auth.login_with_token(hub.url, writes, context=name)
    client.contexts.use("two")
    client.auth.login_with_token(hub.url, reads)
    assert (client.auth.status("one").scopes, client.auth.status("two").scopes) == (["read", "write"], ["read"])
    with pytest.raises(DaemonError) as refused:
        client.create_project("P")
    assert refused.value.reason == "SCOPE_DENIED"
    client.auth.logout("two")
    assert client.auth.status("one").user_email == EMAIL
    assert secrets(home) == {writes}


def test_the_hub_of_the_configuration_is_signed_in_to_by_its_address(home: Home, hub: HubServer) -> None:
    (home.config_dir / "config.toml").write_text(f'hub = "{hub.url}"\n')
    with Client() as client:
        assert client.auth.login_with_token(hub.url, hub.token(EMAIL)).context == "env"
        assert client.create_project("P").project_id


def test_ferry_signs_in_to_the_context_that_is_meant(
    client: Client, hub: HubServer, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with account_hub() as other:
        tokens = {"one": hub.token(EMAIL), "two": other.token(EMAIL)}
        again = hub.token(EMAIL)
        client.auth.login_with_token(hub.url, tokens["one"], context="one")
        client.auth.login_with_token(other.url, tokens["two"], context="two")
        assert ferry("login", "--with-token", "--name", "one", stdin=again).code == 0
        assert secrets(home) == {again, tokens["two"]}
        monkeypatch.setenv("FERRYMAN_CONTEXT", "one")
        assert ferry("login", "--with-token", stdin=tokens["one"]).code == 0
        assert secrets(home) == set(tokens.values())
        assert client.auth.status("two").user_email == EMAIL


def test_a_context_belongs_to_one_hub(client: Client, hub: HubServer) -> None:
    login(client, hub, "lab")
    with pytest.raises(DaemonError) as refused:
        client.auth.login_with_token("http://127.0.0.1:9", "fat_" + "x" * 43, context="lab")
    assert refused.value.reason == "INVALID_ARGUMENT"


def test_an_unknown_context(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for ask in (client.auth.status, client.auth.logout, client.contexts.use):
        with pytest.raises(DaemonError) as refused:
            ask("nowhere")
        assert (refused.value.code, refused.value.reason) == ("not_found", "CONTEXT_NOT_FOUND")
        assert re.search("known are .*embedded", refused.value.message)
    monkeypatch.setenv("FERRYMAN_CONTEXT", "nowhere")
    with Client() as elsewhere, pytest.raises(DaemonError) as refused:
        elsewhere.create_project("P")
    assert refused.value.reason == "CONTEXT_NOT_FOUND"
