"""Mutants of what keeps short files right on their way down."""

from __future__ import annotations

from tests.support.mutants import Mutant

_LANES = "tests/unit/lanes/test_short_files.py"
_ENGINE = "tests/faults/test_downloads.py"

SHORT = (
    Mutant(
        "short-files-not-looked-at",
        "daemon/ferryd/lanes/short_files.py",
        "if digest.of_bytes(view) != self._files[index].digest:",
        "if False:",
        f"{_LANES} -k arrives_wrong",
    ),
    Mutant(
        "half-a-short-file-counts",
        "daemon/ferryd/lanes/short_files.py",
        "            self._filled = self._begin(self.count)\n",
        "            pass\n",
        "tests/unit/lanes/test_several.py -k 'midst or reset'",
    ),
    Mutant(
        "short-files-kept-twice",
        "daemon/ferryd/lanes/short_files.py",
        "first, self._kept = self._kept, self.count  # also when that fails: nothing may follow then",
        "first = self._kept",
        f"{_LANES} -k 'slow_line or not_written_to_again'",
    ),
    Mutant(
        "short-files-wait-for-the-rest",
        "daemon/ferryd/lanes/short_files.py",
        "if time.monotonic() - self._kept_at > _KEEP_S:",
        "if False:",
        f"{_LANES} -k slow_line",
    ),
    Mutant(
        "short-files-not-synced",
        "daemon/ferryd/lanes/whole_files.py",
        "for _ in synced_together(written):",
        "for _ in ():",
        f"{_LANES} -k 'synced_before or cannot_be_synced'",
    ),
    Mutant(
        "short-files-leave-parts",
        "daemon/ferryd/lanes/whole_files.py",
        "                _remove(directory.fd, parts)\n",
        "",
        f"{_LANES} -k 'full_disk or gets_no_name'",
    ),
    Mutant(
        "short-files-through-links",
        "daemon/ferryd/lanes/destination.py",
        "    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC\n",
        "    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC\n",
        f"{_LANES} -k earlier_run",
    ),
    Mutant(
        "modes-of-the-daemon",
        "daemon/ferryd/lanes/destination.py",
        "        os.fchmod(fd, mode)\n    except BaseException:",
        "        pass\n    except BaseException:",
        f"{_LANES} -k umask",
    ),
    Mutant(
        "planned-files-are-strangers",
        "daemon/ferryd/engine/download.py",
        "        self._put(planned)\n",
        "",
        f"{_ENGINE} tests/unit/daemon/test_engine_control.py -k 'run_that_died or no_part_file'",
    ),
    Mutant(
        "the-manifest-of-short-files-is-believed",
        "daemon/ferryd/engine/download.py",
        "            self._check_manifest(file, self._remote[file.index].part_digests)\n",
        "            pass\n",
        f"{_ENGINE} -k does_not_agree",
    ),
    Mutant(
        "every-url-is-the-last-one",
        "daemon/ferryd/remote/convert.py",
        "if url.url != self._last_text:",
        "if self._last_text is None:",
        "tests/unit/remote -k location",
    ),
)
