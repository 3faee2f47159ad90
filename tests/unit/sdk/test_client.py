"""Calls through a real channel: what is sent, what comes back, and what each failure becomes."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path
from typing import Any

import grpc
import pytest

import ferryman
from ferryapi.daemon.v1 import auth_service_pb2 as auth_pb
from ferryapi.hub.v1 import access_service_pb2 as access_pb
from ferryapi.hub.v1 import asset_service_pb2 as asset_pb
from ferryapi.hub.v1 import collection_service_pb2 as collection_pb
from ferryapi.hub.v1 import project_service_pb2 as project_pb
from ferryapi.hub.v1 import relationship_service_pb2 as relationship_pb
from ferryman import Client, DaemonError, DaemonTimeoutError
from ferrywire.reasons import FerryError
from tests.unit.sdk.fake import FakeDaemon, hang_until_over

ME = auth_pb.AuthStatus(user_email="me@x.org", user_id="usr_1", hub="embedded")
WHO = "AuthService/GetAuthStatus"


def test_auth_status(client: Client, daemon: FakeDaemon) -> None:
    daemon.reply(WHO, ME)
    assert client.auth_status() == ferryman.AuthStatus("me@x.org", "usr_1", None, "embedded")


def test_a_client_connects_by_itself_and_closes_twice_and_opens_again(daemon: FakeDaemon) -> None:
    daemon.reply(WHO, ME)
    client = Client(auto_start=False)
    assert client.auth_status().user_id == "usr_1"
    client.close()
    client.close()
    with pytest.raises(DaemonError, match="client is closed"):
        client.auth_status()
    client.connect()
    assert client.auth_status().user_id == "usr_1"
    client.close()


def test_create_project_sends_a_request_id_and_returns_what_was_made(client: Client, daemon: FakeDaemon) -> None:
    share = project_pb.Allocation(quota_bytes=10, used_bytes=1)
    daemon.reply(
        "ProjectService/CreateProject",
        project_pb.Project(project_id="prj_1", root_collection_id="col_1", default_allocation=share),
    )
    project = client.create_project("P", description="d")
    assert (project.project_id, project.root_collection_id, project.alias) == ("prj_1", "col_1", None)
    assert project.default_allocation.quota_bytes == 10
    (sent,) = daemon.sent("ProjectService/CreateProject", project_pb.CreateProjectRequest)
    assert (sent.name, sent.description) == ("P", "d")
    assert uuid.UUID(sent.request_id).version == 4


def test_set_metadata_sends_only_what_was_named(client: Client, daemon: FakeDaemon) -> None:
    daemon.reply("AssetService/UpdateAsset", asset_pb.Asset(asset_id="ast_1", title="v2", tags=["csv"]))
    meta = client.set_metadata("ast_1", title="v2", tags=["csv"], description=None)
    assert (meta.title, meta.tags, meta.metadata, meta.description) == ("v2", ["csv"], {}, "")
    (sent,) = daemon.sent("AssetService/UpdateAsset", asset_pb.UpdateAssetRequest)
    assert set(sent.update_mask.paths) == {"title", "tags", "description"}
    assert client.set_metadata(meta, tags=[]).asset_id == "ast_1"
    assert daemon.sent("AssetService/UpdateAsset", asset_pb.UpdateAssetRequest)[1].update_mask.paths == ["tags"]


def test_set_metadata_refuses_an_unknown_field_and_names_the_allowed(client: Client, daemon: FakeDaemon) -> None:
    with pytest.raises(DaemonError, match="title, description, alias, tags, metadata") as caught:
        client.set_metadata("ast_1", titel="v2")
    assert (caught.value.code, caught.value.reason) == ("invalid_argument", "UNKNOWN_FIELD")
    with pytest.raises(DaemonError, match="finite"):
        client.set_metadata("ast_1", metadata={"k": float("nan")})
    assert daemon.requests == []


def test_a_relationship_takes_either_name_of_its_type(client: Client, daemon: FakeDaemon) -> None:
    summary = relationship_pb.AssetSummary(asset_id="ast_2", title="Raw")
    link = relationship_pb.Relationship(relationship_id="rel_1", type="analysis_of", related_asset=summary)
    daemon.reply("RelationshipService/CreateRelationship", link, relationship_pb.Relationship(type="x"))
    made = client.create_relationship("ast_1", "ast_2", "analysis_of", analysis_mode="in_situ", qualifiers={"n": 1})
    assert made.related_asset is not None
    assert (made.type, made.related_asset["id"], made.related_asset["title"]) == ("analysis_of", "ast_2", "Raw")
    assert client.create_relationship("ast_1", "ast_2", relationship_type="x").related_asset is None
    client.create_relationship("ast_1", "ast_2", "x", relationship_type="x")
    sent = daemon.sent("RelationshipService/CreateRelationship", relationship_pb.CreateRelationshipRequest)
    assert [request.relationship.type for request in sent] == ["analysis_of", "x", "x"]
    assert sent[0].relationship.analysis_mode == "in_situ"
    assert len({request.request_id for request in sent}) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"rel_type": "a", "relationship_type": "b"},
        {"rel_type": "a", "analysis_mode": "bad"},
        {"rel_type": "a", "qualifier_time": "soon"},
        {"rel_type": "a", "qualifiers": {"x": float("inf")}},
        {"rel_type": "a", "qualifiers": [1]},
    ],
)
def test_a_wrong_relationship_is_refused_before_it_is_sent(
    client: Client, daemon: FakeDaemon, arguments: dict[str, Any]
) -> None:
    with pytest.raises(DaemonError) as caught:
        client.create_relationship("ast_1", "ast_2", **arguments)
    assert caught.value.code == "invalid_argument"
    assert daemon.requests == []


def test_results_are_accepted_where_ids_are(client: Client, daemon: FakeDaemon) -> None:
    daemon.reply("ProjectService/GetProject", project_pb.Project(project_id="prj_1", root_collection_id="col_1"))
    daemon.reply(
        "CollectionService/CreateCollection", collection_pb.Collection(collection_id="col_2", parent_id="col_1")
    )
    daemon.reply("CollectionService/GetCollection", collection_pb.Collection(collection_id="col_1"))
    daemon.reply(
        "AccessService/ListGrants",
        access_pb.ListGrantsResponse(grants=[access_pb.Grant(principal_id="usr_1", email="me", role="owner")]),
    )
    project = client.projects.get("p")
    folder = client.collections.create("raw", parent=project)
    assert folder.parent == "col_1"
    assert client.collections.get(project.root_collection_id).parent is None
    assert [(grant.email, grant.role) for grant in client.grants.list(project)] == [("me", "owner")]
    client.grants.list(folder)
    sent = daemon.sent("AccessService/ListGrants", access_pb.ListGrantsRequest)
    assert [request.resource_id for request in sent] == ["prj_1", "col_2"]
    (created,) = daemon.sent("CollectionService/CreateCollection", collection_pb.CreateCollectionRequest)
    assert created.parent_id == "col_1"


def test_a_listing_fetches_on_as_it_is_read(client: Client, daemon: FakeDaemon) -> None:
    def page(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        token = project_pb.ListProjectsRequest.FromString(_request).page_token or "0"
        names = {"0": ["a", "b"], "1": [], "2": ["c"]}[token]
        reply = project_pb.ListProjectsResponse(next_page_token={"0": "1", "1": "2", "2": ""}[token])
        reply.projects.extend(project_pb.Project(name=name) for name in names)
        return reply.SerializeToString()

    daemon.answers["ProjectService/ListProjects"] = page
    projects = client.projects.list(page_size=2)
    assert ([p.name for p in projects.items], projects.next_token, len(daemon.requests)) == (["a", "b"], "1", 1)
    assert projects[0].name == "a"
    assert len(daemon.requests) == 1
    assert [p.name for p in projects] == [p.name for p in list(projects)] == ["a", "b", "c"]
    assert (projects[-1].name, len(projects), projects.next_token, len(daemon.requests)) == ("c", 3, "", 3)
    assert [p.name for p in client.projects.list(page_token="2")] == ["c"]


def test_an_error_keeps_its_reason_metadata_and_next_step(client: Client, daemon: FakeDaemon) -> None:
    daemon.fail("AssetService/GetAsset", FerryError("ASSET_NOT_FOUND", "there is no asset x", assetId="x"))
    with pytest.raises(DaemonError) as caught:
        client.get_metadata("x")
    error = caught.value
    assert (error.code, error.reason, error.metadata) == ("not_found", "ASSET_NOT_FOUND", {"assetId": "x"})
    assert error.next_step in str(error)


def test_an_unreachable_hub_is_not_an_unreachable_daemon(client: Client, daemon: FakeDaemon) -> None:
    daemon.fail("AssetService/GetAsset", FerryError("HUB_UNREACHABLE", "no route", hub="http://h", retry_after_s=3.0))
    with pytest.raises(DaemonError) as caught:
        client.get_metadata("x")
    assert not isinstance(caught.value, ferryman.ConnectionError)
    assert (caught.value.code, caught.value.retryable) == ("unavailable", True)


def test_a_code_without_our_details_stays_that_code(client: Client, daemon: FakeDaemon) -> None:
    daemon.fail("AssetService/GetAsset", grpc.StatusCode.FAILED_PRECONDITION)
    with pytest.raises(DaemonError) as caught:
        client.get_metadata("x")
    assert (caught.value.code, caught.value.reason) == ("failed_precondition", "")
    with pytest.raises(DaemonError) as unknown:
        client.daemon.info()
    assert unknown.value.code == "unimplemented"


def test_a_timeout_leaves_the_channel_usable(daemon: FakeDaemon) -> None:
    daemon.reply(WHO, ME)
    held = threading.Event()
    daemon.answers["AssetService/GetAsset"] = lambda _request, _context: held.wait(60) and b""
    with Client(auto_start=False, request_timeout_s=0.05) as client:
        with pytest.raises(DaemonTimeoutError) as caught:
            client.get_metadata("x")
        held.set()
        assert caught.value.code == "deadline_exceeded"
        client._connection.request_timeout_s = 30.0
        assert client.auth_status().user_id == "usr_1"


def test_a_call_is_repeated_with_its_request_id_when_the_daemon_is_stopping(
    client: Client, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferryman.channel.GONE_S", 0.0)
    stopping = FerryError("SHUTTING_DOWN", "stopping")
    daemon.fail("ProjectService/CreateProject", stopping, then=project_pb.Project(project_id="prj_1"))
    assert client.create_project("P").project_id == "prj_1"
    first, second = daemon.sent("ProjectService/CreateProject", project_pb.CreateProjectRequest)
    assert first.request_id == second.request_id
    daemon.fail("ProjectService/CreateProject", stopping)
    with pytest.raises(DaemonError) as caught:
        client.create_project("P")
    assert caught.value.reason == "SHUTTING_DOWN"


def test_a_daemon_that_dies_during_a_call_is_a_connection_error_and_the_next_one_is_used(
    client: Client, daemon: FakeDaemon
) -> None:
    began = threading.Event()
    daemon.answers["AssetService/GetAsset"] = hang_until_over(began)
    daemon.reply(WHO, ME)
    killer = threading.Thread(target=lambda: (began.wait(60), daemon.stop()))
    killer.start()
    with pytest.raises(ferryman.ConnectionError) as caught:
        client.get_metadata("x")
    killer.join()
    assert caught.value.code == "unavailable"
    with pytest.raises(ferryman.ConnectionError, match="auto_start is off"):
        client.auth_status()
    daemon.start()
    assert client.auth_status().user_id == "usr_1"


def test_a_daemon_restarted_between_calls_goes_unnoticed(client: Client, daemon: FakeDaemon) -> None:
    daemon.reply(WHO, ME)
    for _ in range(3):
        assert client.auth_status().user_id == "usr_1"
        daemon.stop()
        daemon.start()


def test_closing_while_a_call_runs_ends_it_with_an_error(daemon: FakeDaemon) -> None:
    client = Client(auto_start=False)
    began = threading.Event()
    daemon.answers["AssetService/GetAsset"] = hang_until_over(began)
    closer = threading.Thread(target=lambda: (began.wait(60), client.close()))
    closer.start()
    with pytest.raises(DaemonError) as caught:
        client.get_metadata("x")
    closer.join()
    assert caught.value.code == "cancelled"


def test_many_threads_share_one_client(client: Client, daemon: FakeDaemon) -> None:
    daemon.reply(WHO, ME)
    client._connection.drop(client._connection._wire)
    seen: list[str] = []
    threads = [threading.Thread(target=lambda: seen.append(client.auth_status().user_id)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["usr_1"] * 16


def test_an_unusual_socket_path_works(runtime: Path) -> None:
    runtime.mkdir(mode=0o700)
    fake = FakeDaemon(runtime / "a b%41#?é.sock")
    fake.reply(WHO, ME)
    with Client(socket_path=fake.path, auto_start=False) as client:
        assert client.auth_status().user_id == "usr_1"
    fake.stop()


def test_a_read_and_a_creation_are_asked_again_when_the_daemon_goes_away_with_them(
    client: Client, daemon: FakeDaemon
) -> None:
    daemon.fail(WHO, grpc.StatusCode.UNAVAILABLE, then=ME)
    assert client.auth_status().user_id == "usr_1"
    lost = grpc.StatusCode.UNAVAILABLE
    daemon.fail("ProjectService/CreateProject", lost, then=project_pb.Project(project_id="prj_1"))
    assert client.create_project("P").project_id == "prj_1"
    first, second = daemon.sent("ProjectService/CreateProject", project_pb.CreateProjectRequest)
    assert first.request_id == second.request_id


def test_a_change_that_may_have_been_made_is_not_asked_again(client: Client, daemon: FakeDaemon) -> None:
    daemon.fail("AssetService/UpdateAsset", grpc.StatusCode.UNAVAILABLE, then=asset_pb.Asset(asset_id="ast_1"))
    with pytest.raises(ferryman.ConnectionError, match="went away"):
        client.set_metadata("ast_1", title="T")
    assert len(daemon.sent("AssetService/UpdateAsset", asset_pb.UpdateAssetRequest)) == 1
