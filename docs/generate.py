"""Writes the parts of the documents that follow from code: `python docs/generate.py [--check]`.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`. With `--check` nothing is written and the
exit status says whether the documents are current.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "bench"))

import table
from plots import GROWTHS
from steps import published

from ferryd import config
from ferryd.core import states
from ferryman.cli.exits import BY_CODE, BY_REASON
from ferrywire import digest
from ferrywire.reasons import REASONS, Reason

DOCS = Path(__file__).resolve().parent
PART = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
MIB = 1 << 20
#: Inputs of the test vectors: how the page writes them, and the bytes.
INPUTS: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "the one byte `00`": lambda: b"\0",
    "the three letters `abc`": lambda: b"abc",
    "1 MiB − 1 of `00`": lambda: bytes(MIB - 1),
    "1 MiB of `00`": lambda: bytes(MIB),
    "1 MiB + 1 of `00`": lambda: bytes(MIB + 1),
    "3 MiB, byte *i* is *i* mod 251": lambda: (bytes(range(251)) * (3 * MIB // 251 + 1))[: 3 * MIB],
}
#: A content of three files for the content digest.
MANIFEST = (("a.csv", b"a,b\n1,2\n"), ("empty", b""), ("ä/z.bin", bytes(MIB + 1)))
#: What each key of config.toml is for; a key without words here stops the generator.
MEANINGS = {
    "hub": "where the hub is; `FERRYMAN_HUB` wins",
    "idle_timeout_s": "the daemon ends after this long without work or calls; under systemd it never does",
    "running_transfers": "transfers that run at once; the others wait in the queue",
    "parts_in_flight": "parts that move at once, over all transfers; of one transfer half as many of 16 MiB and more",
    "bandwidth_bps": "bytes per second, uploads and downloads together",
    "session_ttl_s": "how long the embedded hub keeps what has arrived of an upload that nobody continues",
    "token_store": "where sign-ins are kept: a private file in the state directory, or the keyring of the desktop",
    "log_level": "how much goes into `daemon.log`",
    "log_format": "`json` for one object a line; `FERRYMAN_LOG_FORMAT` wins",
    "metrics": "where Prometheus may fetch metrics: [howto/observe.md](howto/observe.md)",
}


def mermaid() -> str:
    """The life of a transfer, drawn from the one table."""
    return f"```mermaid\n{states.mermaid()}\n```"


def vectors() -> str:
    """File digests of the inputs."""
    rows = [f"| {name} | `{digest.to_text(digest.of_bytes(make()))}` |" for name, make in INPUTS.items()]
    return "\n".join(["| bytes | digest |", "|---|---|", *rows])


def content_vector() -> str:
    """The content digest of `MANIFEST`, with the digests it is made of."""
    files = [(path, len(data), digest.of_bytes(data)) for path, data in MANIFEST]
    rows = [f"| `{path}` | {size:,} | `{digest.to_text(raw)}` |" for path, size, raw in files]
    whole = f"Content digest: `{digest.to_text(digest.of_manifest(files))}`"
    return "\n".join(["| path | size in bytes | file digest |", "|---|---|---|", *rows, "", whole])


def reasons() -> str:
    """The error table for people."""
    head = ["| reason | code | exit code | tried again by itself | what to do |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(_reason(row) for row in REASONS.values())])


def _reason(row: Reason) -> str:
    again = f"waits for {row.waits_for.replace('_', ' ')}" if row.waits_for else "yes" if row.retryable else "no"
    exit_code = BY_REASON.get(row.name) or BY_CODE[row.code]
    return f"| `{row.name}` | `{row.code}` | {exit_code:d} | {again} | {row.next_step} |"


def settings() -> str:
    """The keys of config.toml, as `ferryd.config` checks them."""
    head = ["| key | default | must be | what it sets |", "|---|---|---|---|"]
    return "\n".join([*head, *(_setting(key, wanted) for key, (_, _, wanted) in config.CHECKS.items())])


def _setting(key: str, wanted: str) -> str:
    default = next(field.default for field in dataclasses.fields(config.Config) if field.name == key)
    shown = f"{default:.0f}" if isinstance(default, float) else f'"{default}"' if isinstance(default, str) else default
    return f"| `{key}` | `{shown}` | {wanted} | {MEANINGS[key]} |"


def performance() -> str:
    """The figures that have a bar."""
    return table.bars(published())


def plots() -> str:
    """Cost against size, as far as it is drawn."""
    names = [growth.name for growth in GROWTHS if growth.name in _drawn()]
    return "\n\n".join(f"![{name}](plots/{name}.png)" for name in names) or "None is drawn yet."


def measured() -> str:
    """Everything that was measured."""
    return table.whole(published(), _drawn())


def _drawn() -> list[str]:
    return [path.stem for path in (DOCS / "plots").glob("*.png")]


PARTS: dict[str, Callable[[], str]] = {
    "states": mermaid,
    "digest-vectors": vectors,
    "content-vector": content_vector,
    "reasons": reasons,
    "settings": settings,
    "performance": performance,
    "plots": plots,
    "measured": measured,
}


def renewed(text: str) -> str:
    """The text with every generated part made again."""
    return PART.sub(lambda found: f"{found[1]}{PARTS[found['name']]()}\n{found[3]}", text)


def pages() -> Iterator[tuple[Path, str, str]]:
    """(page, what it says, what it should say) of every page."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        yield page, text, renewed(text)


def main(arguments: list[str]) -> int:
    stale = [(page, fresh) for page, text, fresh in pages() if text != fresh]
    if "--check" in arguments:
        for page, _ in stale:
            sys.stderr.write(f"{page.name} is out of date: run `python docs/generate.py`\n")
        return 1 if stale else 0
    for page, fresh in stale:
        page.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
