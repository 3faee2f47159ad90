"""What `ferry doctor` looks at through the daemon and at the hub: versions, sign-in, reachability, the hub's clock."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ferryman import address
from ferryman.cli import checks, hubprobe, units
from ferryman.cli.checks import Check, Verdict
from ferryman.cli.faults import next_step
from ferryman.errors import DaemonError
from ferrywire import paths

if TYPE_CHECKING:
    from ferryman.client import Client
    from ferryman.reports import Context, DaemonInfo

EMBEDDED: Final = "embedded"
#: A difference between the clocks from which tokens and signed URLs begin to fail.
SKEW_WARNING_S: Final = 60.0
SKEW_PROBLEM_S: Final = 300.0
#: How many transfers are looked at.
_LOOKED_AT: Final = 1000


def of_daemon_and_hub(client: Client) -> Iterator[Check]:
    """Every check that needs the daemon, and after it those that need the hub. A failure ends what depends on it."""
    mine = version("ferryman")
    yield Check("sdk", Verdict.OK, f"{mine}, Python {platform.python_version()}", "", _platform(mine))
    try:
        was_running = address.answers(address.resolve(None))
        info = client.daemon.info()
    except DaemonError as error:
        step = "Run: ferry service logs" if error.reason == "DAEMON_UNREACHABLE" else next_step(error)
        yield Check("daemon", Verdict.PROBLEM, error.message, step, _details(error))
        return
    yield _daemon(info, mine, was_running=was_running)
    yield from _state(info)
    yield from checks.guarded("transfers", lambda: [_retried(client)])
    known = _known(client)
    yield from _hubs(known)
    signed_in = _signed_in(client)
    yield signed_in
    hub = signed_in.details.get("hub") or _in_use(known) or info.hub
    reached = _through_the_daemon(client) if signed_in.verdict is Verdict.OK else None
    if reached is not None:
        yield reached
    if hub and hub != EMBEDDED:
        yield from _hub_itself(hub, mine, reached)


def _platform(mine: str) -> dict[str, Any]:
    return {
        "version": mine,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "grpcio": version("grpcio"),
        "protobuf": version("protobuf"),
    }


def _daemon(info: DaemonInfo, mine: str, *, was_running: bool) -> Check:
    details = {
        "version": info.version,
        "pid": info.pid,
        "hub": info.hub,
        "started_at": info.started_at,
        "was_running": was_running,
        "draining": info.draining,
        "state_dir": info.state_dir,
    }
    message = f"{info.version}, process {info.pid}, {'running' if was_running else 'started now'}, hub {info.hub}"
    if info.version != mine:
        said = f"{message}; this command is {mine}"
        step = f"Run: kill {info.pid}; the next command starts the installed one, and transfers go on."
        return Check("daemon", Verdict.WARNING, said, step, details)
    if info.draining:
        return Check("daemon", Verdict.WARNING, f"{message}; it is stopping", "Run it again in a moment.", details)
    return Check("daemon", Verdict.OK, message, "", details)


def _state(info: DaemonInfo) -> Iterator[Check]:
    """The daemon's state directory is the one looked at; another HOME alone changes only the latter."""
    here, served = paths.state_dir().absolute(), Path(info.state_dir)
    if here.resolve() != served.resolve():
        message = f"the daemon that answers has its transfers and sign-ins in {served}; from here it would be {here}"
        step = "To have a daemon of your own, set FERRYMAN_STATE_DIR and FERRYMAN_RUNTIME_DIR; else set HOME as it was."
        yield Check("daemon's state", Verdict.PROBLEM, message, step, {"daemon": str(served), "here": str(here)})


def _retried(client: Client) -> Check:
    """Attempts that fail for a cause that nothing else here finds, such as a store that this machine cannot reach."""
    unsettled = islice(client.transfers.list(states=["queued", "running", "paused"], page_size=_LOOKED_AT), _LOOKED_AT)
    found = [one for one in unsettled if one.error is not None and one.waiting_for not in ("", "user", "rate_limit")]
    if not found:
        return Check("transfers", Verdict.OK, "none waits after an error")
    worst = max(found, key=lambda one: one.attempt_count)
    assert worst.error is not None
    details: dict[str, Any] = {"count": len(found), "transfer_id": worst.transfer_id, **_details(worst.error)}
    message = (
        f"{len(found)} {'waits' if len(found) == 1 else 'wait'} after an error; {worst.transfer_id}, "
        f"attempts so far {worst.attempt_count}: {units.clean(worst.error.message)}"
    )
    step = f"{next_step(worst.error)} All of them: ferry ls. See docs/troubleshooting.md."
    return Check("transfers", Verdict.PROBLEM, message, step, details | {"attempts": worst.attempt_count})


