"""The command `ferryhub verify`: read what is stored once more and compare it with the catalogue, while hubs serve."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from ferryhub.command import add_command, require_hub, say, settings, size

if TYPE_CHECKING:
    from ferryhub.blobs.damage import Damage
    from ferryhub.blobs.verify import Progress
    from ferryhub.catalogue.checks import Totals

_SAY_EVERY_S: Final = 10.0
_INTERRUPTED: Final = 130
_MIB: Final = 1 << 20


def add_verify_command(commands: Any) -> None:
    """Add it to the parser of `ferryhub`."""
    text = "read everything that is stored and compare it with the catalogue's digests, going on where it was stopped"
    verify = add_command(commands, "verify", _verify, text)
    verify.add_argument("--rate", type=size, default=0, metavar="BYTES", help="at most so many a second, such as 50M")
    verify.add_argument("--restart", action="store_true", help="begin anew, not where the last one was stopped")
    verify.add_argument("--json", action="store_true", help="print the result as one JSON object")


def _verify(args: argparse.Namespace) -> int:
    try:
        progress = asyncio.run(_run(args))
    except KeyboardInterrupt:
        _note("stopped; 'ferryhub verify' goes on from here")
        return _INTERRUPTED
    if args.json:
        found = [asdict(each) for each in progress.kept]
        say(
            json.dumps(
                {"files": progress.files, "bytes": progress.size_bytes, "damaged": progress.damaged, "found": found}
            )
        )
    else:
        say(f"{progress.files} files, {progress.size_bytes} bytes: {progress.damaged or 'nothing'} damaged")
        for each in progress.kept:
            say(str(each))
    return 1 if progress.damaged else 0


async def _run(args: argparse.Namespace) -> Progress:
    from ferryhub.app import open_catalogue
    from ferryhub.blobs.service import BlobOptions, open_blobs
    from ferryhub.blobs.verify import Verifier
    from ferryhub.catalogue import checks
    from ferryhub.catalogue.settings import URL_SECRET

    chosen = settings(args)
    require_hub(chosen)  # nothing would be damaged
    async with AsyncExitStack() as stack:
        database, secrets = await stack.enter_async_context(open_catalogue(chosen))
        options = BlobOptions(chosen.blobs_dir, secrets[URL_SECRET])
        blobs = await stack.enter_async_context(open_blobs(database, options))
        teller = _Teller(await database.read(checks.totals))
        verifier = Verifier(database, blobs.places, bytes_per_s=args.rate, found=teller.found, moved=teller.moved)
        return await verifier.run(restart=args.restart)


class _Teller:
    """Says on standard error what was found, at once, and every ten seconds how far it is."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals
        self._said_at_s = time.monotonic()

    def found(self, damage: Damage) -> None:
        """Say it."""
        _note(f"damaged: {damage}")

    def moved(self, progress: Progress) -> None:
        """Say it now and then."""
        if time.monotonic() - self._said_at_s >= _SAY_EVERY_S:
            self._said_at_s = time.monotonic()
            mib, of = progress.size_bytes // _MIB, self._totals.size_bytes // _MIB
            _note(f"{progress.files} of {self._totals.files} files, {mib} of {of} MiB, {progress.damaged} damaged")


def _note(line: str) -> None:
    print(f"ferryhub verify: {line}", file=sys.stderr, flush=True)  # noqa: T201
