"""Fixtures every test may use, and how tests are marked."""

from __future__ import annotations

import pytest

from tests.support.home import home
from tests.support.hubs import hub_server

__all__ = ["home", "hub_server"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "serial: needs the machine for itself (figures, many processes, much memory)")
