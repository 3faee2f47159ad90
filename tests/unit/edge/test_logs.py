"""What log lines look like, in daemon and hub alike."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from ferrywire.ids import new_id
from ferrywire.loglines import formatter


def _record(message: str = "done %d", *args: object, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("ferryd.app", logging.INFO, __file__, 1, message, args or (7,), None)
    vars(made).update(more)
    return made


def test_a_line_as_json() -> None:
    line = json.loads(formatter("json", lambda: "req-1").format(_record(fields={"status": 200})))
    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "logger": "ferryd.app", "message": "done 7", "request_id": "req-1", "status": 200}


def test_a_transfer_s_line_names_the_transfer() -> None:
    transfer_id = new_id("trf")
    line = json.loads(formatter("json", lambda: transfer_id).format(_record()))
    assert line["request_id"] == line["transfer_id"] == transfer_id


def test_outside_of_everything_there_is_no_id() -> None:
    assert "request_id" not in json.loads(formatter("json", str).format(_record()))
    assert formatter("text", str).format(_record()).endswith("INFO ferryd.app done 7")


def test_a_line_as_text() -> None:
    assert formatter("text", lambda: "req-1").format(_record()).endswith("INFO ferryd.app done 7 request_id=req-1")


@pytest.mark.parametrize("kind", ["text", "json"])
def test_what_is_told_of_makes_no_line_of_its_own(kind: str) -> None:
    name = "run\n2026-01-01 00:00:00,000 INFO ferryd.app all is well\r\x1b[2J"
    line = formatter(kind, str).format(_record("kept %s", name))
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


def test_a_traceback_stays_in_its_line() -> None:
    with pytest.raises(LookupError) as caught:
        raise LookupError("é\nx")
    assert caught.value.__traceback__ is not None
    about = (LookupError, caught.value, caught.value.__traceback__)
    text = formatter("json", str).format(_record("oh", exc_info=about, args=()))
    assert len(text.splitlines()) == 1
    assert "LookupError: é\nx" in json.loads(text)["traceback"]
    assert sys.exc_info() == (None, None, None)
