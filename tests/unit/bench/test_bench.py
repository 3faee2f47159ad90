"""What `bench/` makes of what it measured: ratios of rounds, who rests, what is measured again, what is published."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.architecture.sources import ROOT


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Its modules, which find each other where scripts are."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    import all as every
    import plots
    import rounds
    import steps
    import table
    from measuring import Measured

    def runs(**walls: list[float]) -> rounds.Runs:
        """Of uploads; so many seconds, and as many of CPU, in each round that one was in."""
        made = rounds.Runs(size_bytes=1 << 30, files=2)
        for name, found in walls.items():
            for number, wall_s in enumerate(found):
                made.add(number, "up", name, Measured(wall_s, wall_s, 0.0, 1000))
        return made

    yield SimpleNamespace(every=every, plots=plots, steps=steps, table=table, runs=runs, rounds=rounds)


def test_ratios_are_of_rounds_that_had_both(bench: Any) -> None:
    runs = bench.runs(ferryman=[2.0, 6.0, 9.0], cp=[1.0, 2.0])
    assert runs.paired("up", "wall", "cp") == [2.0, 3.0]
    row = next(row for row in runs.rows() if row["who"] == "cp")
    assert (row["rounds"], row["wall_ratio"], row["files_per_s"]) == (2, 2.5, 2 / 1.5)


def test_who_cannot_be_the_best_rests(bench: Any) -> None:
    assert not bench.runs(ferryman=[9.0], cp=[1.0], scp=[2.0]).rests("scp"), "one round says little"
    runs = bench.runs(ferryman=[9.0, 9.0], cp=[1.0, 1.0], scp=[2.0, 2.0], rsync=[1.1, 1.1])
    assert [name for name in runs.names("up") if runs.rests(name)] == ["scp"]


def test_who_is_the_best_in_one_column_goes_on(bench: Any) -> None:
    runs = bench.runs(ferryman=[1.0, 1.0], cp=[1.0, 1.0], scp=[2.0, 2.0])
    for found in runs.found["up", "cp"].values():
        object.__setattr__(found, "cpu_s", 3.0)
    assert not runs.rests("scp")


def test_who_is_far_behind_in_everything_rests_after_one_round(bench: Any) -> None:
    runs = bench.runs(ferryman=[9.0], cp=[1.0], scp=[3.1])
    assert [name for name in runs.names("up") if runs.rests(name)] == ["scp"]
    object.__setattr__(runs.found["up", "scp"][0], "cpu_s", 2.0)
    assert not runs.rests("scp"), "far behind on the clock alone"


def test_who_is_no_match_for_us_rests_though_nobody_else_is_better(bench: Any) -> None:
    runs = bench.runs(ferryman=[1.0], rclone=[10.1])
    assert runs.rests("rclone")
    object.__setattr__(runs.found["up", "rclone"][0], "cpu_s", 0.9)
    assert not runs.rests("rclone"), "it takes less processor time than we do"
    assert not bench.runs(ferryman=[1.0], rclone=[9.9]).rests("rclone")
    assert not bench.runs(rclone=[10.1]).rests("rclone"), "we were not there"


def test_rounds_are_kept_and_restored(bench: Any) -> None:
    runs = bench.runs(ferryman=[2.0, 6.0], cp=[1.0])
    again = bench.rounds.Runs(runs.size_bytes, runs.files)
    again.restore(json.loads(json.dumps(runs.kept())))
    assert again == runs
    assert again.count == 2


def _written(bench: Any, folder: Path, name: str, **changed: object) -> Any:
    step = next(step for step in bench.steps.STEPS if step.name == name)
    page = {"benchmark": name, "command": step.command(quick=False), "time": time.time(), "seconds": 90.0, "load": 0.1}
    page |= {"commit": "abc", "details": {"complete": True, "title": "s3: 2 GiB", "rows": []}, "figures": []}
    page |= {"machine": {"cpus": 2, "processor": "x", "memory_gib": 4, "system": "Linux", "python": "3.11"}}
    (folder / f"{name}.json").write_text(json.dumps(page | changed))
    return step


@pytest.mark.parametrize(
    ("changed", "fresh"),
    [
        ({}, True),
        ({"time": 0.0}, False),
        ({"command": "python bench/transfers.py --size 0.1"}, False),
        ({"details": {"complete": False}}, False),
    ],
)
def test_what_is_fresh_is_not_measured_again(bench: Any, tmp_path: Path, changed: Any, fresh: bool) -> None:
    step = _written(bench, tmp_path, "transfers-s3-big", **changed)
    assert bench.every.fresh(step, tmp_path, quick=False) is fresh


def test_only_full_sizes_are_published(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.steps, "PUBLISHED", tmp_path / "published.json")
    figure = {"name": "a start", "value": 1.5, "unit": "s", "bar": 1.0, "runs": 5, "least": False}
    _written(bench, tmp_path, "memory", command="python bench/memory.py 0.1 1")
    _written(bench, tmp_path, "startup", figures=[figure])
    _written(bench, tmp_path, "transfers-s3-big")
    _written(bench, tmp_path, "transfers-s3-medium", details={"complete": False, "title": "256 MiB", "rows": []})
    bench.steps.publish(tmp_path)
    (tmp_path / "startup.json").unlink()
    bench.steps.publish(tmp_path)
    assert [page["benchmark"] for page in bench.steps.published()] == ["transfers-s3-big", "startup"], "and stay"
    assert "| a start | ≤ 1 s | 1.5 s | **not met** | 5 |" in bench.table.bars(bench.steps.published())
    assert "![transfers-s3-big](plots/transfers-s3-big.png)" in bench.table.whole(
        bench.steps.published(), ["transfers-s3-big"]
    )


def test_pieces_are_chosen_by_name(bench: Any) -> None:
    assert [step.name for step in bench.every.chosen(["sparse-1*"])] == ["sparse-1", "sparse-1024"]
    assert "sparse-1024" not in [step.name for step in bench.every.chosen([])]
    assert [step.name for step in bench.every.chosen(["sparse-*"], quick=True)] == ["sparse-1"]


def test_every_program_is_there_and_named(bench: Any) -> None:
    steps, page = bench.steps.STEPS, (ROOT / "docs" / "performance.md").read_text()
    assert len({step.name for step in steps}) == len(steps)
    programs = {step.words[0] for step in steps}
    assert [name for name in programs if not (ROOT / "bench" / f"{name}.py").exists()] == []
    assert [name for name in programs if f"`python bench/{name}.py" not in page] == []
    named = re.findall(r"`(?:python )?(bench/[\w./]+)", page)
    assert [path for path in named if path != "bench/" and not (ROOT / path).exists()] == []


def test_cost_is_drawn_against_size(bench: Any) -> None:
    """Of the names that the benchmarks give their figures."""
    names = ["100 queued: submit, p50", "0 watchers: a transfer", "get_metadata from 64 processes"]
    names += ["1,024 GiB up: CPU for each GiB", "8 GiB: daemon's peak, anonymous"]
    page = {"figures": [{"name": name, "value": 2.0, "unit": "ms"} for name in names]}
    lines = [growth.lines([page]) for growth in bench.plots.GROWTHS]
    assert lines == [
        {"submit, p50": [(100, 2.0)]},
        {"a transfer": [(0, 2.0)]},
        {"get_metadata": [(64, 2.0)]},
        {"up: CPU for each GiB": [(1024, 2.0)]},
        {"daemon's peak, anonymous": [(8, 2.0)]},
    ]
