"""Proof that the tests see what they are there to see: `python tests/mutants.py [NAME …]`.

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
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAMS = ("proto", "sdk", "daemon", "hub")
POWER = "tests/faults/test_power_loss.py"


@dataclass(frozen=True)
class Mutant:
    """In `file`, `old` (which occurs once) becomes `new`; then `tests` (arguments of pytest) must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = (
    Mutant(
        "queue-not-synced",
        "daemon/ferryd/store/opening.py",
        '"PRAGMA synchronous = FULL"',
        '"PRAGMA synchronous = NORMAL"',
        f"{POWER} -k acknowledged",
    ),
    Mutant(
        "catalogue-not-synced",
        "hub/ferryhub/catalogue/sqlite.py",
        '"PRAGMA synchronous=FULL"',
        '"PRAGMA synchronous=NORMAL"',
        f"{POWER} -k finished_upload",
    ),
    Mutant(
        "download-not-synced",
        "daemon/ferryd/lanes/durable.py",
        "        os.fdatasync(fd)\n",
        "        pass\n",
        f"{POWER} tests/unit/lanes",
    ),
    Mutant(
        "rename-not-synced",
        "daemon/ferryd/lanes/publish.py",
        "        sync_file(directory)\n",
        "        pass\n",
        f"{POWER} -k succeeded_download",
    ),
    Mutant(
        "blob-name-not-synced",
        "hub/ferryhub/blobs/localfs.py",
        "            for directory in sorted(touched):\n                if directory.exists():",
        "            for directory in sorted(touched):\n                if False:",
        "tests/contract",
    ),
    Mutant(
        "forms-not-sealed",
        "hub/ferryhub/web/device.py",
        'self._pages.seal.fits(visit.cookie, form.get("csrf", ""))',
        "True",
        "tests/integration/hub_auth/test_page.py",
    ),
    Mutant(
        "provider-answer-counts-twice",
        "hub/ferryhub/auth/upstream.py",
        "if not await self._database.write(links.came_back, secret):",
        "if False:",
        "tests/integration/hub_auth/test_provider.py",
    ),
    Mutant(
        "provider-state-not-compared",
        "hub/ferryhub/auth/upstream.py",
        """not hmac.compare_digest(proofs.state.encode(), answer.get("state", "").encode())""",
        "False",
        "tests/integration/hub_auth/test_provider.py",
    ),
    Mutant(
        "provider-nonce-not-compared",
        "hub/ferryhub/auth/provider.py",
        '{"nonce": nonce, "client_id"',
        '{"client_id"',
        "tests/integration/hub_auth/test_provider.py -k claims",
    ),
    Mutant(
        "unverified-address-believed",
        "hub/ferryhub/auth/upstream.py",
        'who.email if who.email_verified else ""',
        "who.email",
        "tests/integration/hub_auth/test_provider.py -k nobody",
    ),
    Mutant(
        "address-of-another-taken-over",
        "hub/ferryhub/auth/links.py",
        'if conn.execute(_OTHER, {"issuer": claimed.issuer, "key": row.id}).first() is not None:',
        "if False:",
        "tests/integration/hub_auth/test_provider.py -k somebody_else",
    ),
    Mutant(
        "password-changed-during-check",
        "hub/ferryhub/auth/service.py",
        "if _account(conn, account) != known:",
        "if False:",
        "tests/unit/hub_auth/test_accounts.py",
    ),
    Mutant(
        "idle-tls-connections-waited-for",
        "hub/ferryhub/server.py",
        "if self._stopping and self.transport.is_closing():",
        "if False:",
        "tests/integration/hub_auth/test_stop.py",
    ),
    Mutant(
        "reuse-not-noticed",
        "hub/ferryhub/auth/signins.py",
        "if row.replaced_at is not None or not _usable(conn, row, grace_s):",
        "if False:",
        "tests/integration/hub_auth/test_refresh.py",
    ),
    Mutant(
        "code-given-twice",
        "hub/ferryhub/auth/devices.py",
        '_c.sha256 == bindparam("sha256"), _c.state != "used")',
        '_c.sha256 == bindparam("sha256"))',
        "tests/integration/hub_auth/test_device_flow.py",
    ),
    Mutant(
        "passwords-not-limited",
        "hub/ferryhub/auth/limits.py",
        "if row.tries > limit.most",
        "if False",
        "tests/unit/hub_auth",
    ),
    Mutant(
        "write-skew-let-through",
        "hub/ferryhub/catalogue/postgres.py",
        '_engine(url, isolation="SERIALIZABLE"',
        '_engine(url, isolation="REPEATABLE READ"',
        "tests/integration/hub_replicas/test_races.py -k remove_each_other",
    ),
    Mutant(
        "reads-of-two-moments",
        "hub/ferryhub/catalogue/postgres.py",
        '_engine(url, isolation="REPEATABLE READ"',
        '_engine(url, isolation="AUTOCOMMIT"',
        "tests/unit/hub/test_database.py",
    ),
    Mutant(
        "clash-not-repeated",
        "hub/ferryhub/catalogue/postgres.py",
        '"clash": 1000',
        '"clash": 0',
        "tests/integration/hub_replicas/test_races.py -k 'changes_at_once or different_things'",
    ),
    Mutant(
        "commit-in-doubt-repeated",
        "hub/ferryhub/catalogue/postgres.py",
        '"other" if self.in_doubt(error) else kind_of(error)',
        "kind_of(error)",
        "tests/integration/hub_replicas/test_outages.py -k nobody_answered",
    ),
    Mutant(
        "old-primary-kept",
        "hub/ferryhub/catalogue/postgres.py",
        "if is_read_only(error):",
        "if False:",
        "tests/integration/hub_replicas/test_outages.py -k takes_no_writes",
    ),
    Mutant(
        "reader-may-write",
        "hub/ferryhub/catalogue/postgres.py",
        "connection.read_only = True",
        "pass",
        "tests/integration/hub_replicas/test_outages.py -k cannot_write",
    ),
    Mutant(
        "stored-values-in-errors",
        "hub/ferryhub/catalogue/postgres.py",
        "hide_parameters=True",
        "hide_parameters=False",
        "tests/integration/hub_replicas/test_outages.py -k to_be_stored",
    ),
    Mutant(
        "lease-taken-from-its-holder",
        "hub/ferryhub/catalogue/leases.py",
        'or_(_l.holder == bindparam("me"), _l.expires_at <= bindparam("now"))',
        'or_(_l.holder == bindparam("me"), _l.holder != bindparam("me"))',
        "tests/unit/hub/test_leases.py -k sqlite",
    ),
    Mutant(
        "lease-never-over",
        "hub/ferryhub/catalogue/leases.py",
        '_l.expires_at <= bindparam("now")',
        "_l.expires_at <= 0",
        "tests/unit/hub/test_leases.py -k sqlite",
    ),
    Mutant(
        "lease-not-kept",
        "hub/ferryhub/catalogue/leases.py",
        "await asyncio.sleep(ttl_s / _KEEPS)",
        "await asyncio.sleep(3600)",
        "tests/unit/hub/test_leases.py -k sqlite --timeout 20",
    ),
    Mutant(
        "lease-lost-unnoticed",
        "hub/ferryhub/catalogue/leases.py",
        "            raise RuntimeError(",
        "            RuntimeError(",
        "tests/unit/hub/test_leases.py -k sqlite --timeout 20",
    ),
    Mutant(
        "lease-not-given-up",
        "hub/ferryhub/catalogue/leases.py",
        "        await database.write(give_up, name, holder)",
        "        pass",
        "tests/unit/hub/test_leases.py -k sqlite",
    ),
    Mutant(
        "lease-of-another-given-up",
        "hub/ferryhub/catalogue/leases.py",
        '_GIVE_UP = delete(t.leases).where(_l.name == bindparam("key"), _l.holder == bindparam("me"))',
        '_GIVE_UP = delete(t.leases).where(_l.name == bindparam("key"), _l.holder != bindparam("nobody", ""))',
        "tests/unit/hub/test_leases.py -k sqlite tests/integration/hub_replicas/test_races.py",
    ),
    Mutant(
        "nul-let-through",
        "hub/ferryhub/catalogue/columns.py",
        'if value is not None and "\\0" in value:',
        "if False:",
        "tests/unit/hub/test_nul.py",
    ),
    Mutant(
        "sorted-as-the-operator-does",
        "hub/ferryhub/catalogue/columns.py",
        'COLLATION if dialect.name == "postgresql" else None',
        "None",
        "tests/unit/hub/test_schema.py tests/unit/hub/test_paging.py tests/unit/hub/test_collections.py -k postgres",
    ),
    Mutant(
        "parts-too-small-for-the-store",
        "hub/ferryhub/catalogue/locations.py",
        "max(file.part_bytes, self.least_part_bytes)",
        "file.part_bytes",
        "tests/unit/hub/test_locations.py -k 'sqlite or parts_have'",
    ),
    Mutant(
        "files-too-large-for-the-store",
        "hub/ferryhub/catalogue/locations.py",
        "if file.size_bytes > self.most_file_bytes:",
        "if False:",
        "tests/unit/hub/test_locations.py -k sqlite",
    ),
    Mutant(
        "own-files-named-twice",
        "hub/ferryhub/catalogue/locations.py",
        "if location.name == OWN_FILES or conn",
        "if conn",
        "tests/unit/hub/test_locations.py -k sqlite",
    ),
    Mutant(
        "quota-below-nothing",
        "hub/ferryhub/catalogue/locations.py",
        "    if quota_bytes < 0:",
        "    if False:",
        "tests/unit/hub/test_locations.py -k sqlite",
    ),
    Mutant(
        "migrations-meet",
        "hub/ferryhub/catalogue/schema.py",
        "    conn.execute(select(func.pg_advisory_xact_lock(_ADVISORY_KEY)))\n",
        "",
        "tests/integration/hub_replicas/test_starting.py -k 'killed and postgres'",
    ),
    Mutant(
        "collections-below-not-seen",
        "hub/ferryhub/catalogue/reach.py",
        "within = conn.execute(below).scalars().all() if folders else ()",
        "within = folders",
        "tests/unit/hub/test_access.py -k sqlite",
    ),
    Mutant(
        "everybodys-assets-seen",
        "hub/ferryhub/catalogue/reach.py",
        'and_(column.owner_type == "user", column.owner_id == reach.user)',
        'column.owner_type == "user"',
        "tests/unit/hub/test_assets.py tests/unit/hub/test_relationships.py tests/unit/hub/test_lineage.py -k sqlite",
    ),
    Mutant(
        "drafts-listed",
        "hub/ferryhub/catalogue/newest.py",
        'and_(where, assets.c.state == "ready")',
        "where",
        "tests/unit/hub/test_assets.py -k sqlite",
    ),
    Mutant(
        "granted-assets-not-listed",
        "hub/ferryhub/catalogue/newest.py",
        "        *_newest_of(conn, _itself, reach.assets, page),\n",
        "",
        "tests/unit/hub/test_assets.py tests/unit/hub/test_grants.py tests/unit/hub/test_groups.py -k sqlite",
    ),
    Mutant(
        "window-never-over",
        "hub/ferryhub/auth/limits.py",
        "is_over = attempts.c.ends_at <= new.excluded.began_at",
        "is_over = attempts.c.ends_at < 0",
        "tests/unit/hub_auth/test_limits.py -k sqlite",
    ),
    Mutant(
        "refused-attempts-count",
        "hub/ferryhub/auth/limits.py",
        "    give_back(conn, subjects)\n    return max",
        "    return max",
        "tests/unit/hub_auth/test_limits.py tests/integration/hub_replicas/test_sign_ins.py -k sqlite",
    ),
    Mutant(
        "operators-tokens-forgotten",
        "hub/ferryhub/catalogue/expiry.py",
        ", _t.sign_in_id.is_not(None))",
        ")",
        "tests/unit/hub/test_expiry.py -k sqlite",
    ),
    Mutant(
        "living-sign-ins-forgotten",
        "hub/ferryhub/catalogue/expiry.py",
        "    ~select(_r.sha256).where(_r.sign_in_id == _s.id).exists(),\n",
        "",
        "tests/unit/hub/test_expiry.py -k sqlite",
    ),
    Mutant(
        "disabled-groups-count",
        "hub/ferryhub/catalogue/access.py",
        "members.member_id == me, t.principals.c.disabled.is_(False)",
        "members.member_id == me",
        "tests/unit/hub/test_groups.py",
    ),
    Mutant(
        "late-put-replaces-a-blob",
        "hub/ferryhub/blobs/s3.py",
        "if self._options.checksum and is_single(file) else file.key",
        "if False else file.key",
        "tests/integration/hub_content/test_s3.py -k 'late or other_bytes'",
    ),
    Mutant(
        "same-put-replaces-a-blob",
        "hub/ferryhub/blobs/s3urls.py",
        "if self._options.checksum and self._options.write_once:",
        "if False:",
        "tests/unit/hub_blobs/test_s3_urls.py",
    ),
    Mutant(
        "parts-not-compared-with-the-list",
        "hub/ferryhub/blobs/s3.py",
        'if parts.get(number, {}).get("Size") != spans[number])',
        "if False)",
        "tests/contract/test_s3_trouble.py -k page",
    ),
    Mutant(
        "checksum-not-asked-for",
        "hub/ferryhub/blobs/direct.py",
        "if self.rules.checksum and len(part.crc64nvme) != CRC_BYTES:",
        "if False:",
        "tests/integration/hub_content/test_s3.py -k without_its_checksum",
    ),
    Mutant(
        "any-conflict-is-stored",
        "daemon/ferryd/lanes/replies.py",
        'if reply.status == 412 and sent.get("if-none-match") == "*":',
        "if reply.status == 412:",
        "tests/unit/lanes/test_s3_answers.py",
    ),
    Mutant(
        "sweep-ignores-open-sessions",
        "hub/ferryhub/blobs/sweep.py",
        "if key not in referenced and session_of(key) not in in_use:",
        "if key not in referenced:",
        "tests/integration/hub_content/test_s3_sweep.py tests/integration/hub_content/test_s3.py -k sweep",
    ),
    Mutant(
        "hung-store-asked-again",
        "hub/ferryhub/health.py",
        "if name not in self._questions:",
        "if True:",
        "tests/unit/hub/test_health.py",
    ),
    Mutant(
        "no-runtime-lock",
        "daemon/ferryd/lifecycle/locks.py",
        "        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "        pass\n",
        "tests/unit/edge/test_lifecycle.py tests/e2e/test_many.py -k second",
    ),
    Mutant(
        "hub-believes-parts",
        "hub/ferryhub/blobs/receive.py",
        "if of_blocks(block_digests) != claim.digest:",
        "if False:",
        "tests/integration/hub_content",
    ),
    Mutant(
        "hub-believes-files",
        "hub/ferryhub/catalogue/summary.py",
        "        if given != file.digest:",
        "        if False:",
        "tests/integration/hub_content",
    ),
    Mutant(
        "download-believes-parts",
        "daemon/ferryd/engine/fetching.py",
        "        if digest.of_blocks(blocks) != expected:",
        "        if False:",
        "tests/unit/daemon/test_engine_download.py tests/faults/test_engine.py",
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
        "signatures-not-compared",
        "hub/ferryhub/blobs/signing.py",
        "        if not hmac.compare_digest(",
        "        if False and not hmac.compare_digest(",
        "tests/unit/hub_blobs",
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
        "scope-not-asked",
        "hub/ferryhub/catalogue/actor.py",
        'if scope not in actor.scopes and "admin" not in actor.scopes:',
        "if False:",
        "tests/unit/hub tests/integration/hub_catalogue",
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
