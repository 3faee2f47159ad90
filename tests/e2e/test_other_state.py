"""FERRYMAN_STATE_DIR is for the daemon: one with other transfers and sign-ins must not answer in its place."""

from __future__ import annotations

import asyncio

import pytest

from ferryman import AsyncClient, Client, DaemonError
from tests.support.cli import ferry
from tests.support.home import Home


@pytest.mark.slow
def test_a_daemon_of_another_state_directory_is_noticed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client() as client:
        client.create_project("P")
    other, link = home.root / "other", home.root / "link"
    link.symlink_to(home.state_dir)
    monkeypatch.setenv("FERRYMAN_STATE_DIR", str(link))
    with Client() as client:
        client.create_project("Q")

    monkeypatch.setenv("FERRYMAN_STATE_DIR", str(other))
    for call in (_listed, lambda: asyncio.run(_created())):
        with pytest.raises(DaemonError, match=f"FERRYMAN_STATE_DIR is {other}, .* in {home.state_dir}; .*RUNTIME_DIR"):
            call()
    with Client(socket_path=home.socket) as client:  # whoever names the socket means that daemon
        assert client.daemon.info().state_dir == str(home.state_dir)
    for refused in (["ls"], ["whoami"], ["pause", "trf_1"]):
        said = ferry(*refused)
        assert (said.code, str(other) in said.err, "FERRYMAN_RUNTIME_DIR" in said.err) == (2, True, True)
    assert str(home.state_dir) in ferry("doctor").out
    assert not other.exists()
    monkeypatch.setenv("FERRYMAN_STATE_DIR", str(home.state_dir))
    assert ferry("ls").code == 0


def _listed() -> None:
    with Client() as client:
        list(client.transfers.list())


async def _created() -> None:
    async with AsyncClient() as client:
        await client.create_project("P")
