"""Answers of the catalogue, kept until somebody writes: many programs ask for the same asset again and again.

Used by `database.py` for single look-ups, on the event loop. What version a database has is for its gateway to say;
nothing is asked here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Final

#: Least recently used ones go first.
_MOST: Final = 512
#: A row with more text than this is looked up each time: metadata may be 1 MiB, and 512 of those too much to keep.
_LARGEST_LETTERS: Final = 16 << 10


class Remembered:
    """Answers to questions, all of one version of the database."""

    def __init__(self) -> None:
        self._version: int | None = None
        self._answers: OrderedDict[Hashable, Any] = OrderedDict()

    def find(self, question: Hashable, version: int | None) -> Any | None:
        """The answer, when it is that of this version; None else. `version` is None where it is not known."""
        if version is None or version != self._version or question not in self._answers:
            return None
        self._answers.move_to_end(question)
        return self._answers[question]

    def keep(self, question: Hashable, version: int | None, answer: Any) -> None:
        """`version` is what the database had before it was asked: what was written meanwhile is of a later one."""
        if version is None or _letters(answer) > _LARGEST_LETTERS:
            return
        if version != self._version:
            self._version = version
            self._answers.clear()
        self._answers[question] = answer
        if len(self._answers) > _MOST:
            self._answers.popitem(last=False)


def _letters(row: Any) -> int:
    return sum(len(value) for value in row if isinstance(value, str)) if isinstance(row, tuple) else 0
