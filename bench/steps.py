"""What `bench/all` does, the most important first; the results of the last runs, and those that documents show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: The results that docs/performance.md shows: one JSON object a line.
PUBLISHED = Path(__file__).resolve().parents[1] / "docs" / "performance.jsonl"
TINY = ("--size", "0.02", "--rounds", "2")


@dataclass(frozen=True)
class Step:
    """A benchmark that writes `name`.json. `minutes` are of two processors; `shrunk` are words of a quick run, in which
    it is left out when there are none."""

    name: str
    minutes: float
    words: tuple[str, ...]
    shrunk: tuple[str, ...]
    asked_for: bool = False  #: only when it is named

    @property
    def moves(self) -> bool:
        """Whether it goes on where it was interrupted."""
        return self.words[0] == "transfers"

    def command(self, quick: bool) -> str:
        """As one would type it."""
        return " ".join(["python", f"bench/{self.words[0]}.py", *(self.shrunk if quick else self.words[1:])])


def _moved(target: str, load: str, minutes: float, *, cold: bool = False) -> Step:
    words = ("--target", target, "--load", load, *(("--cold",) if cold else ()))
    tiny = ("--size", "0.1", "--rounds", "2") if target == "sink" else TINY
    name = f"transfers-{target}-{load}{'-cold' if cold else ''}"
    return Step(name, minutes, ("transfers", *words), (*words, *tiny))


def _sparse(gib: int, minutes: float, rounds: int, *, asked_for: bool = False) -> Step:
    words = (str(gib), "--rounds", str(rounds))
    shrunk = (str(gib), "--rounds", "1") if gib == 1 else ()
    return Step(f"sparse-{gib}", minutes, ("sparse", *words), shrunk, asked_for)


STEPS = (
    _moved("s3", "big", 12),
    _moved("embedded", "big", 4),
    _moved("sink", "big", 2.5),
    _moved("s3", "small", 5),
    Step("forwarding", 3, ("forwarding",), ("50", "1,2", "0.2")),
    Step("startup", 1, ("startup",), ("2",)),
    Step("growth", 2.5, ("growth",), ("100", "1000")),
    Step("memory", 2, ("memory",), ("0.1", "1")),
    Step("receiving", 2, ("receiving",), ("64", "2")),
    _moved("hub", "big", 4),
    _moved("hub", "small", 6),
    _moved("s3-far", "small", 6),
    _moved("s3", "medium", 3),
    _moved("embedded", "small", 2),
    Step("watchers", 2, ("watchers",), ("5", "1")),
    Step("crowd", 1, ("crowd",), ("1",)),
    _sparse(1, 0.5, 5),
    _sparse(8, 2.5, 5),
    _sparse(64, 4, 1),
    _moved("embedded", "big", 4, cold=True),
    _moved("s3", "big", 12, cold=True),
    _moved("hub", "big", 4, cold=True),
    _moved("embedded", "tree", 10),
    _moved("s3", "tree", 25),
    _moved("embedded", "assets", 20),
    _moved("s3", "assets", 25),
    _moved("embedded", "medium", 1),
    _moved("sink", "medium", 1),
    _moved("hub", "medium", 1),
    _moved("s3-tls", "big", 12),
    _moved("s3", "small", 5, cold=True),
    _moved("embedded", "small", 2, cold=True),
    _moved("hub", "tree", 25),
    _moved("hub", "assets", 25),
    _sparse(1024, 70, 1, asked_for=True),
    Step("scale", 25, ("scale",), ("--sizes", "1e3", "--rounds", "0.05", "--databases", "sqlite"), asked_for=True),
)


def result(step: Step, results: Path) -> dict[str, Any]:
    """Its last result; empty when there is none."""
    path = results / f"{step.name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def is_whole(found: Mapping[str, Any]) -> bool:
    """Whether a result has all its rounds."""
    details = found["details"]
    return not isinstance(details, dict) or bool(details.get("complete", True))


def published() -> list[dict[str, Any]]:
    """What the documents show, in the order of the steps."""
    lines = PUBLISHED.read_text().splitlines() if PUBLISHED.exists() else []
    known = {page["benchmark"]: page for page in map(json.loads, lines)}
    return [known[step.name] for step in STEPS if step.name in known]


def publish(results: Path) -> None:
    """Have the documents show these results, too; only what was measured in full size and in all rounds."""
    known = {page["benchmark"]: page for page in published()}
    for step in STEPS:
        found = result(step, results)
        if found and found["command"] == step.command(quick=False) and is_whole(found):
            known[step.name] = found
    PUBLISHED.write_text("".join(json.dumps(page, separators=(",", ":")) + "\n" for page in known.values()))
