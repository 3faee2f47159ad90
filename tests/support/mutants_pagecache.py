"""Mutants of what leaves the page cache as it was."""

from __future__ import annotations

from tests.support.mutants import Mutant

_TESTS = "tests/unit/lanes/test_pagecache.py"
_FILE = "daemon/ferryd/lanes/pagecache.py"

PAGE_CACHE = (
    Mutant(
        "pages-stay-after-an-upload",
        "daemon/ferryd/lanes/departures.py",
        "            self._passing.sent(fd, part.source, part.span)\n",
        "",
        f"{_TESTS} -k 'until_it_is_sent or next_attempt'",
    ),
    Mutant(
        "pages-of-others-are-dropped",
        _FILE,
        "and not is_cached(fd, span):",
        "and True:",
        f"{_TESTS} -k there_before",
    ),
    Mutant(
        "pages-half-there-are-dropped",
        _FILE,
        "pages.raw.count(1) * _FEW > len(pages)",
        "pages.raw.count(1) == len(pages)",
        f"{_TESTS} -k there_before",
    ),
    Mutant(
        "pages-of-what-was-hashed-before-stay",
        "daemon/ferryd/lanes/departures.py",
        "            self._passing.about_to_read(fd, part.source, part.span)\n",
        "",
        f"{_TESTS} -k earlier_run",
    ),
    Mutant(
        "pages-go-before-they-are-sent",
        "daemon/ferryd/lanes/pool.py",
        "            return hash_part(fd, span, self._buffers.view(), halt, crc)\n",
        "            found = hash_part(fd, span, self._buffers.view(), halt, crc)\n"
        "            self._passing.sent(fd, source, span)\n"
        "            return found\n",
        f"{_TESTS} -k 'until_it_is_sent'",
    ),
    Mutant(
        "what-is-looked-at-comes-in",
        "daemon/ferryd/lanes/hashing.py",
        "    return _hash(ReadOnce(fd).into, span,",
        "    return _hash(partial(read_at, fd), span,",
        f"{_TESTS} -k only_looked_at",
    ),
    Mutant(
        "a-sandbox-fails-uploads",
        _FILE,
        "            with suppress(OSError):  # a sandbox",
        "            with suppress(ZeroDivisionError):  # a sandbox",
        f"{_TESTS} -k says_nothing",
    ),
    Mutant(
        "what-is-never-sent-is-kept-for-ever",
        _FILE,
        "            for oldest in list(self._ours)[:-_MOST]:\n",
        "            for oldest in []:\n",
        f"{_TESTS} -k forgotten_in_time",
    ),
)
