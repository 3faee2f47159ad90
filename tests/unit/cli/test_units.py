"""Sizes, rates, times and widths, as people read and write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ferryman.cli import units
from ferryman.cli.faults import Problem
from tests.unit.cli.samples import NOW


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (400 * 1024**2, "400 MiB"),
        (1024**4, "1.0 TiB"),
        (3000 * 1024**5, "3000 PiB"),
    ],
)
def test_a_size(count: int, shown: str) -> None:
    assert units.size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown", "clock"),
    [
        (-1, "0 s", "0:00"),
        (59.4, "59 s", "0:59"),
        (60, "1 min", "1:00"),
        (61, "1 min 1 s", "1:01"),
        (3600, "1 h", "1:00:00"),
        (7_500, "2 h 5 min", "2:05:00"),
        (90_000, "1 d 1 h", "25:00:00"),
    ],
)
def test_a_length_of_time(seconds: float, shown: str, clock: str) -> None:
    assert (units.duration(seconds), units.countdown(seconds)) == (shown, clock)


def test_how_long_ago() -> None:
    assert units.ago(NOW - timedelta(seconds=90), NOW) == "1 min 30 s ago"
    assert units.ago(NOW, NOW) == "now"
    assert units.ago(None, NOW) == ""


@pytest.mark.parametrize(
    ("text", "bytes_per_s"),
    [
        ("20M", 20 << 20),
        ("20MiB/s", 20 << 20),
        ("20 MB", 20_000_000),
        ("800k", 800 << 10),
        ("1.5G", 3 << 29),
        ("4096", 4096),
        ("512B", 512),
        ("off", 0),
        ("0", 0),
    ],
)
def test_a_rate_is_read(text: str, bytes_per_s: int) -> None:
    assert units.parse_rate(text) == bytes_per_s


@pytest.mark.parametrize("text", ["", "fast", "20X", "-1M", "1e3", "M"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(Problem):
        units.parse_rate(text)


@pytest.mark.parametrize("text", ["short", "日本のデータ", "a" * 50, "é" * 20, "e\u0301" * 20, ""])
@pytest.mark.parametrize("width", [0, 1, 2, 5, 12, 60])
def test_a_text_fits_exactly(text: str, width: int) -> None:
    assert units.width_of(units.fit(text, width)) == width


def test_a_title_cannot_steer_the_terminal() -> None:
    assert units.clean("a\x1b[31mb\r\nc\u202ed") == "a�[31mb��c�d"
