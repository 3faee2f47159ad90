"""The screen of `ferry top` and the table of `ferry ls`, as text."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ferryman.cli import table, units
from ferryman.cli.feed import Forecast
from ferryman.cli.top import page
from ferryman.cli.transfers import listing
from tests.unit.cli.samples import NOW, transfer

RUNNING = transfer(transfer_id="trf_b")
PAUSED = transfer(transfer_id="trf_a", title="Paused one", state="paused", phase="", waiting_for="user", rate_bps=0.0)
ENDED = transfer(transfer_id="trf_c", title="Done one", state="succeeded", phase="", ended_at=NOW)
OLD = transfer(transfer_id="trf_d", title="Old one", state="succeeded", ended_at=NOW - timedelta(hours=1))
MANY = [transfer(transfer_id=f"trf_{n:03}", title=f"T{n}") for n in range(100)]


def screen(transfers: list[object], columns: int, rows: int) -> list[str]:
    lines = page(transfers, {}, columns=columns, rows=rows, now=NOW)
    return ["".join(piece for piece, _ in line) for line in lines]


@pytest.mark.parametrize("columns", [20, 40, 80, 160])
@pytest.mark.parametrize("rows", [3, 5, 10, 24])
def test_it_never_leaves_the_screen(columns: int, rows: int) -> None:
    lines = screen([PAUSED, *MANY, ENDED], columns, rows)
    assert len(lines) <= rows
    assert all(units.width_of(line) <= columns for line in lines)


def test_what_moves_comes_first_and_what_ended_long_ago_is_gone() -> None:
    shown = "\n".join(screen([OLD, ENDED, PAUSED, RUNNING], 100, 24))
    assert shown.index("Run 7") < shown.index("Paused one") < shown.index("Done one")
    assert "Old one" not in shown
    assert shown.startswith("ferry  1 running  1 waiting  10.0 MiB/s")


def test_it_says_how_many_do_not_fit() -> None:
    lines = screen(list(MANY), 80, 10)
    assert "… and 94 more; ferry ls shows all" in lines
    assert len([line for line in lines if line.startswith("T")]) == 6
    assert len(lines) == 10


def test_an_empty_screen_says_so() -> None:
    assert "Nothing is being transferred." in screen([], 80, 10)


def test_a_wide_listing_is_a_table_with_reasons_below() -> None:
    lines = listing([RUNNING, PAUSED], NOW, 160)
    assert lines[0].split() == ["ID", "STATE", "DONE", "SIZE", "RATE", "CREATED", "TITLE"]
    assert lines[3] == "  paused; continue with ferry resume trf_a"


def test_a_narrow_listing_keeps_ids_whole() -> None:
    info = transfer()
    lines = listing([info], NOW, 40)
    assert lines[0] == info.transfer_id
    assert lines[1] == "  sending  25 %  100 MiB  Run 7"


def test_a_table_shrinks_where_it_may_and_nowhere_else() -> None:
    rows = [("ast_01JD8Z3S6Q7M0V5W4X2Y1N9K8P", "a very long title that will not fit")]
    lines = table.columns(("ID", "TITLE"), rows, width=45, flexible=(1,))
    assert lines[1] == "ast_01JD8Z3S6Q7M0V5W4X2Y1N9K8P  a very long …"
    assert table.columns(("ID", "TITLE"), rows)[1].endswith("not fit")


def test_empty_values_are_left_out_of_pairs() -> None:
    assert table.pairs([("asset", "ast_1"), ("alias", ""), ("id", "x")]) == ["asset  ast_1", "id     x"]


def test_no_forecast_in_the_first_ten_seconds() -> None:
    forecast = Forecast()
    assert forecast.left_s(RUNNING, 100.0) is None
    assert forecast.left_s(RUNNING, 109.9) is None
    assert forecast.left_s(RUNNING, 110.0) == pytest.approx(7.5)
    assert forecast.left_s(PAUSED, 110.0) is None


def test_no_forecast_while_no_byte_moves() -> None:
    forecast = Forecast()
    committing = transfer(transfer_id="trf_b", phase="committing")
    assert [forecast.left_s(committing, float(now_s)) for now_s in (0, 30)] == [None, None]


def test_a_pause_starts_the_forecast_anew() -> None:
    forecast = Forecast()
    forecast.left_s(RUNNING, 0.0)
    forecast.left_s(transfer(transfer_id="trf_b", state="paused"), 5.0)
    assert forecast.left_s(RUNNING, 11.0) is None
