"""The fixtures of the catalogue's tests, for the accounts that are kept in it."""

from __future__ import annotations

from tests.unit.hub.conftest import ann as ann
from tests.unit.hub.conftest import bob as bob
from tests.unit.hub.conftest import catalogue as catalogue
from tests.unit.hub.conftest import database_url as database_url
