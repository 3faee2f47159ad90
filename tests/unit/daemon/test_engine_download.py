"""Downloads through the engine, nothing going wrong but what is at the destination."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferryd.core.model import DownloadSpec, IfExists
from ferryd.core.states import State
from ferrywire.parts import MIB
from tests.support.engine import bench
from tests.support.files import tree

DATA = {"a/x.bin": b"x" * (2 * MIB + 5), "a/y.csv": b"1,2\n", "empty": b"", "z": b"z" * MIB}


async def test_every_file_arrives_and_nothing_else(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        content = b.hub.add_content(DATA)
        dest = tmp_path / "dest"
        queued = await b.engine.create_download(DownloadSpec(content.asset_id, str(dest)))
        done = await b.settled(queued.id)
        assert done.state is State.SUCCEEDED, done.error
        assert tree(dest) == {path: len(data) for path, data in DATA.items()}
        assert all((dest / path).read_bytes() == data for path, data in DATA.items())
        assert done.persisted_bytes == done.size_bytes == content.size_bytes
        assert (done.chunk_index, done.chunk_count, done.file_count) == (5, 5, 4)
        assert (done.title, done.content_id, done.digest) == ("title", content.content_id, content.digest)
        files = (await b.engine.list_files(done.id)).items
        assert [(file.path, file.local_path, file.skipped) for file in files] == [
            (path, str(dest / path), False) for path in DATA
        ]


async def test_many_small_files(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        data = {f"d/{number:04d}": bytes([number % 256]) * number for number in range(500)}
        content = b.hub.add_content(data)
        queued = await b.engine.create_download(DownloadSpec(content.asset_id, str(tmp_path / "dest")))
        assert (await b.settled(queued.id)).state is State.SUCCEEDED
        assert tree(tmp_path / "dest") == {path: len(one) for path, one in data.items()}


async def test_include_chooses_files_and_nothing_chosen_is_an_error(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        asset_id = b.hub.add_content(DATA).asset_id
        chosen = DownloadSpec(asset_id, str(tmp_path / "dest"), include=("*.csv", "emp?y"))
        done = await b.settled((await b.engine.create_download(chosen)).id)
        assert done.state is State.SUCCEEDED and set(tree(tmp_path / "dest")) == {"a/y.csv", "empty"}
        assert done.size_bytes == 4
        none = DownloadSpec(asset_id, str(tmp_path / "dest"), include=("*.parquet",))
        failed = await b.settled((await b.engine.create_download(none)).id)
        assert failed.error is not None and failed.error.reason == "INVALID_ARGUMENT"


async def test_an_equal_file_counts_as_done(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        content = b.hub.add_content(DATA)
        (tmp_path / "z").write_bytes(DATA["z"])
        done = await b.settled((await b.engine.create_download(DownloadSpec(content.asset_id, str(tmp_path)))).id)
        assert done.state is State.SUCCEEDED
        assert [file.path for file in (await b.engine.list_files(done.id)).items if file.skipped] == ["z"]
        assert (await b.engine.statistics()).received_bytes == content.size_bytes - len(DATA["z"])


@pytest.mark.parametrize("policy", list(IfExists))
async def test_a_different_file_is_treated_as_asked(tmp_path: Path, policy: IfExists) -> None:
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "z").write_bytes(b"mine")
    async with bench(tmp_path) as b:
        content = b.hub.add_content(DATA)
        spec = DownloadSpec(content.asset_id, str(dest), if_exists=policy)
        done = await b.settled((await b.engine.create_download(spec)).id)
        files = {file.path: file for file in (await b.engine.list_files(done.id)).items}
    if policy is IfExists.FAIL:
        assert done.error is not None and done.error.reason == "DESTINATION_EXISTS"
        assert tree(dest) == {"z": 4}, "nothing may be fetched before"
        return
    assert done.state is State.SUCCEEDED, done.error
    kept = (dest / "z").read_bytes() == b"mine"
    assert kept == (policy is not IfExists.REPLACE)
    assert files["z"].skipped == (policy is IfExists.SKIP)
    assert Path(files["z"].local_path).name == ("z (1)" if policy is IfExists.RENAME else "z")


async def test_a_path_out_of_the_directory_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        content = b.hub.add_content({"ok": b"1", "../evil": b"2"})
        spec = DownloadSpec(content.asset_id, str(tmp_path / "dest"))
        failed = await b.settled((await b.engine.create_download(spec)).id)
        assert failed.error is not None and failed.error.reason == "UNSAFE_PATH"
        assert not b.lanes.received and not (tmp_path / "evil").exists()


async def test_an_unknown_asset_fails(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        failed = await b.settled((await b.engine.create_download(DownloadSpec("ast_0", str(tmp_path)))).id)
        assert failed.state is State.FAILED
        assert failed.error is not None and failed.error.reason == "ASSET_NOT_FOUND"
