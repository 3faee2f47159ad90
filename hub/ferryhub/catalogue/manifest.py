"""The files that a content version will have: checked before a byte moves (upload step 7). Pure, no database.

Paths are what other people's machines will create: relative, portable enough, and never both a file and a directory.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ferryhub.catalogue.validation import invalid, text
from ferrywire.names import is_plain
from ferrywire.parts import MAX_PART_BYTES, MAX_PARTS, MIB, part_count

MAX_FILES: Final = 1_000_000
MAX_FILES_PER_CALL: Final = 10_000
MAX_PATH_BYTES: Final = 1024
MAX_NAME_BYTES: Final = 255
MAX_FILE_BYTES: Final = MAX_PART_BYTES * MAX_PARTS
_MAX_MEDIA_TYPE: Final = 255
#: The built-in table alone: the same on every machine.
_MEDIA_TYPES: Final = mimetypes.MimeTypes()


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A file to come. `part_bytes` is the size of every part but the last."""

    path: str
    size_bytes: int
    part_bytes: int
    media_type: str = ""

    def known_media_type(self) -> str:
        """The media type given, else the one its name suggests, else empty."""
        return self.media_type or _MEDIA_TYPES.guess_type(self.path)[0] or ""


def check_files(files: Sequence[ManifestFile], first_index: int) -> None:
    """Check each of a call's files and that they can live together. `INVALID_ARGUMENT` names the file."""
    if not files:
        raise invalid("files", "is empty; an upload has at least one file")
    if len(files) > MAX_FILES_PER_CALL:
        raise invalid("files", f"{len(files)} in one call; at most {MAX_FILES_PER_CALL}, more with AddUploadFiles")
    for index, file in enumerate(files, first_index):
        _check_file(f"files[{index}]", file)
    check_tree(file.path for file in files)


def check_tree(paths: Iterable[str]) -> None:
    """Check that no path comes twice and that none is a file and a directory at once."""
    files: set[str] = set()
    directories: set[str] = set()
    for path in paths:
        if path in files:
            raise invalid("files", f"the path '{path}' comes twice")
        files.add(path)
        parent = path.rpartition("/")[0]
        # A directory seen before has had its own parents seen to.
        while parent and parent not in directories:
            directories.add(parent)
            parent = parent.rpartition("/")[0]
    if both := files & directories:
        raise invalid("files", f"'{min(both)}' is a file and a directory at once")


def check_totals(size_bytes: int, file_count: int) -> None:
    """Check what a manifest announces as its whole."""
    if not 1 <= file_count <= MAX_FILES:
        raise invalid("total_file_count", f"{file_count} is not between 1 and {MAX_FILES}")
    if not 0 <= size_bytes <= MAX_FILE_BYTES * MAX_FILES_PER_CALL:
        raise invalid("total_size_bytes", f"{size_bytes} is not a size in bytes")


def _check_file(field: str, file: ManifestFile) -> None:
    _check_path(f"{field}.path", file.path)
    if not 0 <= file.size_bytes <= MAX_FILE_BYTES:
        raise invalid(f"{field}.size_bytes", f"{file.size_bytes} is not between 0 and {MAX_FILE_BYTES}")
    part_bytes = file.part_bytes
    if not MIB <= part_bytes <= MAX_PART_BYTES or part_bytes % MIB:
        raise invalid(f"{field}.part_size_bytes", f"{part_bytes} is not a multiple of {MIB} up to {MAX_PART_BYTES}")
    if (count := part_count(file.size_bytes, part_bytes)) > MAX_PARTS:
        raise invalid(f"{field}.part_size_bytes", f"{part_bytes} gives {count} parts; at most {MAX_PARTS} are allowed")
    text(f"{field}.media_type", file.media_type, longest=_MAX_MEDIA_TYPE)


def _check_path(field: str, path: str) -> None:
    if not path or path.startswith("/"):
        raise invalid(field, f"'{path[:60]}' is not a relative path")
    if len(path.encode()) > MAX_PATH_BYTES:
        raise invalid(field, f"'{path[:60]}…' is longer than {MAX_PATH_BYTES} bytes")
    if not is_plain(path):
        raise invalid(field, f"{path[:60]!r} holds a backslash or a control character; rename the file")
    for name in path.split("/"):
        if name in ("", ".", ".."):
            raise invalid(field, f"'{path[:60]}' holds an empty, '.' or '..' name")
        if len(name.encode()) > MAX_NAME_BYTES:
            raise invalid(field, f"the name '{name[:60]}…' is longer than {MAX_NAME_BYTES} bytes")
