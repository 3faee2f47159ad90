"""FERRYMAN_HUB is for the daemon: one that was started without it must not take what was meant for another hub."""

from __future__ import annotations

import asyncio

import pytest

from ferryman import AsyncClient, Client, DaemonError
from ferryman.contexts import require_hub
from ferryman.reports import Context
from tests.support.cli import ferry
from tests.support.home import Home

ELSEWHERE = "http://127.0.0.1:9"


@pytest.mark.slow
def test_a_daemon_of_another_hub_is_noticed_before_anything_goes_there(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.data / "a.csv").write_text("1")
    with Client() as client:
        me = client.auth_status().user_id
        monkeypatch.setenv("FERRYMAN_HUB", f"{ELSEWHERE}/")
        for call in (
            lambda: client.create_project("P"),
            lambda: client.transfers.upload(home.data / "a.csv", title="T", owner_type="user", owner_id=me),
            lambda: asyncio.run(_created()),
        ):
            with pytest.raises(DaemonError, match=f"FERRYMAN_HUB is {ELSEWHERE}, .* uses embedded") as caught:
                call()
            assert caught.value.code == "invalid_argument"
        assert list(client.transfers.list()) == []
        assert client.auth_status().hub == "embedded"
    refused = ferry("upload", home.data / "a.csv")
    assert (refused.code, ELSEWHERE in refused.err, "ferry hub use" in refused.err) == (2, True, True)
    for still in (["ls"], ["whoami"], ["hub", "list"], ["project", "list", "--context", "embedded"]):
        assert ferry(*still).code == 0


async def _created() -> None:
    async with AsyncClient() as client:
        await client.create_project("P")


def test_which_addresses_are_the_same() -> None:
    known = [
        Context("embedded", "embedded", False, True, ""),
        Context("lab", "https://hub.example.org:8443", True, True, ""),
    ]
    for same in ("https://hub.example.org:8443", "https://HUB.example.org:8443/"):
        require_hub(same, known)
    for other in ("embedded", "http://hub.example.org:8443", "https://hub.example.org", "unix:/run/hub.sock"):
        with pytest.raises(DaemonError, match="uses https://hub"):
            require_hub(other, known)
    with pytest.raises(DaemonError) as caught:
        require_hub("https://me:secret@x.org", known)
    assert "secret" not in str(caught.value)


def test_a_hub_chosen_since_is_the_users_own_choice() -> None:
    """The daemon was started for FERRYMAN_HUB; `ferry hub use` came later."""
    known = [Context("env", ELSEWHERE, False, True, ""), Context("lab", "https://hub.example.org", True, True, "")]
    require_hub(ELSEWHERE, known)
