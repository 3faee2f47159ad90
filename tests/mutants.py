"""Proof that the tests see what they are there to see: `python -m tests.mutants [NAME …]`.

Each mutant takes one safeguard out of a copy of the programs; the named tests must fail on it. One that survives is a
hole in the tests. Takes some minutes, so it is run by hand, after a change to a safeguard; that every mutant still
fits the code is checked with the other tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.mutants import POWER, Mutant
from tests.support.mutants_hub import HUB
from tests.support.mutants_packs import PACKS
from tests.support.mutants_pagecache import PAGE_CACHE
from tests.support.mutants_short import SHORT

ROOT = Path(__file__).parents[1]
PROGRAMS = ("proto", "sdk", "daemon", "hub")


#: Those of the SDK and the daemon.
OURS = (
    Mutant(
        "queue-not-synced",
        "daemon/ferryd/store/opening.py",
        '"PRAGMA synchronous = FULL"',
        '"PRAGMA synchronous = NORMAL"',
        f"{POWER} -k acknowledged",
    ),
    Mutant(
        "download-not-synced",
        "daemon/ferryd/lanes/durable.py",
        "        os.fdatasync(fd)\n",
        "        pass\n",
        f"{POWER} tests/unit/lanes",
    ),
    Mutant(
        "found-again-not-synced",
        "daemon/ferryd/lanes/pool.py",
        "            sync_data(fd)  # these",
        "            pass  # these",
        "tests/unit/lanes/test_hashing.py",
    ),
    Mutant(
        "empty-not-synced",
        "daemon/ferryd/lanes/destination.py",
        "            if not size_bytes or not (made or as_it_was):\n",
        "            if not (made or as_it_was):\n",
        "tests/unit/lanes/test_destination.py",
    ),
    Mutant(
        "rename-not-synced",
        "daemon/ferryd/lanes/publish.py",
        "        sync_file(directory)\n",
        "        pass\n",
        f"{POWER} -k succeeded_download",
    ),
    Mutant(
        "settled-not-synced",
        "daemon/ferryd/engine/destination.py",
        "        self._files.confirm(own)",
        "        pass",
        "tests/faults/test_downloads.py -k renamed",
    ),
    Mutant(
        "names-synced-twice",
        "daemon/ferryd/lanes/publish.py",
        "                    rename_noreplace(directory, name, part)\n",
        "                    pass\n",
        "tests/unit/lanes/test_destination.py -k names",
    ),
    Mutant(
        "any-conflict-is-stored",
        "daemon/ferryd/lanes/replies.py",
        'if reply.status == 412 and sent.get("if-none-match") == "*":',
        "if reply.status == 412:",
        "tests/unit/lanes/test_s3_answers.py",
    ),
    Mutant(
        "no-runtime-lock",
        "daemon/ferryd/lifecycle/locks.py",
        "        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "        pass\n",
        "tests/unit/edge/test_lifecycle.py tests/e2e/test_many.py -k second",
    ),
    Mutant(
        "download-believes-parts",
        "daemon/ferryd/lanes/arrivals.py",
        "    if part.digest is not None and digest.of_blocks(digests) != part.digest:",
        "    if False:",
        "tests/unit/lanes/test_arrivals.py",
    ),
    Mutant(
        "unanswered-is-stored",
        "daemon/ferryd/lanes/departures.py",
        "        return arrived\n",
        "        return len(wanted)\n",
        "tests/unit/lanes/test_several.py",
    ),
    Mutant(
        "copies-not-synced",
        "daemon/ferryd/lanes/durable.py",
        "            sync_data(fd)\n",
        "            pass\n",
        "tests/unit/lanes/test_departures.py",
    ),
    Mutant(
        "copy-not-verified",
        "daemon/ferryd/lanes/file.py",
        "buffer, meter) == block_digests:",
        "buffer, meter) or True:",
        "tests/unit/lanes tests/faults -k 'not power'",
    ),
    Mutant(
        "source-not-compared",
        "daemon/ferryd/lanes/source.py",
        "    if now == then:\n",
        "    if True:\n",
        "tests/unit/lanes",
    ),
    Mutant(
        "links-followed",
        "daemon/ferryd/lanes/destination.py",
        '        if stat.S_ISLNK(kind):\n            raise _unsafe(path, f"{place} is a symbolic link")\n',
        "        _DIRECTORY_FLAGS = 0\n",
        "tests/unit/lanes",
    ),
    Mutant(
        "dots-allowed",
        "daemon/ferryd/lanes/destination.py",
        'if name in ("", ".", "..") or',
        'if name == "" or',
        "tests/unit/lanes",
    ),
    Mutant(
        "silent-overwrite",
        "daemon/ferryd/lanes/publish.py",
        "    if if_exists is IfExists.REPLACE:",
        "    if True:",
        "tests/unit/lanes",
    ),
    Mutant(
        "states-unguarded",
        "daemon/ferryd/core/states.py",
        "        raise IllegalTransition(state, event) from None",
        "        return state",
        "tests/property tests/unit/daemon",
    ),
    Mutant(
        "done-before-verified",
        "daemon/ferryd/engine/progress.py",
        "        if self._confirmed_parts < self._count:",
        "        if True:",
        "tests/unit/daemon",
    ),
    Mutant(
        "tokens-not-synced",
        "daemon/ferryd/auth/private_file.py",
        "            os.fsync(descriptor)\n",
        "            pass\n",
        "tests/unit/auth/test_private_file.py",
    ),
    Mutant(
        "token-name-not-synced",
        "daemon/ferryd/auth/private_file.py",
        "        _sync_directory(path.parent)\n",
        "        pass\n",
        "tests/unit/auth/test_private_file.py",
    ),
    Mutant(
        "tokens-open-to-others",
        "daemon/ferryd/auth/private_file.py",
        "            os.fchmod(descriptor, 0o600)  # whatever",
        "            os.fchmod(descriptor, 0o644)  # whatever",
        "tests/unit/auth/test_private_file.py",
    ),
    Mutant(
        "token-links-followed",
        "daemon/ferryd/auth/private_file.py",
        "os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK",
        "os.O_RDONLY | os.O_NONBLOCK",
        "tests/unit/auth/test_private_file.py",
    ),
    Mutant(
        "token-writers-meet",
        "daemon/ferryd/auth/tokens.py",
        "await asyncio.shield(self._change(context, tokens))",
        "await self._change(context, tokens)",
        "tests/unit/auth/test_file_tokens.py",
    ),
    Mutant(
        "tokens-by-name-alone",
        "daemon/ferryd/auth/tokens.py",
        '    return f"{context.name} {context.hub}"',
        "    return context.name",
        "tests/unit/auth/test_tokens.py",
    ),
    Mutant(
        "keyrings-not-checked",
        "daemon/ferryd/auth/keyring_tokens.py",
        "    if priority < 1 or any(",
        "    if False and any(",
        "tests/unit/auth/test_keyring_tokens.py",
    ),
    Mutant(
        "keyring-chain-falls-back",
        "daemon/ferryd/auth/keyring_tokens.py",
        "        keyring = chained[0]",
        "        pass",
        "tests/unit/auth/test_keyring_tokens.py",
    ),
    Mutant(
        "keyring-asked-too-late",
        "daemon/ferryd/auth/keyring_tokens.py",
        "            if done.set_running_or_notify_cancel():",
        "            if done.set_running_or_notify_cancel() or True:",
        "tests/unit/auth/test_keyring_tokens.py",
    ),
    Mutant(
        "loser-erases-newer",
        "daemon/ferryd/auth/sign_in.py",
        "            if self._tokens is spent:\n                await self._store.delete",
        "            if True:\n                await self._store.delete",
        "tests/unit/auth/test_tokens.py",
    ),
    Mutant(
        "loser-overwrites-newer",
        "daemon/ferryd/auth/sign_in.py",
        "            if self._tokens is spent:  # else somebody",
        "            if True:  # else somebody",
        "tests/unit/auth/test_tokens.py",
    ),
    Mutant(
        "renewal-not-noted",
        "daemon/ferryd/auth/sign_in.py",
        "replace(spent, renewing=True)",
        "spent",
        "tests/unit/auth",
    ),
    Mutant(
        "renewal-not-shared",
        "daemon/ferryd/auth/sign_in.py",
        "        if self._flight is None:\n            self._flight = asyncio",
        "        if True:\n            self._flight = asyncio",
        "tests/unit/auth/test_tokens.py",
    ),
    Mutant(
        "renewal-cancelled-by-one",
        "daemon/ferryd/auth/sign_in.py",
        "return await asyncio.shield(self._flight_for(spent))",
        "return await self._flight_for(spent)",
        "tests/unit/auth/test_tokens.py",
    ),
    Mutant(
        "token-not-checked",
        "daemon/ferryd/auth/oauth.py",
        '_TOKEN: Final = re.compile(r"[!-~]{8,4096}")',
        '_TOKEN: Final = re.compile(r"(?s).*")',
        "tests/unit/auth/test_oauth.py",
    ),
    Mutant(
        "proxy-taken-for-hub",
        "daemon/ferryd/auth/oauth.py",
        "        if first and status in (404, 405):",
        "        if status in (404, 405):",
        "tests/unit/auth/test_oauth.py",
    ),
    Mutant(
        "slow-down-ignored",
        "daemon/ferryd/auth/device.py",
        "                interval_s += _SLOW_DOWN_S\n",
        "                pass\n",
        "tests/unit/auth/test_device.py",
    ),
)
MUTANTS = (*OURS, *HUB, *PACKS, *PAGE_CACHE, *SHORT)


def survives(mutant: Mutant) -> bool:
    """Whether the tests pass on the mutant."""
    with tempfile.TemporaryDirectory(prefix="mutant") as scratch:
        copy = Path(scratch)
        for name in (*PROGRAMS, "tests", "docs"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        path = copy / mutant.file
        path.write_text(path.read_text().replace(mutant.old, mutant.new))
        done = subprocess.run(
            f"{sys.executable} -m pytest -q -x -p no:cacheprovider {mutant.tests}",
            shell=True,
            cwd=copy,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(str(copy / name) for name in PROGRAMS)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode not in (0, 1):
        raise SystemExit(f"{mutant.name}: its tests could not run\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


def main() -> int:
    chosen = [mutant for mutant in MUTANTS if not sys.argv[1:] or mutant.name in sys.argv[1:]]
    alive = []
    for mutant in chosen:
        lives = survives(mutant)
        print(f"{mutant.name:28} {'SURVIVED' if lives else 'killed'}", flush=True)
        alive += [mutant.name] if lives else []
    print(f"{len(chosen) - len(alive)} of {len(chosen)} mutants killed")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
