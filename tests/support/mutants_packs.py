"""Mutants of what keeps packs right, in the hub and in the daemon."""

from __future__ import annotations

from tests.support.mutants import Mutant

_HUB = "tests/integration/hub_content/test_packs.py"
_LANES = "tests/unit/lanes/test_packs.py"
_ENGINE = "tests/unit/daemon/test_engine_packs.py"

PACKS = (
    Mutant(
        "packs-not-looked-at",
        "hub/ferryhub/blobs/served.py",
        "if of_bytes(reader.read(part.pack_offset, size_bytes)) != part.digest:",
        "if False:",
        f"{_HUB} -k other_bytes",
    ),
    Mutant(
        "recorded-packs-written-again",
        "hub/ferryhub/blobs/receive.py",
        "if await self._database.read(is_recorded, claim.session_id, claim.name):",
        "if False:",
        f"{_HUB} -k other_bytes",
    ),
    Mutant(
        "rows-vouch-for-packs-to-be-written",
        "hub/ferryhub/blobs/served.py",
        "if await self._database.read(is_recorded, session_id, pack.name):",
        "if not await self._database.read(is_recorded, session_id, pack.name) and False:",
        f"{_HUB} -k 'signing_anew or nobodys_proof'",
    ),
    Mutant(
        "committed-packs-taken-back",
        "hub/ferryhub/blobs/receive.py",
        "    sessions.require_open(conn, session_id)  # or what is committed would be taken back\n",
        "",
        f"{_HUB} -k takes_nothing_back",
    ),
    Mutant(
        "packs-not-durable-are-kept",
        "hub/ferryhub/blobs/receive.py",
        "self._store.drop_packs(claim.session_id, [claim.name])",
        "None",
        f"{_HUB} -k not_believed",
    ),
    Mutant(
        "packs-of-one-name",
        "hub/ferryhub/catalogue/packs.py",
        'hasher.update(part.file_index.to_bytes(4, "big") + part.digest)',
        'hasher.update(part.file_index.to_bytes(4, "big"))',
        f"{_HUB} -k 'not_sent or by_itself'",
    ),
    Mutant(
        "files-of-a-pack-at-its-beginning",
        "hub/ferryhub/catalogue/contents.py",
        '"blob_offset": file.pack_offset,',
        '"blob_offset": 0,',
        f"{_HUB} -k read_by_itself",
    ),
    Mutant(
        "wasted-packs-are-committed",
        "hub/ferryhub/blobs/uploads.py",
        "if 2 * size < size_of(name)]",
        "if False]",
        f"{_HUB} -k bounded",
    ),
    Mutant(
        "old-daemons-get-packs",
        "hub/ferryhub/rpc/content.py",
        "if not request.accept_offsets and any(",
        "if False and any(",
        f"{_HUB} -k offsets",
    ),
    Mutant(
        "any-files-are-a-run",
        "daemon/ferryd/lanes/short_files.py",
        "    return same and a.offset + before.size_bytes == b.offset\n",
        "    return same\n",
        f"{_LANES} -k does_not_follow",
    ),
    Mutant(
        "sources-of-packs-stay-open",
        "daemon/ferryd/lanes/http.py",
        "with contextlib.closing(windows()) as some:",
        "with contextlib.nullcontext(windows()) as some:",
        f"{_LANES} -k stays_open",
    ),
    Mutant(
        "written-packs-not-synced",
        "daemon/ferryd/lanes/departures.py",
        "                sync_data(dest)\n",
        "                pass\n",
        f"{_LANES} -k durable",
    ),
    Mutant(
        "changed-files-of-packs-not-noticed",
        "daemon/ferryd/engine/delivery.py",
        '            if error.reason == "CHUNK_CORRUPT":\n                parts, found = await hash_pack()\n',
        "",
        f"{_ENGINE} -k without_a_trace",
    ),
)
