"""Round trips at the sizes where part arithmetic goes wrong: identical bytes, exact progress, no empty last part."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferryman import Client, ProgressEvent
from tests.support.configurations import EMBEDDED, FLEET, HUB, REMOTE, only
from tests.support.files import MIB, make_file, make_sparse, same_bytes, tree
from tests.support.home import Home

PART = 5 * MIB
SIZES = {0: 0, 1: 1, PART - 1: 1, PART: 1, PART + 1: 2, 2 * PART: 2}

pytestmark = pytest.mark.usefixtures("configuration")
#: Over HTTP to the hub itself, too.
everywhere = only(EMBEDDED, REMOTE, HUB, FLEET)


@everywhere
def test_edge_sizes(client: Client, home: Home) -> None:
    project_id = client.create_project("P").project_id
    for size, parts in SIZES.items():
        path = make_file(home.data / f"{size}.bin", size, seed=size)
        events: list[ProgressEvent] = []
        result = client.upload(
            path,
            title=path.name,
            owner_type="project",
            owner_id=project_id,
            chunk_size_mb=PART // MIB,
            on_progress=events.append,
        )
        assert (events[-1].bytes_done, events[-1].bytes_total) == (size, size)
        assert (events[-1].chunk_index, events[-1].chunk_count) == (parts, parts)
        assert events[-1].percent == 100
        down: list[ProgressEvent] = []
        got = client.download(result.asset_id, home.root / str(size), on_progress=down.append)
        assert same_bytes(path, Path(got.files[0].local_path))
        assert got.files[0].size == size
        assert (down[-1].bytes_done, down[-1].bytes_total, down[-1].percent) == (size, size, 100)
        assert tree(home.root / str(size)) == {path.name: size}


@pytest.mark.slow
@only(EMBEDDED, because="a store would really write them")
def test_five_gib_sparse(client: Client, home: Home, project_id: str) -> None:
    size = 5 << 30
    path = make_sparse(home.data / "sparse", size, marks=(0, 3 << 30, size - 1))
    result = client.upload(path, title="sparse", owner_type="project", owner_id=project_id)
    assert (result.size_bytes, result.file_count) == (size, 1)
    got = client.download(result.asset_id, home.root / "dl").files[0]
    assert got.size == size
    assert same_bytes(path, Path(got.local_path))


@everywhere
def test_a_directory_is_one_asset_with_relative_paths(client: Client, home: Home) -> None:
    project_id = client.create_project("P").project_id
    root = home.data / "run1"
    expected = {"a.txt": 3, "sub/b.bin": 3 * MIB, "sub/deep/empty": 0, "sub/näme with space.txt": 5}
    for seed, (name, size) in enumerate(expected.items()):
        make_file(root / name, size, seed=seed)
    result = client.upload(root, title="Run 1", owner_type="project", owner_id=project_id, chunk_size_mb=1)
    assert result.file_count == len(expected)
    got = client.download(result.asset_id, home.root / "dl")
    assert sorted(file.path for file in got.files) == sorted(expected)
    assert tree(home.root / "dl") == expected
    assert all(same_bytes(root / name, home.root / "dl" / name) for name in expected)
    some = client.download(result.asset_id, home.root / "some", include=["sub/*.bin"])
    assert [file.path for file in some.files] == ["sub/b.bin"]


@everywhere
def test_a_list_of_paths_is_one_asset(client: Client, home: Home, project_id: str) -> None:
    one, two = make_file(home.data / "one.bin", 10), make_file(home.data / "dir" / "two.bin", 20)
    result = client.upload([one, two.parent], title="Both", owner_type="project", owner_id=project_id)
    client.download(result.asset_id, home.root / "dl")
    assert tree(home.root / "dl") == {"one.bin": 10, "dir/two.bin": 20}
