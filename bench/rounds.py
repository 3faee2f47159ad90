"""What was measured of one load at one target, round by round, and what follows from it: medians and paired ratios.

A round is kept when it is whole, in the JSON of the benchmark, so that more can be added later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from contenders import LIMIT, OURS
from figures import median
from loads import GIB
from measuring import Measured

#: Closer than this is a tie; who is further behind in everything after so many rounds need not come again.
TIE, ENOUGH_TO_KNOW = 1.2, 2
#: Who is so far behind in everything need not come again after the first one: no noise of this machine is so loud.
FAR = 3.0
#: Nor who takes so many times as long as we do, and no less processor time: most of the hours would be theirs.
ENDLESS = 10.0
COSTS = ("wall", "cpu")


@dataclass
class Runs:
    """By direction and contender, by round."""

    size_bytes: int
    files: int
    found: dict[tuple[str, str], dict[int, Measured]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many rounds there are; those who rest were not in all of them."""
        return max((number for of in self.found.values() for number in of), default=-1) + 1

    def add(self, number: int, direction: str, name: str, measured: Measured) -> None:
        self.found.setdefault((direction, name), {})[number] = measured

    def directions(self) -> list[str]:
        return list(dict.fromkeys(direction for direction, _ in self.found))

    def names(self, direction: str) -> list[str]:
        return [name for way, name in self.found if way == direction]

    def typical(self, direction: str, name: str, what: str) -> float:
        return median([getattr(one, f"{what}_s") for one in self.found[direction, name].values()])

    def best(self, direction: str, what: str) -> str:
        """The peer to beat; empty when there is none."""
        others = [name for name in self.names(direction) if name != OURS and not name.startswith(LIMIT)]
        return min(others, key=lambda name: self.typical(direction, name, what), default="")

    def paired(self, direction: str, what: str, peer: str) -> list[float]:
        """Ours over theirs, of every round that had both."""
        ours, theirs = self.found[direction, OURS], self.found[direction, peer]
        both = [(ours[number], theirs[number]) for number in sorted(ours) if number in theirs]
        return [getattr(one, f"{what}_s") / getattr(other, f"{what}_s") for one, other in both]

    def rests(self, name: str) -> bool:
        """Whether a peer cannot become the best any more: behind by more than a tie in every column, or far behind when
        one round is all that is known. Or it is no match for us, though it may be the best of the others."""
        if name == OURS or name.startswith(LIMIT):
            return False
        ways = [way for way in self.directions() if name in self.names(way)]
        columns = [(way, what) for way in ways for what in COSTS]
        most = TIE if self.count >= ENOUGH_TO_KNOW else FAR
        behind = bool(columns) and all(self._over_best(name, *column) > most for column in columns)
        return behind or (bool(ways) and all(self._is_endless(name, way) for way in ways))

    def _over_best(self, name: str, direction: str, what: str) -> float:
        return self.typical(direction, name, what) / self.typical(direction, self.best(direction, what), what)

    def _is_endless(self, name: str, direction: str) -> bool:
        """Beside us; not where we were not."""
        if OURS not in self.names(direction):
            return False
        wall, cpu = (self.typical(direction, name, what) / self.typical(direction, OURS, what) for what in COSTS)
        return wall > ENDLESS and cpu > 1

    def rows(self) -> Iterator[dict[str, object]]:
        """Medians, one row for each direction and contender."""
        for (direction, name), found in self.found.items():
            wall_s, cpu_s = self.typical(direction, name, "wall"), self.typical(direction, name, "cpu")
            yield {
                "direction": direction,
                "who": name,
                "rounds": len(found),
                "wall_s": wall_s,
                "mb_per_s": self.size_bytes / 1e6 / wall_s,
                "files_per_s": self.files / wall_s,
                "cpu_s": cpu_s,
                "cpu_s_per_gib": cpu_s / (self.size_bytes / GIB),
                "server_cpu_s": self.typical(direction, name, "server_cpu"),
                "anonymous_mb": max(one.anonymous_bytes for one in found.values()) / 1e6,
                **self._ratios(direction, name),
            }

    def _ratios(self, direction: str, name: str) -> dict[str, float]:
        if name == OURS or (direction, OURS) not in self.found:
            return {}
        return {f"{what}_ratio": median(self.paired(direction, what, name)) for what in COSTS}

    def kept(self) -> list[dict[str, object]]:
        """Everything, for JSON."""
        return [
            {"direction": direction, "who": name, "round": number, **asdict(one), "stdout": ""}
            for (direction, name), found in self.found.items()
            for number, one in found.items()
        ]

    def restore(self, kept: Sequence[Mapping[str, Any]]) -> None:
        """The opposite of `kept`."""
        for one in kept:
            values = {name: value for name, value in one.items() if name not in ("direction", "who", "round")}
            self.add(one["round"], one["direction"], one["who"], Measured(**values))
