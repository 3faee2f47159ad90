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
        "        if not _is_cold(fd, span, follows=follows):\n            return False\n",
        "",
        f"{_TESTS} -k there_before",
    ),
    Mutant(
        "pages-half-there-are-dropped",
        _FILE,
        "found.cached_bytes * _FEW <= length",
        "found.cached_bytes < length",
        f"{_TESTS} -k there_before",
    ),
    Mutant(
        "every-front-half-is-passed-over",
        _FILE,
        "skipped = span.length // 2 if follows else 0",
        "skipped = span.length // 2",
        f"{_TESTS} -k there_before",
    ),
    Mutant(
        "no-front-half-is-passed-over",
        _FILE,
        "skipped = span.length // 2 if follows else 0",
        "skipped = 0",
        f"{_TESTS} -k reads_on",
    ),
    Mutant(
        "pages-of-what-was-hashed-before-stay",
        "daemon/ferryd/lanes/departures.py",
        "            self._passing.sending(fd, part.source, part.span)\n",
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
        "what-was-given-up-is-ours-for-ever",
        _FILE,
        "            self._ours.pop(_key(source, span), None)\n",
        "            pass\n",
        f"{_TESTS} -k somebody_read_meanwhile",
    ),
    Mutant(
        "what-was-written-anew-is-ours",
        _FILE,
        "    return source.identity, span\n",
        "    return source.local_path, span\n",
        f"{_TESTS} -k written_anew",
    ),
    Mutant(
        "what-is-to-be-written-is-dropped",
        _FILE,
        "and not found.unwritten_bytes:",
        "and True:",
        f"{_TESTS} -k still_to_be_written",
    ),
    Mutant(
        "what-is-looked-at-stays",
        _FILE,
        "        if cold.pop(0):\n            _drop(fd, cut)\n",
        "",
        f"{_TESTS} -k only_looked_at",
    ),
    Mutant(
        "part-files-stay",
        _FILE,
        "if span.length < _LEAST_BYTES or ours:",
        "if span.length < _LEAST_BYTES:",
        f"{_TESTS} -k part_file_of_ours",
    ),
    Mutant(
        "small-parts-are-asked-for",
        _FILE,
        "        return span.length >= _LEAST_BYTES\n",
        "        return ours\n",
        f"{_TESTS} -k small_part",
    ),
    Mutant(
        "copies-with-holes-stay",
        "daemon/ferryd/lanes/file.py",
        "buffer, meter, ours=True)",
        "buffer, meter)",
        f"{_TESTS} -k copy_with_holes",
    ),
    Mutant(
        "other-caches-are-emptied",
        _FILE,
        "if found and found.cached_bytes and",
        "if found and",
        f"{_TESTS} -k cache_of_its_own",
    ),
    Mutant(
        "a-sandbox-fails-uploads",
        _FILE,
        "        with suppress(OSError, AttributeError):",
        "        with suppress(ZeroDivisionError):",
        f"{_TESTS} -k says_nothing",
    ),
    Mutant(
        "what-is-never-sent-is-kept-for-ever",
        _FILE,
        "    for oldest in list(of)[:-_MOST]:\n",
        "    for oldest in list[Key]():\n",
        f"{_TESTS} -k forgotten_in_time",
    ),
)
