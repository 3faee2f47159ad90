"""The acceptance scenarios S01 to S09, each against a daemon that its first call starts."""

from __future__ import annotations

from pathlib import Path

import pytest

import ferryman
from ferryman import Client, DaemonError, DaemonTimeoutError, ProgressEvent
from tests.support.files import MIB, make_file
from tests.support.home import Home
from tests.support.waiting import wait_for

pytestmark = pytest.mark.usefixtures("configuration")


def upload(client: Client, path: Path, project_id: str, title: str = "Data", **fields: object) -> ferryman.UploadResult:
    return client.upload(path, title=title, owner_type="project", owner_id=project_id, **fields)  # type: ignore[arg-type]


class raises:
    """`with raises("not_found"):` asserts the code of the DaemonError."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, _: object) -> bool:
        assert isinstance(error, DaemonError), f"expected DaemonError({self.code}), got {error!r}"
        assert error.code == self.code, f"expected {self.code}, got {error!r}"
        return True


def test_s01_quick_start(home: Home, table: Path) -> None:
    assert not home.daemons()
    with Client() as client:
        assert "@" in client.auth_status().user_email
        project = client.create_project("My dataset project", description="Demo")
        result = upload(client, table, project.project_id)
        got = client.download(result.asset_id, dest_dir=home.root / "dl")
    assert got.files[0].size == 8
    assert Path(got.files[0].local_path).read_bytes() == b"a,b\n1,2\n"


def test_s02_a_project_provisions_everything(client: Client) -> None:
    project = client.create_project("P")
    me = client.auth_status()
    assert client.collections.get(project.root_collection_id).parent is None
    assert [(g.email, g.role) for g in client.grants.list(project.project_id)] == [(me.user_email, "owner")]
    assert project.default_allocation.quota_bytes > 0


def test_s03_keyword_arguments(client: Client, project_id: str, table: Path) -> None:
    collection = client.collections.create("Runs", parent=client.projects.get(project_id).root_collection_id)
    fields = {
        "description": "first run",
        "alias": "raw-1",
        "tags": ["csv", "demo"],
        "metadata": {"k": 1, "nested": {"list": [1, 2.5, None, True, "x"]}},
        "collection_id": collection.collection_id,
    }
    result = upload(client, table, project_id, **fields)
    meta = client.get_metadata(result.asset_id)
    assert {name: getattr(meta, name) for name in fields} == fields
    assert isinstance(meta.metadata["k"], int)
    assert client.get_metadata("RAW-1").asset_id == result.asset_id
    with raises("already_exists"):
        upload(client, table, project_id, alias="Raw-1")
    with pytest.raises(TypeError):
        client.upload(table, owner_type="project", owner_id=project_id)  # type: ignore[call-arg]
    with raises("invalid_argument"):
        client.upload(table, title="t", owner_type="org", owner_id=project_id)


def test_s04_progress(client: Client, home: Home, project_id: str) -> None:
    path = make_file(home.data / "big", 200 * MIB)
    events: list[ProgressEvent] = []
    upload(client, path, project_id, chunk_size_mb=8, on_progress=events.append)
    assert {event.chunk_count for event in events} == {25}
    done = [event.bytes_done for event in events]
    assert done == sorted(done)
    assert [event.percent for event in events if event.percent == 100] == [100]
    assert events[-1].percent == 100
    assert events[-1].bytes_done == events[-1].bytes_total == 200 * MIB


def test_s04_a_raising_callback_leaves_no_half_asset(client: Client, home: Home, project_id: str) -> None:
    path = make_file(home.data / "big", 64 * MIB)

    def fail(event: ProgressEvent) -> None:
        raise ValueError(event.transfer_id)

    with pytest.raises(ValueError) as caught:
        upload(client, path, project_id, on_progress=fail)
    result = client.transfers.get(str(caught.value)).wait(timeout_s=60)
    assert client.assets.get(result.asset_id).size_bytes == 64 * MIB


def test_s05_metadata(client: Client, project_id: str, table: Path) -> None:
    result = upload(client, table, project_id, description="kept", tags=["a"])
    changed = client.set_metadata(result.asset_id, title="v2", tags=["csv"])
    assert (changed.title, changed.tags, changed.description) == ("v2", ["csv"], "kept")
    assert client.set_metadata(result.asset_id, tags=[]).tags == []
    with raises("invalid_argument"):
        client.set_metadata(result.asset_id, colour="red")
    assert client.get_metadata(result.asset_id).latest_content_id == result.content_id
    assert [content.version for content in client.contents.list(result.asset_id)] == [1]


def test_s06_relationships(client: Client, project_id: str, table: Path) -> None:
    raw, made = upload(client, table, project_id, "Raw"), upload(client, table, project_id, "Made")
    one = client.create_relationship(made.asset_id, raw.asset_id, "analysis_of", analysis_mode="in_situ")
    two = client.create_relationship(
        made.asset_id,
        raw.asset_id,
        relationship_type="derived_from",
        qualifier_note="by hand",
        qualifier_time="2026-11-21T10:00:00Z",
        qualifiers={"tool": "pycroscopy", "n": 3},
    )
    assert one.type == "analysis_of"
    assert one.related_asset is not None
    assert one.related_asset["id"] == raw.asset_id
    incoming = list(client.relationships.list(raw.asset_id, direction="in"))
    assert [link.relationship_id for link in incoming] == [one.relationship_id, two.relationship_id]
    assert incoming[1].related_asset is not None
    assert incoming[1].related_asset["id"] == made.asset_id
    assert (incoming[1].qualifier_note, incoming[1].qualifiers) == ("by hand", {"tool": "pycroscopy", "n": 3})
    assert incoming[1].qualifier_time == "2026-11-21T10:00:00Z"
    for bad in (
        {"rel_type": "a", "relationship_type": "b"},
        {},
        {"rel_type": "a", "analysis_mode": "bad"},
        {"rel_type": "x" * 256},
        {"rel_type": "a", "qualifier_time": "yesterday"},
        {"rel_type": "a", "qualifiers": {"n": float("nan")}},
    ):
        with raises("invalid_argument"):
            client.create_relationship(made.asset_id, raw.asset_id, **bad)  # type: ignore[arg-type]
    assert len(list(client.relationships.list(raw.asset_id))) == 2


def test_s08_errors(client: Client, home: Home, project_id: str, table: Path) -> None:
    with raises("not_found"):
        client.download("ast_00000000000000000000000000", dest_dir=home.root / "dl")
    with Client(request_timeout_s=1e-6) as hasty, pytest.raises(DaemonTimeoutError):
        hasty.get_metadata("nobody")
    assert client.projects.get(project_id).project_id == project_id


def test_s08_a_timeout_does_not_poison_the_client(client: Client, home: Home, project_id: str) -> None:
    path = make_file(home.data / "big", 64 * MIB)
    client.transfers.set_limits(bandwidth_bps=MIB)
    with pytest.raises(DaemonTimeoutError):
        upload(client, path, project_id, transfer_timeout_s=0.2)
    client.transfers.set_limits(bandwidth_bps=0)
    [transfer] = client.transfers.list()
    client.transfers.get(transfer.transfer_id).wait(timeout_s=60)
    assert len(list(client.assets.list(project=project_id))) == 1


def test_s08_a_daemon_killed_during_a_call_is_a_connection_error(client: Client, home: Home, project_id: str) -> None:
    path = make_file(home.data / "big", 64 * MIB)
    client.transfers.set_limits(bandwidth_bps=MIB)
    transfer = client.transfers.upload(path, title="t", owner_type="project", owner_id=project_id)
    wait_for(lambda: client.transfers.get(transfer.id).info().state == "running", what="the transfer to run")
    with pytest.raises(ConnectionError) as caught:
        transfer.wait(on_progress=lambda _: home.kill_daemons())
    assert isinstance(caught.value, ferryman.ConnectionError)
    assert transfer.id in str(caught.value)
    client.transfers.set_limits(bandwidth_bps=0)  # a new daemon answers, and goes on with the transfer
    assert client.transfers.get(transfer.id).wait(timeout_s=60).asset_id.startswith("ast_")


def test_s09_versions(client: Client, home: Home, project_id: str, table: Path) -> None:
    first = upload(client, table, project_id)
    table.write_bytes(b"a,b\n3,4\n")
    second = client.update_content(first.asset_id, table, message="corrected")
    again = client.upload(table, asset=first.asset_id)  # type: ignore[call-arg]
    assert (second.asset_id, again.content_id) == (first.asset_id, second.content_id)
    versions = list(client.contents.list(first.asset_id))
    assert [(v.version, v.content_id) for v in versions] == [(2, second.content_id), (1, first.content_id)]
    assert versions[0].message == "corrected"
    new = client.download(first.asset_id, home.root / "new").files[0]
    old = client.download(first.asset_id, home.root / "old", content_id=first.content_id).files[0]
    assert Path(new.local_path).read_bytes() == b"a,b\n3,4\n"
    assert Path(old.local_path).read_bytes() == b"a,b\n1,2\n"
