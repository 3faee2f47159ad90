"""Three hubs behind a round-robin proxy, on PostgreSQL and an S3 store: the main job, while hubs are killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman import Client
from tests.support.configurations import FLEET, Configuration, Service, only
from tests.support.files import MIB, make_file, same_bytes
from tests.support.fleet import Fleet
from tests.support.home import Home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PART = 5 * MIB


@pytest.fixture
def hubs(fleet_service: Service, home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """The three hubs of the main job's tests, none of which is killed meanwhile."""
    monkeypatch.setenv("FERRYMAN_HUB", fleet_service.hubs.url)
    monkeypatch.setenv("FERRYMAN_TOKEN", fleet_service.hubs.token(f"{home.root.name}@x.org"))
    with fleet_service.hubs.whole:
        yield fleet_service.hubs


def test_each_call_may_meet_another_hub(home: Home, hubs: Fleet) -> None:
    path = make_file(home.data / "f", 2 * PART + 1)
    before = dict(hubs.proxy.given)
    with Client() as client:
        project = client.create_project("P").project_id
        for title in ("a", "b", "c"):
            hubs.proxy.cut()  # the next call gets a connection of its own
            result = client.upload(path, title=title, owner_type="project", owner_id=project)
            hubs.proxy.cut()
            got = client.download(result.asset_id, home.root / title)
            assert same_bytes(path, Path(got.files[0].local_path))
    assert all(hubs.proxy.given[port] > count for port, count in before.items()), (before, hubs.proxy.given)


@only(FLEET, because="the others kill none")
def test_the_main_job_while_hubs_are_killed(configuration: Configuration, client: Client, project_id: str) -> None:
    assert configuration.service is not None
    home, hubs = configuration.home, configuration.service.hubs
    sources = [make_file(home.data / f"run{number}", 3 * PART + number, seed=number) for number in range(4)]
    kills = hubs.kills
    client.transfers.set_limits(bandwidth_bps=8 * MIB)
    uploads = [
        client.transfers.upload(path, title=path.name, owner_type="project", owner_id=project_id, chunk_size_mb=5)
        for path in sources
    ]
    assets = [upload.wait(timeout_s=120).asset_id for upload in uploads]
    downloads = [client.transfers.download(asset, home.root / "dl") for asset in assets]
    for path, download in zip(sources, downloads, strict=True):
        (file,) = download.wait(timeout_s=120).files
        assert same_bytes(path, Path(file.local_path))
    client.create_relationship(assets[0], assets[1], "derived_from")
    number = 0
    while hubs.kills < kills + 3:  # whatever is asked meanwhile is answered
        number += 1
        client.set_metadata(assets[0], metadata={"run": number})
        assert client.get_metadata(assets[0]).metadata == {"run": number}
        assert {asset.title for asset in client.assets.list(project=project_id)} == {path.name for path in sources}
