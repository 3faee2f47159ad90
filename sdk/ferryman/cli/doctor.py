"""`ferry doctor`: looks at all that a transfer needs, here and at the hub; says what is wrong and what to do.

What it prints may be sent to anybody: secrets are masked. Exit code 0 when nothing is wrong, else 1.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

import typer

from ferryman.cli import checks, masking, remotechecks
from ferryman.cli.checks import Check, Verdict
from ferryman.cli.exits import Exit
from ferryman.cli.output import paint
from ferryman.cli.session import Session, new_app, session_of

app = new_app("Check this machine and show what is wrong.")

_STYLES: Final = {Verdict.OK: "good", Verdict.NOTE: "dim", Verdict.WARNING: "wait", Verdict.PROBLEM: "bad"}
#: What does not answer for so long is reported as that.
_TIMEOUT_S: Final = 10.0
_WIDTH: Final = max(map(len, Verdict))


@app.command()
def doctor(context: typer.Context) -> int:
    """Check this machine, the daemon and the hub. With --json one object, without secrets, to send to somebody.

    Exit code 0 when nothing is wrong, 1 when something is.
    """
    session = session_of(context)
    found = [_masked(check) for check in _look(session)]
    healthy = not any(check.verdict is Verdict.PROBLEM for check in found)
    data = {"healthy": healthy, "checks": [asdict(check) for check in found]}
    session.out.result("doctor", data, [*_lines(found), "", _summary(found)])
    return Exit.OK if healthy else Exit.OTHER


def _look(session: Session) -> Iterator[Check]:
    yield from checks.of_this_machine()
    client = session.client(request_timeout_s=_TIMEOUT_S, known_context=False)
    try:
        yield from checks.guarded("daemon", lambda: remotechecks.of_daemon_and_hub(client))
    finally:
        client.close()


def _masked(check: Check) -> Check:
    values: dict[str, Any] = masking.masked(asdict(check), masking.secrets_of(os.environ))
    return Check(**values | {"verdict": check.verdict})


def _lines(found: list[Check]) -> list[str]:
    width = max(len(check.name) for check in found)
    lines = []
    for check in found:
        mark = paint(check.verdict.ljust(_WIDTH), _STYLES[check.verdict], sys.stdout)
        lines.append(f"{mark}  {check.name:{width}}  {check.message}")
        if check.next_step and check.verdict is not Verdict.OK:
            lines.append(f"{'':{_WIDTH}}  {'':{width}}  → {check.next_step}")
    return lines


def _summary(found: list[Check]) -> str:
    counts = Counter(check.verdict for check in found)
    problems, warnings = counts[Verdict.PROBLEM], counts[Verdict.WARNING]
    if not problems and not warnings:
        return "Nothing is wrong."
    return f"{problems} problem{'s' * (problems != 1)}, {warnings} warning{'s' * (warnings != 1)}."
