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
        f"{_LANES} -k nobody",
    ),
    Mutant(
        "modes-of-the-daemon",
        "daemon/ferryd/lanes/destination.py",
        "        os.fchmod(fd, mode)\n    except BaseException:",
        "        pass\n    except BaseException:",
        f"{_LANES} -k umask",
    ),
    Mutant(
        "files-of-a-run-that-died-are-strangers",
        "daemon/ferryd/engine/destination.py",
        "again or bool(file.part_path)\n",
        "bool(file.part_path)\n",
        f"{_ENGINE} -k renamed_by_a_run_that_died",
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
    Mutant(
        "what-died-is-left",
        "daemon/ferryd/engine/download.py",
        "        if resumed:\n",
        "        if False:\n",
        f"{_ENGINE} -k has_left",
    ),
    Mutant(
        "rename-takes-what-is-there",
        "daemon/ferryd/engine/destination.py",
        "        return self._spec.if_exists is not IfExists.RENAME\n",
        "        return True\n",
        f"{_ENGINE} -k 'just_before_the_crash or rename_would_make'",
    ),
    Mutant(
        "long-names-share-parts",
        "daemon/ferryd/lanes/destination.py",
        'tail = f"~{of_bytes(whole).hex()[:16]}{tail}"',
        'tail = f"{tail}"',
        "tests/unit/lanes/test_destination.py -k same_beginning",
    ),
    Mutant(
        "one-error-ends-the-cleaning",
        "daemon/ferryd/lanes/destination.py",
        "        errors.append(error)\n",
        "        raise\n",
        "tests/unit/lanes/test_destination.py -k nothing_else",
    ),
    Mutant(
        "names-of-others-are-taken-back",
        "daemon/ferryd/lanes/publish.py",
        "            if not part:\n                continue\n",
        "            part = part or '.x'\n",
        "tests/unit/lanes/test_destination.py -k found_to_be_right",
    ),
    Mutant(
        "keeping-is-not-waited-for",
        "daemon/ferryd/lanes/halt.py",
        "self._abandoned = not self._keeping",
        "self._abandoned = True",
        f"{_LANES} -k is_waited_for",
    ),
    Mutant(
        "the-abandoned-keep",
        "daemon/ferryd/lanes/halt.py",
        "            if self._abandoned:\n",
        "            if False:\n",
        f"{_LANES} -k keeps_nothing",
    ),
    Mutant(
        "a-stall-is-forgotten",
        "daemon/ferryd/lanes/http.py",
        "return 0 if self._error else self._file.readinto1(view)",
        "return self._file.readinto1(view)",
        "tests/unit/lanes tests/faults/test_lane_http.py -k 'stall or midst'",
    ),
    Mutant(
        "a-look-that-ended-early-counts",
        "daemon/ferryd/engine/download.py",
        "again=self._run.transfer.looked)",
        "again=bool(self._run.transfer.pinned_content_id))",
        f"{_ENGINE} -k told_from",
    ),
    Mutant(
        "only-what-is-not-done-is-tidied",
        "daemon/ferryd/engine/cleanup.py",
        "discard, self._tools.files, files, transfer.id)",
        "discard, self._tools.files, [file for file in files if not file.done], transfer.id)",
        f"{_ENGINE} -k cancel_later",
    ),
    Mutant(
        "tidying-fails-downloads",
        "daemon/ferryd/engine/download.py",
        '        except FerryError as error:\n            log.warning("part files',
        '        except ZeroDivisionError as error:\n            log.warning("part files',
        f"{_ENGINE} -k cannot_be_looked_for",
    ),
)
