"""The hub inside another process: called without HTTP, by a user somebody vouches for."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import httpx
import pytest

from ferryapi.hub.v1 import access_service_pb2 as access_pb
from ferryapi.hub.v1 import project_service_pb2 as project_pb
from ferryhub.app import Hub, create_hub
from ferryhub.catalogue import projects
from ferryhub.config import HubSettings
from ferryhub.rpc import faults
from ferrywire.reasons import FerryError


async def call(hub: Hub, method: str, request: bytes = b"", principal: str = "usr_me") -> bytes:
    """One call as the daemon makes it."""
    return await hub.call(principal, f"/ferryapi.hub.v1.{method}", request)


async def refused(hub: Hub, method: str, request: bytes = b"", principal: str = "usr_me") -> FerryError:
    with pytest.raises(FerryError) as caught:
        await call(hub, method, request, principal)
    return caught.value


async def test_vouched_principal_needs_no_token(embedded: Hub) -> None:
    identity = access_pb.Identity.FromString(await call(embedded, "AccessService/GetIdentity"))
    assert (identity.email, list(identity.scopes)) == ("me@here", ["read", "write", "admin"])
    for unknown in ("", "usr_other"):
        assert (await refused(embedded, "AccessService/GetIdentity", principal=unknown)).reason == "TOKEN_INVALID"


async def test_nobody_vouches_in_the_scope_of_a_request(embedded: Hub) -> None:
    scope = {"type": "http", "ferryman.principal": "usr_me"}
    transport = httpx.ASGITransport(lambda given, *rest: embedded.asgi({**given, **scope}, *rest))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
        reply = await http.post("/ferryapi.hub.v1.AccessService/GetIdentity", json={})
        assert (reply.status_code, reply.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("path", ["/device", "/device.css", "/oauth/token", "/oauth/device_authorization"])
async def test_no_sign_in_where_the_user_is_signed_in(embedded: Hub, path: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(embedded.asgi), base_url="http://hub") as http:
        assert (await http.post(path)).status_code == 404


async def test_what_is_no_call_is_refused_with_a_reason(embedded: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "MAX_REQUEST_BYTES", 100)
    large = project_pb.CreateProjectRequest(name="P" * 200).SerializeToString()
    found = [
        await refused(embedded, "ProjectService/NoSuchMethod"),
        await refused(embedded, "ProjectService/CreateProject", large),
        await refused(embedded, "ProjectService/CreateProject", b"\xff"),
    ]
    assert [each.reason for each in found] == ["UNIMPLEMENTED", "TOO_LARGE", "INVALID_ARGUMENT"]
    assert found[1].metadata == {"limitBytes": "100"}
    assert found[2].metadata == {"field": "body"}


async def test_callers_do_not_mix(embedded: Hub) -> None:
    await embedded.ensure_principal("usr_two", "two@here")
    people = {"usr_me": "me@here", "usr_two": "two@here"}
    wanted = [principal for _ in range(20) for principal in people]
    replies = await asyncio.gather(*(call(embedded, "AccessService/GetIdentity", principal=who) for who in wanted))
    assert [access_pb.Identity.FromString(body).email for body in replies] == [people[who] for who in wanted]


async def test_restart_keeps_everything(tmp_path: Path) -> None:
    settings = HubSettings(state_dir=tmp_path / "hub")
    request = project_pb.CreateProjectRequest(name="P", alias="p").SerializeToString()
    made = []
    for method in ("CreateProject", "GetProject"):
        hub = create_hub(settings)
        await hub.start()
        await hub.ensure_principal("usr_me", "me@here")
        body = (
            request if method == "CreateProject" else project_pb.GetProjectRequest(project_id="P").SerializeToString()
        )
        made.append(await call(hub, f"ProjectService/{method}", body))
        await hub.close()
    assert made[0] == made[1]


async def test_unexpected_error_shows_an_id_and_not_its_text(
    embedded: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise LookupError("a secret of the inside")

    monkeypatch.setattr(projects, "listing", broken)
    error = await refused(embedded, "ProjectService/ListProjects")
    assert (error.reason, "secret" in error.message) == ("INTERNAL", False)
    (record,) = [each for each in caplog.records if "rpc_failed" in each.message]
    assert record.exc_info is not None
    assert record.message.rpartition("error_id=")[2] == error.metadata["errorId"]


async def test_second_hub_on_one_state_dir_is_refused_and_leaves_the_first_alone(embedded: Hub, tmp_path: Path) -> None:
    other = create_hub(HubSettings(state_dir=tmp_path / "hub"))
    with pytest.raises(RuntimeError, match="another hub uses"):
        await other.start()
    await other.close()
    assert await call(embedded, "AccessService/GetIdentity")


async def test_start_and_close_in_different_tasks(tmp_path: Path) -> None:
    hub = create_hub(HubSettings(state_dir=tmp_path / "hub", sweep_interval_s=1000))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hub.start())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hub.close())
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "hub sweep"]
    with pytest.raises(RuntimeError, match="start the hub"):
        _ = hub.asgi
    with pytest.raises(RuntimeError, match="start the hub"):
        _ = hub.call
    await hub.close()


async def test_a_call_to_a_closed_hub_is_refused(tmp_path: Path) -> None:
    hub = create_hub(HubSettings(state_dir=tmp_path / "hub"))
    await hub.start()
    await hub.ensure_principal("usr_me", "me@here")
    assert await call(hub, "AccessService/GetIdentity")
    kept = hub.call
    await hub.close()
    for method in ("AccessService/GetIdentity", "ProjectService/ListProjects", "ProjectService/CreateProject"):
        with pytest.raises(FerryError) as caught:
            await asyncio.wait_for(kept("usr_me", f"/ferryapi.hub.v1.{method}", b""), 60)
        assert caught.value.reason == "SHUTTING_DOWN", method


async def test_cancelled_caller_does_not_disturb_others(embedded: Hub) -> None:
    request = project_pb.CreateProjectRequest(name="P").SerializeToString()
    calls = [asyncio.ensure_future(call(embedded, "ProjectService/CreateProject", request)) for _ in range(10)]
    await asyncio.sleep(0)
    calls[0].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await calls[0]
    assert all(await asyncio.gather(*calls[1:]))
