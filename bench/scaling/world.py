"""A catalogue of any size, the same every time: who and what is in it, and what the questions are asked about.

Half of the assets belong to studies, each of a thousand assets in one project whose newest comes from all the others:
every second study is a bundle of chains, the others are dense. The other half are loose: each comes from a dozen of
its project's. A study's assets are made in turn with all the others', so they lie far apart.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Final

from ferryhub.catalogue.actor import ALL_SCOPES, Actor

EDGES_EACH: Final = 10
PROJECTS: Final = 300
#: In each project, below its root: two beside each other, and one in the first.
FOLDERS: Final = 3
PEOPLE: Final = 1000
GROUPS: Final = 20
STUDY: Final = 1000
#: How many chains a study has beside each other: all of its assets are at most 37 links from the newest.
WIDTH: Final = 27
#: Links of an asset of a study to the level before.
CHAIN_LINKS, DENSE_LINKS = 2, 11
#: A loose asset comes from some of so many older ones of its project.
_NEAR: Final = 60
#: The first asset's creation; they come a second apart.
BEGAN_US: Final = 1_700_000_000_000_000
STEP_US: Final = 1_000_000
HEAD, ANN = 1, 7


def key(prefix: str, number: int) -> str:
    """An id in the hub's form; like those, ids made later sort later."""
    return f"{prefix}_{number:026d}"


def made_at(number: int) -> int:
    """When an asset was made, in microseconds."""
    return BEGAN_US + number * STEP_US


def person(number: int) -> Actor:
    """A user with all scopes."""
    return Actor(key("usr", number), f"p{number}@x.org", ALL_SCOPES)


@dataclass(frozen=True)
class World:
    """A catalogue of so many assets."""

    assets: int

    @property
    def studies(self) -> int:
        return max(2, self.assets // (2 * STUDY))

    @property
    def study_size(self) -> int:
        return min(STUDY, self.assets // 2 // self.studies)

    @property
    def head(self) -> Actor:
        """Somebody whose group may read every project."""
        return person(HEAD)

    @property
    def ann(self) -> Actor:
        """An ordinary person: 12 projects, 2 of which are those of the first studies, a folder and 3 assets."""
        return person(ANN)

    @cached_property
    def mid_project(self) -> int:
        """One of middling size."""
        by_size = sorted(range(PROJECTS), key=lambda project: self._weights[project])
        return by_size[PROJECTS // 2]

    @cached_property
    def large_project(self) -> int:
        """The one with most loose assets."""
        return max(range(PROJECTS), key=lambda project: self._weights[project])

    @cached_property
    def _weights(self) -> list[float]:
        weights = [1 / (rank + 1) ** 0.8 for rank in range(PROJECTS)]
        random.Random(1).shuffle(weights)
        return weights

    @cached_property
    def project_of(self) -> list[int]:
        """The project of each asset."""
        loose = random.Random(2).choices(range(PROJECTS), cum_weights=list(accumulate(self._weights)), k=self.assets)
        whole = self.studies * self.study_size
        return [n // 2 % self.studies % PROJECTS if n % 2 and n // 2 < whole else loose[n] for n in range(self.assets)]

    def collection_of(self, number: int) -> int:
        """The collection of an asset: the root or a folder."""
        return self.project_of[number] * (FOLDERS + 1) + number * 7 % 11 % (FOLDERS + 1)

    def of_study(self, study: int, back: int) -> str:
        """The asset that is so many from the newest of a study, which comes from all the others. Even numbers are
        chains."""
        return key("ast", self._in_study(study, back))

    def _in_study(self, study: int, back: int) -> int:
        return 2 * ((self.study_size - 1 - back) * self.studies + study) + 1

    def links(self) -> Iterator[tuple[int, int]]:
        """(number of the dependent asset, number of its origin), ten times as many as assets, by dependent asset."""
        rng = random.Random(3)
        in_studies = sum(self._study_links(study) for study in range(self.studies))
        loose = self.assets - self.studies * self.study_size
        share = max(0, EDGES_EACH * self.assets - in_studies) / loose
        recent: list[list[int]] = [[] for _ in range(PROJECTS)]
        owed = 0.0
        for n in range(self.assets):
            place = n // 2
            if n % 2 and place < self.studies * self.study_size:
                study, back = place % self.studies, self.study_size - 1 - place // self.studies
                for origin in self._origins(study, back):
                    yield n, self._in_study(study, origin)
                continue
            near = recent[self.project_of[n]]
            owed += share
            count = min(int(owed), len(near))
            for origin in rng.sample(near, count):
                yield n, origin
            owed -= count
            near.append(n)
            if len(near) > _NEAR:
                near.pop(0)

    def _origins(self, study: int, back: int) -> Iterator[int]:
        """The places, counted back from the newest, of an asset's origins in its study."""
        if back == 0:
            yield from range(1, min(WIDTH + 1, self.study_size))
            return
        level, column = divmod(back - 1, WIDTH)
        for step in range(DENSE_LINKS if study % 2 else CHAIN_LINKS):
            origin = 1 + (level + 1) * WIDTH + (column + step) % WIDTH
            if origin < self.study_size:
                yield origin

    def _study_links(self, study: int) -> int:
        return sum(1 for back in range(self.study_size) for _ in self._origins(study, back))
