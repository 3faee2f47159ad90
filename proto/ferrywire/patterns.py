"""Which files of a tree an upload takes: patterns as in `.gitignore`, over the paths in the asset. Upload step 4.

The daemon chooses by them; `ferry upload --dry-run` shows beforehand what it will choose. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ferrywire.reasons import FerryError


@dataclass(frozen=True, slots=True)
class Selection:
    """Says of paths whether they are wanted. Excluding wins over including."""

    #: Of a file, by its path in the asset.
    wants: Callable[[str], bool]
    #: Of a directory: whether anything below it may be wanted. What git would not enter need not be looked at.
    enters: Callable[[str], bool]


EVERYTHING = Selection(wants=lambda path: True, enters=lambda path: True)


def selection(include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Selection:
    """The selection of these patterns; without any everything is wanted. INVALID_ARGUMENT for one that is none."""
    if not include and not exclude:
        return EVERYTHING
    kept, dropped = _matcher("include", include), _matcher("exclude", exclude)
    return Selection(
        wants=lambda path: (not include or kept(path)) and not dropped(path),
        enters=lambda path: not dropped(f"{path.rstrip('/')}/"),
    )


def _matcher(field: str, lines: Sequence[str]) -> Callable[[str], bool]:
    from pathspec import GitIgnoreSpec

    try:
        for line in lines:
            if not line or "\n" in line or GitIgnoreSpec.from_lines([line]).patterns[0].include is None:
                raise ValueError("it matches nothing")
        return GitIgnoreSpec.from_lines(lines).match_file
    except ValueError as error:
        message = f"{field} has {line!r}, which is no pattern: write them as in .gitignore, as '*.csv' or 'raw/'"
        raise FerryError("INVALID_ARGUMENT", message, field=field) from error
