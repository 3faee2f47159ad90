"""Waiting without a terminal: one line of each transfer every ten seconds, and one when it begins to wait."""

from __future__ import annotations

import pytest

from ferryman.cli import waiting
from ferryman.cli.output import Output
from ferryman.cli.settings import Settings
from tests.unit.cli.samples import transfer


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("ferryman.cli.waiting.time.monotonic", lambda: now[0])
    return now


def test_one_line_every_ten_seconds(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    lines = waiting.Lines(Output(Settings()))
    lines.update(transfer())
    for tick in range(305):
        clock[0] = 100.0 + tick / 10
        lines.tick()
    assert len(capsys.readouterr().err.splitlines()) == 4, "at 0, 10, 20 and 30 s"


def test_a_wait_is_told_at_once(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    lines = waiting.Lines(Output(Settings()))
    lines.update(transfer())
    lines.tick()
    clock[0] += 1
    lines.update(transfer(state="queued", waiting_for="network"))
    lines.tick()
    clock[0] += 1
    lines.tick()
    first, second = capsys.readouterr().err.splitlines()
    assert ("sending" in first, "waiting for the network" in second) == (True, True)


def test_nothing_more_of_what_has_ended(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    lines = waiting.Lines(Output(Settings()))
    lines.update(transfer())
    lines.tick()
    lines.update(transfer(state="succeeded"))
    clock[0] += 100
    lines.tick()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    lines = waiting.Lines(Output(Settings(quiet=True)))
    lines.update(transfer())
    lines.tick()
    assert capsys.readouterr() == ("", "")
