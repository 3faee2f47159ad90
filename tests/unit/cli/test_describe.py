"""A transfer in words and in one line of any width."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ferryman.cli import describe, units
from ferryman.errors import DaemonError
from tests.unit.cli.samples import NOW, transfer

WAITING = transfer(
    state="queued",
    phase="",
    waiting_for="network",
    next_attempt_at=NOW + timedelta(seconds=12),
    error=DaemonError("unavailable", "the hub does not answer", reason="HUB_UNREACHABLE"),
)
STATES = [
    transfer(),
    WAITING,
    transfer(state="paused", phase="", waiting_for="user", rate_bps=0.0),
    transfer(state="paused", phase="", waiting_for="auth", rate_bps=0.0),
    transfer(state="queued", phase="", waiting_for="slot", rate_bps=0.0),
    transfer(state="succeeded", phase="", persisted_bytes=100 << 20),
    transfer(state="failed", phase="", error=DaemonError("internal", "x" * 300)),
    transfer(size_bytes=0, persisted_bytes=0, title="", rate_bps=0.0),
    transfer(title="日本のデータ" * 20),
]


def text(line: describe.Line) -> str:
    return "".join(piece for piece, _ in line)


@pytest.mark.parametrize("info", STATES, ids=lambda info: f"{info.state}-{info.waiting_for}")
@pytest.mark.parametrize("columns", [10, 20, 39, 40, 59, 60, 80, 160, 300])
@pytest.mark.parametrize("eta_s", [None, 3_723.0])
def test_no_line_is_wider_than_the_terminal(info: object, columns: int, eta_s: float | None) -> None:
    for line in describe.block(info, columns, NOW, eta_s):
        assert units.width_of(text(line)) <= columns


def test_a_wide_line_says_everything() -> None:
    shown = text(describe.progress(transfer(), 120, 7.5))
    for part in ("Run 7", "━", "25 %", "25.0 MiB of 100 MiB", "10.0 MiB/s", "sending", "0:08 left"):
        assert part in shown


def test_a_narrow_line_keeps_the_name_the_share_and_the_rate() -> None:
    shown = text(describe.progress(transfer(), 40))
    assert shown.startswith("Run 7 ━")
    assert shown.endswith("25 %  10.0 MiB/s")


def test_letters_for_terminals_that_know_no_others() -> None:
    assert text(describe.progress(transfer(), 100, ascii_only=True)).isascii()


def test_why_a_transfer_waits() -> None:
    clock = (NOW + timedelta(seconds=12)).astimezone().strftime("%H:%M:%S")
    assert (
        describe.reason(WAITING, NOW) == f"waiting for the network, next try in 12 s ({clock}), the hub does not answer"
    )
    assert describe.state(WAITING) == "waiting"
    assert "ferry login" in describe.reason(transfer(state="paused", waiting_for="auth"), NOW)
    assert "ferry resume trf_" in describe.reason(transfer(state="paused", waiting_for="user"), NOW)
    assert describe.reason(transfer(), NOW) == ""


@pytest.mark.parametrize("cause", ["slot", "network", "auth", "space", "rate_limit", "hub", "something_new"])
def test_every_wait_has_a_reason(cause: str) -> None:
    assert describe.reason(transfer(state="queued", phase="", waiting_for=cause), NOW).startswith("waiting for ")


def test_a_pause_between_two_attempts_is_no_wait_for_a_slot() -> None:
    info = transfer(state="queued", waiting_for="slot", next_attempt_at=NOW + timedelta(seconds=3), error=WAITING.error)
    assert describe.reason(info, NOW).startswith("next try in 3 s (")


def test_what_was_there_already_is_said_until_it_has_ended() -> None:
    info = transfer(file_count=900, present_file_count=812)
    assert text(describe.block(info, 80, NOW)[1]).strip() == "already there 812 of 900 files"
    assert "already there 812 of 900 files" in describe.heartbeat(info, NOW)
    assert describe.present(transfer()) == ""


def test_no_rate_while_nothing_moves() -> None:
    assert "iB/s" in text(describe.progress(transfer(), 120))
    assert "iB/s" not in text(describe.progress(transfer(phase="committing"), 120))


def test_a_name_stays_readable_on_60_columns() -> None:
    shown = text(describe.progress(transfer(title="Penguins of 2025"), 59, 3.0))
    assert shown.startswith("Penguins of")


def test_a_hundred_percent_only_when_it_is_done() -> None:
    whole = 100 << 20
    assert describe.percent(transfer(persisted_bytes=whole, phase="verifying")) == "99 %"
    assert describe.percent(transfer(persisted_bytes=whole, state="succeeded")) == "100 %"
    assert describe.percent(transfer(size_bytes=0)) == ""


def test_a_line_for_a_log() -> None:
    line = describe.heartbeat(transfer(), NOW, 60.0)
    assert line == ("trf_01JD8Z3S6Q7M0V5W4X2Y1N9K8P Run 7: sending  25 %  25.0 MiB of 100 MiB  10.0 MiB/s  1:00 left")


def test_a_hostile_title_is_shown_as_text() -> None:
    assert "\x1b" not in text(describe.progress(transfer(title="\x1b[2Jgone"), 80))
