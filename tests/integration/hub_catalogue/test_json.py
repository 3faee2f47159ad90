"""The catalogue over HTTP with JSON, on a hub in a process of its own."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from tests.integration.hub_catalogue.conftest import JsonCaller, refusal
from tests.support.hubs import HubServer


@pytest.fixture
def project(ann: JsonCaller) -> Any:
    return ann("ProjectService/CreateProject", name="P")


def draft(caller: JsonCaller, owner_id: str, **fields: Any) -> str:
    """A new asset, made ready by committing an empty file."""
    asset = {"title": "A", "ownerType": "project", "ownerId": owner_id, **fields}
    session = caller(
        "ContentService/CreateUpload",
        newAsset=asset,
        files=[{"path": "empty", "sizeBytes": 0, "partSizeBytes": 1 << 20}],
        totalSizeBytes=0,
        totalFileCount=1,
        requestId=str(uuid.uuid4()),
    )
    return str(session["assetId"])


def test_healthz_needs_no_token(served: HubServer) -> None:
    reply = httpx.get(f"{served.url}/healthz")
    assert (reply.status_code, reply.text) == (200, "ok")
    assert "server" not in reply.headers


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/ferryapi.hub.v1.NoService/Get", "/ferryapi.hub.v1.AssetService/No"]
)
def test_unknown_paths_are_404(ann: JsonCaller, path: str) -> None:
    assert ann.client.post(path, json={}).status_code == 404


def test_create_project_provisions_everything(ann: JsonCaller) -> None:
    me = ann("AccessService/GetIdentity")
    assert (me["email"], me["scopes"]) == ("ann@x.org", ["read", "write"])
    project = ann("ProjectService/CreateProject", name="P", description="d")
    assert int(project["defaultAllocation"]["quotaBytes"]) > 0
    root = ann("CollectionService/GetCollection", collectionId=project["rootCollectionId"])
    assert "parentId" not in root
    assert (root["path"], root["ownerType"], root["ownerId"]) == ("/", "project", project["projectId"])
    grants = ann("AccessService/ListGrants", resourceId=project["projectId"])["grants"]
    assert [(grant["email"], grant["role"]) for grant in grants] == [("ann@x.org", "owner")]
    assert grants[0]["principalId"] == me["principalId"]


def test_read_only_token_creates_nothing(served: HubServer) -> None:
    reader = JsonCaller(served.url, served.token("reader@x.org", "read"))
    with reader.client:
        refused = reader.refused("ProjectService/CreateProject", name="P")
        assert refused == ("permission_denied", "SCOPE_DENIED", {"scope": "write"})
        assert reader("ProjectService/ListProjects") == {}


def test_request_id_makes_create_repeatable(ann: JsonCaller) -> None:
    request_id = str(uuid.uuid4())
    twice = [ann("ProjectService/CreateProject", name="once", requestId=request_id) for _ in range(2)]
    assert twice[0] == twice[1]
    refused = ann.refused("ProjectService/CreateProject", name="other", requestId=request_id)
    assert refused == ("invalid_argument", "REQUEST_ID_REUSED", {"requestId": request_id})


def test_metadata_round_trip_and_partial_update(ann: JsonCaller, project: Any) -> None:
    said = {"k": 1, "deep": {"list": [1.5, "x", None, True]}}
    asset_id = draft(ann, project["projectId"], description="d", tags=["a"], metadata=said)
    asset = ann("AssetService/GetAsset", assetId=asset_id)
    assert (asset["metadata"], asset["tags"], asset["state"]) == (said, ["a"], "DRAFT")
    change = {"asset": {"assetId": asset_id, "title": "v2", "tags": []}, "updateMask": "title,tags"}
    changed = ann("AssetService/UpdateAsset", **change)
    assert (changed["title"], changed["description"], changed["metadata"]) == ("v2", "d", said)
    assert "tags" not in changed
    assert changed["etag"] != asset["etag"]
    stale = {"asset": {"assetId": asset_id, "title": "v3", "etag": asset["etag"]}, "updateMask": "title"}
    assert ann.refused("AssetService/UpdateAsset", **stale) == ("aborted", "ETAG_MISMATCH", {"assetId": asset_id})


def test_unknown_mask_path_names_the_field(ann: JsonCaller, project: Any) -> None:
    asset_id = draft(ann, project["projectId"])
    body = {"asset": {"assetId": asset_id}, "updateMask": "title,sizeBytes"}
    assert ann.refused("AssetService/UpdateAsset", **body) == (
        "invalid_argument",
        "UNKNOWN_FIELD",
        {"field": "size_bytes"},
    )


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        (b'{"nam": "P"}', "UNKNOWN_FIELD", "nam"),
        (b'{"name": "P", "colour": 1}', "UNKNOWN_FIELD", "colour"),
        (b'{"name": 7}', "INVALID_ARGUMENT", "body"),
        (b'{"name": ', "INVALID_ARGUMENT", "body"),
        (b'{"name": "\xff"}', "INVALID_ARGUMENT", "body"),
        (b'{"name": ""}', "INVALID_ARGUMENT", "name"),
        (b"{}", "INVALID_ARGUMENT", "name"),
    ],
)
def test_bad_bodies_are_refused_with_a_reason(ann: JsonCaller, body: bytes, reason: str, field: str) -> None:
    reply = ann.post("ProjectService/CreateProject", body)
    assert reply.status_code == 400
    assert refusal(reply) == ("invalid_argument", reason, {"field": field})


def test_not_finite_numbers_are_refused(ann: JsonCaller, project: Any) -> None:
    asset_id = draft(ann, project["projectId"])
    nested = b'{"asset": {"assetId": "%s", "metadata": {"x": NaN}}, "updateMask": "metadata"}' % asset_id.encode()
    code, reason, _ = refusal(ann.post("AssetService/UpdateAsset", nested))
    assert (code, reason) == ("invalid_argument", "INVALID_ARGUMENT")


def test_bad_protobuf_is_refused_with_a_reason(ann: JsonCaller) -> None:
    headers = {"content-type": "application/proto"}
    path = "/ferryapi.hub.v1.ProjectService/CreateProject"
    reply = ann.client.post(path, content=b"\xff\xff\xff", headers=headers)
    assert refusal(reply) == ("invalid_argument", "INVALID_ARGUMENT", {"field": "body"})


def test_too_large_a_request_is_refused(ann: JsonCaller) -> None:
    limit = 32 << 20
    body = b'{"name": "' + b"x" * limit + b'"}'
    code, reason, metadata = refusal(ann.post("ProjectService/CreateProject", body))
    assert (code, reason, metadata) == ("resource_exhausted", "TOO_LARGE", {"limitBytes": str(limit)})


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "NOT_SIGNED_IN"),
        ("Bearer fat_nonsense", "TOKEN_INVALID"),
        ("Basic YTpi", "TOKEN_INVALID"),
    ],
)
def test_without_a_good_token(served: HubServer, header: str | None, reason: str) -> None:
    headers = {"authorization": header} if header else {}
    # The principal of an in-process caller cannot come over the network.
    headers["ferryman.principal"] = headers["x-ferryman-principal"] = "usr_1"
    reply = httpx.post(f"{served.url}/ferryapi.hub.v1.AccessService/GetIdentity", json={}, headers=headers)
    assert reply.status_code == 401
    assert refusal(reply) == ("unauthenticated", reason, {})


def test_token_is_checked_before_the_body_is_read(served: HubServer) -> None:
    reply = httpx.post(
        f"{served.url}/ferryapi.hub.v1.AccessService/GetIdentity",
        content=b"{broken",
        headers={"content-type": "application/json"},
    )
    assert refusal(reply)[1] == "NOT_SIGNED_IN"


def test_invisible_and_forbidden(ann: JsonCaller, bob: JsonCaller, project: Any) -> None:
    asset_id = draft(ann, project["projectId"])
    refused = bob.refused("AssetService/GetAsset", assetId=asset_id)
    assert refused == ("not_found", "ASSET_NOT_FOUND", {"assetId": asset_id})
    grant = {"principalId": "bob@x.org", "resourceId": project["projectId"], "role": "viewer"}
    assert ann("AccessService/SetGrant", grant=grant)["email"] == "bob@x.org"
    create = {"name": "c", "parentId": project["rootCollectionId"]}
    assert bob.refused("CollectionService/CreateCollection", **create)[:2] == ("permission_denied", "PERMISSION_DENIED")
    ann("AccessService/RemoveGrant", resourceId=project["projectId"], principalId="bob@x.org")
    assert bob.refused("ProjectService/GetProject", projectId=project["projectId"])[1] == "PROJECT_NOT_FOUND"
    alone = {"resourceId": project["projectId"], "principalId": "ann@x.org"}
    assert ann.refused("AccessService/RemoveGrant", **alone)[:2] == ("failed_precondition", "LAST_OWNER")


def test_relationships_and_lineage(ann: JsonCaller, project: Any) -> None:
    raw, clean, plot = (draft(ann, project["projectId"], title=title) for title in ("raw", "clean", "plot"))
    for source, target in ((clean, raw), (plot, clean)):
        link = {"fromAssetId": source, "toAssetId": target, "type": "derived_from", "qualifiers": {"tool": "x"}}
        made = ann("RelationshipService/CreateRelationship", relationship=link)
        assert (made["type"], made["qualifiers"]) == ("derived_from", {"tool": "x"})
    listed = ann("RelationshipService/ListRelationships", assetId=clean, direction="DIRECTION_DERIVED")
    assert [each["fromAssetId"] for each in listed["relationships"]] == [plot]
    both = ann("RelationshipService/ListRelationships", assetId=clean)["relationships"]
    assert [each["toAssetId"] for each in both] == [raw, clean]
    alone = ann("RelationshipService/GetLineage", assetId=plot)
    assert [each["asset"]["assetId"] for each in alone["assets"]] == [plot]  # drafts are not walked to
    bad = {"fromAssetId": plot, "toAssetId": raw, "type": "x", "analysisMode": "bad"}
    assert ann.refused("RelationshipService/CreateRelationship", relationship=bad)[2] == {"field": "analysis_mode"}
    for each in both:
        ann("RelationshipService/DeleteRelationship", relationshipId=each["relationshipId"])
    assert ann("RelationshipService/ListRelationships", assetId=clean) == {}


def test_pages_over_http(ann: JsonCaller, bob: JsonCaller, project: Any) -> None:
    parent = project["rootCollectionId"]
    for name in "cab":
        ann("CollectionService/CreateCollection", name=name, parentId=parent)
    first = ann("CollectionService/ListCollections", parentId=parent, pageSize=2)
    token = first["nextPageToken"]
    second = ann("CollectionService/ListCollections", parentId=parent, pageSize=2, pageToken=token)
    names = [each["name"] for page in (first, second) for each in page["collections"]]
    assert names == ["a", "b", "c"]
    assert "nextPageToken" not in second
    wrong = ann.refused("ProjectService/ListProjects", pageToken=token)
    assert wrong == ("invalid_argument", "PAGE_TOKEN_INVALID", {})
    negative = ann.refused("CollectionService/ListCollections", parentId=parent, pageSize=-1)
    assert negative[2] == {"field": "page_size"}


def test_everything_survives_a_kill(served: HubServer, ann: JsonCaller, bob: JsonCaller) -> None:
    made = ann("ProjectService/CreateProject", name="durable", alias="durable")
    first = ann("ProjectService/ListProjects", pageSize=1)
    served.kill()
    served.start()
    assert ann("ProjectService/GetProject", projectId="durable") == made
    more = ann("ProjectService/ListProjects", pageSize=1, pageToken=first["nextPageToken"])
    assert more["projects"][0]["projectId"] != first["projects"][0]["projectId"]
    assert bob.refused("ProjectService/CreateProject", name="x", alias="DURABLE")[1] == "ALIAS_TAKEN"
