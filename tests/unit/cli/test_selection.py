"""Which paths an upload takes: globs, patterns, and what patterns cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferryman.cli import selection
from ferryman.cli.exits import Exit
from ferryman.cli.faults import Problem
from ferryman.cli.upload import default_title


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.csv", "b.tmp", "raw/1.dat", "raw/2.dat", ".git/config", "notes/x.txt", "notes/x.tmp"):
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 3)
    return tmp_path / "run"


def chosen(tree: Path, include: list[str], exclude: list[str]) -> list[str]:
    paths = selection.select([str(tree)], selection.patterns(include, exclude))
    return sorted(file.path for file in selection.files(paths))


def test_everything_is_the_directory_itself(tree: Path) -> None:
    assert selection.select([str(tree)], selection.patterns([], [])) == [str(tree)]


def test_whole_entries_are_left_out_and_the_others_keep_their_paths(tree: Path) -> None:
    left = chosen(tree, [], [".git", "notes/", "/b.tmp"])
    assert left == ["a.csv", "raw/1.dat", "raw/2.dat"]
    assert chosen(tree, ["*.csv", "raw/"], []) == left
    assert chosen(tree, ["*"], [".*", "*.tmp", "notes"]) == left


def test_what_lies_deeper_is_refused_by_name(tree: Path) -> None:
    with pytest.raises(Problem, match=r"notes/x\.tmp") as caught:
        chosen(tree, [], ["*.tmp"])
    assert caught.value.exit_code is Exit.USAGE


def test_one_directory_left_would_lose_its_name(tree: Path) -> None:
    with pytest.raises(Problem, match="only raw/ would be left"):
        chosen(tree, ["raw/"], [])


def test_nothing_left_is_refused(tree: Path) -> None:
    with pytest.raises(Problem, match="nothing to upload"):
        chosen(tree, ["*.none"], [])


def test_of_several_paths_only_whole_ones_are_dropped(tree: Path) -> None:
    paths = [str(tree / "raw"), str(tree / "a.csv"), str(tree / "b.tmp")]
    assert selection.select(paths, selection.patterns([], ["*.tmp"])) == paths[:2]
    with pytest.raises(Problem, match="several paths"):
        selection.select(paths, selection.patterns([], ["1.dat"]))


def test_the_list_has_the_paths_of_the_asset(tree: Path) -> None:
    alone = [(file.path, file.size_bytes) for file in selection.files([str(tree / "raw")])]
    assert alone == [("1.dat", 3), ("2.dat", 3)]
    both = [file.path for file in selection.files([str(tree / "raw"), str(tree / "a.csv")])]
    assert both == ["raw/1.dat", "raw/2.dat", "a.csv"]


def test_globs_that_the_shell_left_alone(tree: Path) -> None:
    assert selection.expand([f"{tree}/raw/*.dat"]) == [str(tree / "raw" / "1.dat"), str(tree / "raw" / "2.dat")]
    assert selection.expand([f"{tree}/**/*.csv"]) == [str(tree / "a.csv")]


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
