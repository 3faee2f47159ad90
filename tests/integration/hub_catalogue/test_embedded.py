"""The hub inside another process: called without HTTP, by a user somebody vouches for."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from ferryapi.hub.v1 import access_service_pb2 as access_pb
from ferryapi.hub.v1 import project_service_pb2 as project_pb
from ferryhub.app import Hub, create_hub
from ferryhub.catalogue import projects
from ferryhub.config import HubSettings


async def call(
    hub: Hub, method: str, request: bytes, principal: str | None = "usr_me", *, path: str = ""
) -> tuple[int, bytes]:
    """One call as the daemon makes it: a hand-made scope, the body in one piece, then silence."""
    sent: list[Any] = []
    bodies = iter([{"type": "http.request", "body": request, "more_body": False}])

    async def receive() -> Any:
        for body in bodies:
            return body
        return await asyncio.get_running_loop().create_future()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path or f"/ferryapi.hub.v1.{method}",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/proto")],
    }
    await hub.asgi({**scope, **({"ferryman.principal": principal} if principal else {})}, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


async def test_vouched_principal_needs_no_token(embedded: Hub) -> None:
    status, body = await call(embedded, "AccessService/GetIdentity", b"")
    identity = access_pb.Identity.FromString(body)
    assert (status, identity.email, list(identity.scopes)) == (200, "me@here", ["read", "write", "admin"])
    assert (await call(embedded, "AccessService/GetIdentity", b"", principal=None))[0] == 401
    assert (await call(embedded, "AccessService/GetIdentity", b"", principal="usr_other"))[0] == 401


@pytest.mark.parametrize("path", ["/device", "/device.css", "/oauth/token", "/oauth/device_authorization"])
async def test_no_sign_in_where_the_user_is_signed_in(embedded: Hub, path: str) -> None:
    for principal in ("usr_me", None):
        assert (await call(embedded, "", b"", principal, path=path))[0] == 404


async def test_callers_do_not_mix(embedded: Hub) -> None:
    await embedded.ensure_principal("usr_two", "two@here")
    people = {"usr_me": "me@here", "usr_two": "two@here"}
    wanted = [principal for _ in range(20) for principal in people]
    replies = await asyncio.gather(*(call(embedded, "AccessService/GetIdentity", b"", who) for who in wanted))
    assert [access_pb.Identity.FromString(body).email for _, body in replies] == [people[who] for who in wanted]


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
    assert made[0][0] == 200


async def test_unexpected_error_shows_an_id_and_not_its_text(
    embedded: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise LookupError("a secret of the inside")

    monkeypatch.setattr(projects, "listing", broken)
    status, body = await call(embedded, "ProjectService/ListProjects", b"")
    assert (status, b"INTERNAL" in body or b"internal" in body, b"secret" in body) == (500, True, False)
    (record,) = [each for each in caplog.records if "rpc_failed" in each.message]
    assert record.exc_info is not None
    error_id = record.message.rpartition("error_id=")[2]
    assert error_id.encode() in body


async def test_second_hub_on_one_state_dir_is_refused_and_leaves_the_first_alone(embedded: Hub, tmp_path: Path) -> None:
    other = create_hub(HubSettings(state_dir=tmp_path / "hub"))
    with pytest.raises(RuntimeError, match="another hub uses"):
        await other.start()
    await other.close()
    assert (await call(embedded, "AccessService/GetIdentity", b""))[0] == 200


async def test_start_and_close_in_different_tasks(tmp_path: Path) -> None:
    hub = create_hub(HubSettings(state_dir=tmp_path / "hub", sweep_interval_s=1000))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hub.start())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hub.close())
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "hub sweep"]
    with pytest.raises(RuntimeError, match="start the hub"):
        _ = hub.asgi
    await hub.close()


async def test_cancelled_caller_does_not_disturb_others(embedded: Hub) -> None:
    request = project_pb.CreateProjectRequest(name="P").SerializeToString()
    calls = [asyncio.ensure_future(call(embedded, "ProjectService/CreateProject", request)) for _ in range(10)]
    await asyncio.sleep(0)
    calls[0].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await calls[0]
    assert {status for status, _ in await asyncio.gather(*calls[1:])} == {200}
