"""The exceptions: what they are, what they say, and that they survive a process boundary."""

from __future__ import annotations

import builtins
import pickle

import pytest

import ferryman
from ferryman import DaemonError, DaemonTimeoutError
from ferryman.errors import about_transfer, timed_out, unreachable


def test_the_page_s_constructor_and_the_builtin_families() -> None:
    error = DaemonError("not_found", "no asset x")
    assert (error.code, error.message, error.reason, error.retryable, error.next_step) == (
        "not_found",
        "no asset x",
        "",
        False,
        "",
    )
    assert isinstance(timed_out("late"), TimeoutError)
    assert isinstance(unreachable("/s", "gone"), builtins.ConnectionError)
    assert issubclass(ferryman.ConnectionError, DaemonError)
    assert issubclass(DaemonTimeoutError, DaemonError)


def test_the_text_says_what_happened_what_to_do_and_the_code() -> None:
    error = DaemonError("not_found", "there is no asset x", reason="ASSET_NOT_FOUND")
    assert str(error) == (
        "there is no asset x. Check the id, or list the assets you can see. [not_found: ASSET_NOT_FOUND]"
    )
    assert str(DaemonError("internal", "oh!")) == "oh! [internal]"


def test_what_only_an_operator_can_mend_names_the_request() -> None:
    error = DaemonError("internal", "it failed", reason="INTERNAL", metadata={"errorId": "e"})
    error.request_id = "req-1"
    assert str(error).endswith("[internal: INTERNAL, request req-1]")
    error.code = "not_found"
    assert "req-1" not in str(error)
    assert about_transfer(error, "trf_1").request_id == "req-1"
    assert pickle.loads(pickle.dumps(error)).request_id == "req-1"


@pytest.mark.parametrize(
    "error",
    [
        DaemonError("aborted", "m", reason="ETAG_MISMATCH", metadata={"assetId": "a"}, retry_after_s=2.0),
        timed_out("late"),
        unreachable("/s", "gone"),
    ],
)
def test_errors_can_be_pickled(error: DaemonError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_an_error_about_a_transfer_names_it_and_the_way_back() -> None:
    error = about_transfer(unreachable("/s", "the daemon went away"), "trf_1")
    assert isinstance(error, ferryman.ConnectionError)
    assert error.metadata["transferId"] == "trf_1"
    assert "client.transfers.get('trf_1').wait()" in str(error)
