"""Fixtures every test may use, and how tests are marked."""

from __future__ import annotations

import pytest

from tests.support.home import home
from tests.support.hubs import hub_server
from tests.support.postgres import postgres, postgres_url
from tests.support.s3 import rclone_server, weed_server

__all__ = ["home", "hub_server", "postgres", "postgres_url", "rclone_server", "weed_server"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "serial: needs the machine for itself (figures, many processes, much memory)")
