"""Page tokens are opaque, sealed, and good for one caller and one query."""

from __future__ import annotations

import base64

import pytest

from ferryhub.catalogue.actor import ALL_SCOPES, Actor
from ferryhub.catalogue.paging import DEFAULT_SIZE, MAX_SIZE, Page, PageSeal, cut
from tests.unit.hub.conftest import fails

ANN = Actor("usr_a", "a@x.org", ALL_SCOPES)
BOB = Actor("usr_b", "b@x.org", ALL_SCOPES)
SEAL = PageSeal(b"secret")


@pytest.mark.parametrize(("size", "becomes"), [(0, DEFAULT_SIZE), (1, 1), (1000, 1000), (5000, MAX_SIZE)])
def test_size(size: int, becomes: int) -> None:
    assert SEAL.page(size, "", ANN, "List") == Page(becomes, None)


def test_negative_size() -> None:
    with fails("INVALID_ARGUMENT", field="page_size"):
        SEAL.page(-1, "", ANN, "List")


def test_round_trip() -> None:
    token = SEAL.token((12, "ast_1"), ANN, "List", "filter")
    assert SEAL.page(7, token, ANN, "List", "filter") == Page(7, (12, "ast_1"))
    assert SEAL.token(None, ANN, "List") == ""


def test_bound_to_caller_query_and_secret() -> None:
    token = SEAL.token((12, "ast_1"), ANN, "List", "filter")
    tampered = token[:-2] + ("AA" if not token.endswith("AA") else "BB")
    for actor, query, presented, seal in (
        (BOB, ("List", "filter"), token, SEAL),
        (ANN, ("List", "other"), token, SEAL),
        (ANN, ("Other", "filter"), token, SEAL),
        (ANN, ("List", "filter"), tampered, SEAL),
        (ANN, ("List", "filter"), "nonsense", SEAL),
        (ANN, ("List", "filter"), "ü", SEAL),
        (ANN, ("List", "filter"), base64.b64encode(b'[12,"ast_1"]').decode(), SEAL),
        (ANN, ("List", "filter"), token, PageSeal(b"other")),
    ):
        with fails("PAGE_TOKEN_INVALID"):
            seal.page(7, presented, actor, *query)


def test_cut_tells_whether_there_is_more() -> None:
    assert cut([1, 2], Page(2), lambda row: (row,)) == ([1, 2], None)
    assert cut([1, 2, 3], Page(2), lambda row: (row,)) == ([1, 2], (2,))
