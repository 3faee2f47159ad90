"""`ferry` in a real pseudo-terminal: narrow, wide, without colour, resized while it draws, interrupted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.cli import ferry
from tests.support.files import MIB, make_file
from tests.support.home import Home
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow

COLOUR = re.compile(rb"\x1b\[[0-9;]*[1-9][0-9;]*m")


@pytest.fixture
def big(home: Home) -> Path:
    """A file that takes a minute to upload, under the limit that is set here."""
    assert ferry("limit", "1M", "--parts", "1").code == 0
    return make_file(home.data / "big.h5", 64 * MIB)


def upload(path: Path, columns: int, env: dict[str, str] | None = None) -> Terminal:
    return Terminal("upload", str(path), "--title", "Run 7", "--chunk-size-mb", "1", columns=columns, env=env)


def moving(text: str) -> bool:
    return bool(re.search(r"Run 7 +━.* [1-9]\d? %", text))


@pytest.mark.parametrize("columns", [40, 60, 200])
def test_a_live_bar_then_a_summary(big: Path, columns: int) -> None:
    with upload(big, columns) as terminal:
        text = terminal.wait(lambda text: moving(text) and "iB/s" in text, "a bar that moves, and its rate")
        assert len(text.splitlines()) == 1, "one line for one transfer"
        assert ("64.0 MiB" in text) == (columns == 200)
        ferry("limit", "off")
        assert terminal.end() == 0
        assert "━" not in terminal.text, "the bar gives way to the summary"
        assert re.search(r"^asset +ast_\w{26}$", terminal.text, re.MULTILINE)
        assert "xxh3b:" in terminal.text


def test_no_color_is_kept(big: Path) -> None:
    with upload(big, 100, env={"NO_COLOR": "1"}) as terminal:
        terminal.wait(moving, "a bar that moves")
        ferry("limit", "off")
        assert terminal.end() == 0
        shades = [code for code in COLOUR.findall(terminal.sent) if re.search(rb"\[(3|4|9)\d|;3\d", code)]
        assert shades == []


def test_colours_are_used_where_they_may_be(big: Path) -> None:
    with upload(big, 100) as terminal:
        terminal.wait(moving, "a bar that moves")
        ferry("limit", "off")
        assert terminal.end() == 0
        assert COLOUR.search(terminal.sent)


def test_a_dumb_terminal_gets_lines(home: Home) -> None:
    (home.data / "a.csv").write_text("1")
    with Terminal("upload", str(home.data / "a.csv"), env={"TERM": "dumb"}) as terminal:
        assert terminal.end() == 0
        assert b"\x1b" not in terminal.sent
        assert terminal.lines[0].startswith("trf_")


def last(text: str) -> str:
    """The lowest line of a screen."""
    return text.splitlines()[-1]


def test_a_resize_while_it_moves(big: Path) -> None:
    with upload(big, 120) as terminal:
        terminal.wait(lambda text: "of 64.0 MiB" in text, "the amount, which needs a wide terminal")
        terminal.resize(40, 24)
        terminal.wait(lambda text: moving(last(text)) and "of 64.0" not in last(text), "a narrow bar")
        terminal.resize(140, 24)
        terminal.wait(lambda text: "of 64.0 MiB" in last(text), "the amount again")
        ferry("limit", "off")
        assert terminal.end() == 0


def test_ctrl_c_detaches_and_says_how_to_look_again(big: Path) -> None:
    with upload(big, 100) as terminal:
        terminal.wait(moving, "a bar that moves")
        terminal.type("\x03")
        assert terminal.end() == 130
        text = terminal.text
    assert "goes on in the background" in text
    found = re.search(r"ferry watch (trf_\w{26})", text)
    assert found, text
    ferry("limit", "off")
    assert ferry("watch", found[1]).code == 0


def test_top_shows_everything_and_q_leaves(big: Path, home: Home) -> None:
    started = ferry("upload", big, "--title", "Run 7", "--chunk-size-mb", "1", "-d", "-q").out.strip()
    paused = ferry("upload", make_file(home.data / "b.h5", 64 * MIB), "--title", "Waits", "-d", "-q").out.strip()
    assert ferry("pause", paused).code == 0
    with Terminal("top", columns=120, rows=12) as terminal:
        text = terminal.wait(lambda text: moving(text) and f"ferry resume {paused}" in text, "both transfers")
        assert "sending" in text
        assert re.search(r"1 running  1 waiting  \d", text)
        terminal.resize(40, 8)
        narrow = terminal.wait(lambda text: moving(text) and "of 64.0" not in text, "the narrow screen")
        assert len(narrow.splitlines()) <= 8
        assert "continue with ferry resume" in narrow
        terminal.type("q")
        assert terminal.end() == 0
    assert ferry("ls", "--state", "running", "--json").events[0]["data"]["transfer_id"] == started


def test_top_tells_the_next_attempt_of_what_waits(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRYMAN_HUB", "http://127.0.0.1:9")
    monkeypatch.setenv("FERRYMAN_TOKEN", "fat_" + "x" * 43)
    from ferryman import Client

    (home.data / "a.csv").write_text("1")
    with Client() as client:
        client.transfers.upload(home.data / "a.csv", title="Far", owner_type="user", owner_id="usr_1")
    with Terminal("top", columns=100, rows=12) as terminal:
        terminal.wait(
            lambda text: re.search(r"waiting for the network, next try in \d+ s \(\d\d:\d\d:\d\d\)", text), "why"
        )
        terminal.type("\x03")
        assert terminal.end() == 130


def test_the_table_fits_a_narrow_terminal(home: Home) -> None:
    (home.data / "a.csv").write_text("1")
    transfer_id = ferry("upload", home.data / "a.csv", "-d", "-q").out.strip()
    ferry("watch", transfer_id)
    with Terminal("ls", columns=40) as terminal:
        assert terminal.end() == 0
        assert terminal.lines == [transfer_id, "  done  100 %  1 B  a.csv"]
