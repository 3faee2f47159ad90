"""Which paths an upload takes: globs, patterns, and that the list of a dry run is what the daemon takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ferryd.lanes.scan import scan
from ferryman.cli import selection
from ferryman.cli.exits import Exit
from ferryman.cli.faults import Problem
from ferryman.cli.upload import default_title
from ferrywire import patterns
from ferrywire.reasons import FerryError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.csv", "b.tmp", "raw/1.dat", "raw/2.dat", ".git/config", "notes/x.txt", "notes/x.tmp"):
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 3)
    return tmp_path / "run"


def chosen(tree: Path, include: list[str], exclude: list[str]) -> list[str]:
    return sorted(file.path for file in selection.files([str(tree)], patterns.selection(include, exclude)))


def test_patterns_reach_every_depth_and_no_path_changes(tree: Path) -> None:
    everything = [".git/config", "a.csv", "b.tmp", "notes/x.tmp", "notes/x.txt", "raw/1.dat", "raw/2.dat"]
    assert chosen(tree, [], []) == everything
    assert chosen(tree, [], ["*.tmp", ".git"]) == ["a.csv", "notes/x.txt", "raw/1.dat", "raw/2.dat"]
    assert chosen(tree, ["*.csv", "raw/"], ["2.dat"]) == ["a.csv", "raw/1.dat"]
    assert chosen(tree, ["raw/"], []) == ["raw/1.dat", "raw/2.dat"]
    assert chosen(tree, [], ["/*.csv", "notes/*.tmp"]) == [p for p in everything if p not in ("a.csv", "notes/x.tmp")]


def test_the_list_is_what_the_daemon_takes(tree: Path) -> None:
    """Both walk by themselves; by the same patterns they come to the same files."""
    (tree / "inside").symlink_to(tree / "a.csv")
    for include, exclude in ([], []), (["*.csv", "raw"], []), ([], ["raw/*", "!raw/1.dat"]), ([], ["*", "!*.csv"]):
        for paths in ([str(tree)], [str(tree / "raw"), str(tree / "a.csv")]):
            wanted = patterns.selection(include, exclude)
            listed = sorted((file.path, file.size_bytes) for file in selection.files(paths, wanted))
            assert listed == [(file.path, file.identity.size_bytes) for file in scan(paths, wanted)]


@pytest.mark.parametrize(
    "kind", ["fifo", "link to a directory", "link outside", "link nowhere", "not UTF-8", "back\\slash", "line\nfeed"]
)
def test_the_list_refuses_what_the_daemon_refuses(tree: Path, kind: str) -> None:
    odd = tree / "raw" / "odd"
    if kind == "fifo":
        os.mkfifo(odd)
    elif kind == "not UTF-8":
        Path(os.fsdecode(os.fsencode(odd) + b"\xff")).touch()
    elif kind in ("back\\slash", "line\nfeed"):
        odd.with_name(f"odd {kind}").touch()
    else:
        odd.symlink_to({"link to a directory": tree / "notes", "link outside": "/etc/hosts"}.get(kind, "/nowhere"))
    with pytest.raises(Problem) as caught:
        list(selection.files([str(tree)]))
    assert caught.value.exit_code is Exit.USAGE
    with pytest.raises(FerryError):
        scan([str(tree)])
    assert len(list(selection.files([str(tree)], patterns.selection([], ["odd*"])))) == 7
    assert len(scan([str(tree)], patterns.selection([], ["odd*"]))) == 7


@pytest.mark.parametrize("pattern", ["", "!", "# no", "a\nb", "[", "a\\"])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(FerryError, match="no pattern"):
        patterns.selection([], [pattern])


def test_the_list_has_the_paths_of_the_asset(tree: Path) -> None:
    alone = sorted((file.path, file.size_bytes) for file in selection.files([str(tree / "raw")]))
    assert alone == [("1.dat", 3), ("2.dat", 3)]
    both = sorted(file.path for file in selection.files([str(tree / "raw"), str(tree / "a.csv")]))
    assert both == ["a.csv", "raw/1.dat", "raw/2.dat"]


def test_globs_that_the_shell_left_alone(tree: Path) -> None:
    assert selection.expand([f"{tree}/raw/*.dat"]) == [str(tree / "raw" / "1.dat"), str(tree / "raw" / "2.dat")]
    assert selection.expand([f"{tree}/**/*.csv"]) == [str(tree / "a.csv")]


def test_a_file_that_may_not_be_read_is_refused_by_both(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = str(tree / "raw" / "2.dat")  # root may read everything, whatever its mode
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == locked and mode == os.R_OK))
    with pytest.raises(Problem, match="may not read"):
        list(selection.files([str(tree)]))
    with pytest.raises(FerryError) as caught:
        scan([str(tree)])
    assert caught.value.reason == "SOURCE_UNREADABLE"


def test_two_files_that_would_have_one_path_are_refused_by_list_and_daemon(tree: Path) -> None:
    """`**` gives files, and a file named alone keeps its name alone."""
    (tree / "notes" / "1.dat").write_bytes(b"other")
    paths = selection.expand([f"{tree}/**/1.dat"])
    with pytest.raises(Problem, match=r"would both be '1\.dat'") as caught:
        list(selection.files(paths))
    assert "--include" in caught.value.next_step
    with pytest.raises(FerryError, match=r"would both be '1\.dat' in the asset: upload the directory they are in"):
        scan(paths)


def test_a_name_that_looks_like_a_glob_is_a_name(tree: Path) -> None:
    (tree / "x[1].csv").write_bytes(b"")
    assert selection.expand([str(tree / "x[1].csv")]) == [str(tree / "x[1].csv")]


@pytest.mark.parametrize("missing", ["nothing", "*.nothing"])
def test_what_is_not_there_is_named(tree: Path, missing: str) -> None:
    with pytest.raises(Problem) as caught:
        selection.expand([str(tree / missing)])
    assert caught.value.exit_code is Exit.NOT_FOUND


def test_titles_from_paths(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    assert default_title(["raw"], ["raw"]) == "raw"
    assert default_title(["raw/"], ["raw/"]) == "raw"
    assert default_title(["."], ["."]) == "run"
    assert default_title(["a.csv", "b.tmp"], ["a.csv", "b.tmp"]) == "a.csv and 1 more"
    assert default_title(["raw/*.dat"], ["raw/1.dat", "raw/2.dat"]) == "1.dat and 1 more"
    assert default_title(["."], ["./a.csv", "./raw"]) == "run"
