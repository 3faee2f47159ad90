"""The exit codes: each error has one, and the page says the same."""

from __future__ import annotations

import re

import pytest

from ferryman.cli import exits, faults
from ferryman.cli.exits import Exit, code_for, code_for_all
from ferryman.errors import DaemonError, invalid, unreachable
from ferrywire.reasons import REASONS, Code
from tests.architecture.sources import ROOT

#: What each code is for, by the reasons a person meets most.
EXPECTED = {
    "INVALID_ARGUMENT": Exit.USAGE,
    "NOT_SIGNED_IN": Exit.NOT_SIGNED_IN,
    "TOKEN_EXPIRED": Exit.NOT_SIGNED_IN,
    "ASSET_NOT_FOUND": Exit.NOT_FOUND,
    "SOURCE_MISSING": Exit.NOT_FOUND,
    "SOURCE_CHANGED": Exit.DAMAGED,
    "DIGEST_MISMATCH": Exit.DAMAGED,
    "BLOB_DAMAGED": Exit.DAMAGED,
    "HUB_UNREACHABLE": Exit.STILL_QUEUED,
    "DEADLINE_EXCEEDED": Exit.STILL_QUEUED,
    "DAEMON_UNREACHABLE": Exit.NO_DAEMON,
    "DISK_FULL": Exit.LOCAL,
    "DESTINATION_EXISTS": Exit.LOCAL,
    "SOURCE_UNREADABLE": Exit.LOCAL,
    "QUOTA_EXCEEDED": Exit.REFUSED,
    "PERMISSION_DENIED": Exit.REFUSED,
    "ALIAS_TAKEN": Exit.REFUSED,
    "CANCELLED": Exit.OTHER,
    "INTERNAL": Exit.OTHER,
}


def _error(reason: str) -> DaemonError:
    return DaemonError(REASONS[reason].code, "it went wrong", reason=reason)


@pytest.mark.parametrize(("reason", "code"), EXPECTED.items())
def test_the_codes_of_known_reasons(reason: str, code: Exit) -> None:
    assert code_for(_error(reason)) is code


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_a_code_and_a_next_step(reason: str) -> None:
    assert code_for(_error(reason)) not in (Exit.OK, Exit.SOME_FAILED, Exit.INTERRUPTED)
    fault = faults.explain(_error(reason))
    assert fault.next_step
    assert "if_exists=" not in str(fault), "the words of Python, not of the command"


def test_every_code_of_the_wire_is_in_the_table() -> None:
    assert exits.BY_CODE.keys() == {str(code) for code in Code}
    assert exits.BY_REASON.keys() <= REASONS.keys()


def test_the_sdks_own_errors() -> None:
    assert code_for(unreachable("/run/x.sock", "no daemon")) is Exit.NO_DAEMON
    assert code_for(invalid("title", "no title")) is Exit.USAGE
    assert code_for(DaemonError("never_heard", "?")) is Exit.OTHER


def test_several_things() -> None:
    assert code_for_all([]) is Exit.OK
    assert code_for_all([Exit.OK, Exit.OK]) is Exit.OK
    assert code_for_all([Exit.NOT_FOUND, Exit.NOT_FOUND]) is Exit.NOT_FOUND
    assert code_for_all([Exit.OK, Exit.NOT_FOUND]) is Exit.SOME_FAILED


def test_the_page_has_the_same_codes() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert [int(code) for code in re.findall(r"^\| (\d+) \| .+ \|$", page, re.MULTILINE)] == list(Exit)


def test_an_error_is_one_sentence_and_a_step() -> None:
    fault = faults.explain(DaemonError("unauthenticated", "you are not signed in", reason="NOT_SIGNED_IN"))
    assert str(fault) == "you are not signed in. Run: ferry login"
    assert fault.data["exit_code"] == 3


def test_an_unexpected_error_is_still_a_sentence() -> None:
    fault = faults.explain(KeyError("x"))
    assert (fault.exit_code, "--debug" in fault.next_step) == (Exit.OTHER, True)
    assert faults.explain(PermissionError(13, "Permission denied", "/x")).exit_code is Exit.LOCAL