def _known(client: Client) -> list[Context]:
    try:
        return client.contexts.list()
    except DaemonError:  # of an older daemon, which the version tells
        return []


def _in_use(known: list[Context]) -> str:
    named = os.environ.get("FERRYMAN_CONTEXT", "")
    return next((one.hub for one in known if (one.name == named if named else one.current)), "")


def _hubs(known: list[Context]) -> Iterator[Check]:
    """All that the daemon knows; a person who wonders where a file went looks at this first."""
    if known:
        names = [f"{one.name}{' (in use)' if one.current else ''}" for one in known]
        rows = [{"name": one.name, "hub": one.hub, "in_use": one.current, "signed_in": one.signed_in} for one in known]
        yield Check("hubs", Verdict.OK, ", ".join(names), "", {"contexts": rows})


def _signed_in(client: Client) -> Check:
    try:
        status = client.auth_status()
    except DaemonError as error:
        return _failed("sign-in", error)
    details = {
        "user_email": status.user_email,
        "user_id": status.user_id,
        "hub": status.hub,
        "expires_at": status.expires_at,
        "context": status.context,
        "scopes": status.scopes,
        "storage": status.storage,
    }
    until = f", until {units.moment(status.expires_at)}" if status.expires_at else ""
    return Check("sign-in", Verdict.OK, f"{status.user_email} at {status.hub}{until}", "", details)


def _through_the_daemon(client: Client) -> Check:
    try:
        next(iter(client.projects.list(page_size=1)), None)
    except DaemonError as error:
        return _failed("hub calls", error)
    return Check("hub calls", Verdict.OK, "the daemon reaches the catalogue")


def _failed(name: str, error: DaemonError) -> Check:
    """The daemon has answered before: what takes too long now is the hub."""
    if error.reason == "DEADLINE_EXCEEDED":
        step = "Try again in a moment; transfers wait for the hub, and go on by themselves."
        return Check(name, Verdict.PROBLEM, "the hub did not answer in time", step, _details(error))
    return Check(name, Verdict.PROBLEM, error.message, next_step(error), _details(error))


def _hub_itself(hub: str, mine: str, through_daemon: Check | None) -> Iterator[Check]:
    try:
        answer = hubprobe.ask(hub)
    except OSError as error:
        step = "Check the address and the network; a proxy is not used. For a certificate: SSL_CERT_FILE."
        yield Check("hub", Verdict.PROBLEM, f"{hub} does not answer here: {error}", step, {"hub": hub})
        return
    details = {"hub": hub, "version": answer.version, "round_trip_s": round(answer.round_trip_s, 3)}
    message = f"{hub} answers in {answer.round_trip_s * 1000:.0f} ms, version {answer.version or 'not told'}"
    if through_daemon is not None and through_daemon.verdict is Verdict.PROBLEM:
        step = "The daemon sees another network or other certificates than this shell: restart it from here."
        yield Check("hub", Verdict.WARNING, f"{message}, but the daemon does not reach it", step, details)
    elif answer.version and _release(answer.version) != _release(mine):
        step = f"Install the release of the hub where calls fail as UNIMPLEMENTED; this one is {mine}."
        yield Check("hub", Verdict.WARNING, message, step, details)
    else:
        yield Check("hub", Verdict.OK, message, "", details)
    if answer.skew_s is not None:
        yield _skew(answer.skew_s)


def _release(text: str) -> list[str]:
    """What must agree: the first two numbers."""
    return text.split(".")[:2]


def _skew(skew_s: float) -> Check:
    details = {"skew_s": round(skew_s, 1)}
    apart = f"this clock is {units.duration(abs(skew_s))} {'ahead of' if skew_s > 0 else 'behind'} the hub's"
    if abs(skew_s) < SKEW_WARNING_S:
        return Check("hub's clock", Verdict.OK, "agrees with this machine's", "", details)
    verdict = Verdict.PROBLEM if abs(skew_s) >= SKEW_PROBLEM_S else Verdict.WARNING
    return Check("hub's clock", verdict, apart, "Set both by NTP: timedatectl set-ntp true", details)


def _details(error: DaemonError) -> dict[str, Any]:
    return {"code": error.code, "reason": error.reason, **error.metadata}
