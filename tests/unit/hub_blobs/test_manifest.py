"""Names that other people's machines would have to create: what is refused, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryhub.catalogue.manifest import ManifestFile, check_files, check_totals, check_tree
from ferrywire.parts import MAX_PART_BYTES, MAX_PARTS, MIB
from ferrywire.reasons import FerryError

ATTACKS = [
    "",
    "/",
    "/abs",
    "//abs",
    "../x",
    "a/../../b",
    "a/..",
    "..",
    ".",
    "./a",
    "a/./b",
    "a//b",
    "a/",
    "a\x00b",
    "a\nb",
    "a\rb",
    "a\x1b[31mb",
    "a\x7fb",
    "a\u0085b",
    "..\\..\\x",
    "C:\\x",
    "x" * 256,
    "é" * 128,
    "d/" * 512 + "x",
]
FINE = [
    "a",
    "a/b/c",
    "...",
    ".hidden",
    "a..b/..c",
    "-rf",
    "~root",
    ".git/hooks/pre-commit",
    "CON",
    "mit Leerzeichen .txt",
    "é",
    "e\u0301",
    "数据/结果.csv",
    "a\u202eb",
    "x" * 255,
    "/".join(["x" * 127] * 8),
]


def _refused(files: list[ManifestFile], field: str) -> None:
    with pytest.raises(FerryError) as caught:
        check_files(files, 0)
    assert caught.value.reason == "INVALID_ARGUMENT"
    assert caught.value.metadata["field"] == field


@pytest.mark.parametrize("path", ATTACKS)
def test_unsafe_paths_are_refused(path: str) -> None:
    _refused([ManifestFile("ok", 1, MIB), ManifestFile(path, 1, MIB)], "files[1].path")


@pytest.mark.parametrize("path", FINE)
def test_odd_but_harmless_paths_are_kept(path: str) -> None:
    check_files([ManifestFile(path, 1, MIB)], 0)


@pytest.mark.parametrize(
    "paths",
    [["a", "a"], ["a", "a/b"], ["a/b", "a"], ["a/b/c", "x", "a"], ["a/b/c/d", "a/b"], ["a/b", "a/c", "a/b/d"]],
)
def test_paths_that_cannot_live_together_are_refused(paths: list[str]) -> None:
    _refused([ManifestFile(path, 1, MIB) for path in paths], "files")


def test_twins_by_case_or_normal_form_are_different_files() -> None:
    check_tree(["a", "A", "é", "e\u0301", "ab", "a-b/c", "a.b"])


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join), min_size=1, max_size=12))
def test_a_tree_is_accepted_exactly_when_a_file_system_could_hold_it(paths: list[str]) -> None:
    possible = len(set(paths)) == len(paths) and not any(b.startswith(f"{a}/") for a in paths for b in paths)
    try:
        check_tree(paths)
        accepted = True
    except FerryError:
        accepted = False
    assert accepted == possible


@pytest.mark.parametrize(
    ("size", "part", "field"),
    [
        (-1, MIB, "size_bytes"),
        (MAX_PART_BYTES * MAX_PARTS + 1, MAX_PART_BYTES, "size_bytes"),
        (1, 0, "part_size_bytes"),
        (1, -MIB, "part_size_bytes"),
        (1, MIB + 1, "part_size_bytes"),
        (1, MIB // 2, "part_size_bytes"),
        (1, MAX_PART_BYTES + MIB, "part_size_bytes"),
        (MAX_PARTS * MIB + 1, MIB, "part_size_bytes"),
    ],
)
def test_sizes_that_cannot_be_are_refused(size: int, part: int, field: str) -> None:
    _refused([ManifestFile("f", size, part)], f"files[0].{field}")


@pytest.mark.parametrize(
    ("size", "part"), [(0, MIB), (MAX_PARTS * MIB, MIB), (MAX_PART_BYTES * MAX_PARTS, MAX_PART_BYTES)]
)
def test_the_largest_sizes_are_taken(size: int, part: int) -> None:
    check_files([ManifestFile("f", size, part)], 0)


@pytest.mark.parametrize(("size", "count"), [(-1, 1), (1, 0), (1, -1), (1, 1_000_001), (1 << 70, 1)])
def test_totals_that_cannot_be_are_refused(size: int, count: int) -> None:
    with pytest.raises(FerryError):
        check_totals(size, count)


def test_no_files_and_too_many_are_refused() -> None:
    _refused([], "files")
    _refused([ManifestFile(str(index), 0, MIB) for index in range(10_001)], "files")


def test_media_types_come_from_names_unless_given() -> None:
    assert ManifestFile("a.csv", 1, MIB).known_media_type() == "text/csv"
    assert ManifestFile("a.csv", 1, MIB, "x/y").known_media_type() == "x/y"
    assert ManifestFile("a", 1, MIB).known_media_type() == ""
