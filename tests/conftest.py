"""Fixtures every test may use, and how tests are marked."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.support import configurations
from tests.support.configurations import configuration, fleet_service, hub_service
from tests.support.home import home
from tests.support.hubs import hub_server
from tests.support.postgres import postgres, postgres_url
from tests.support.s3 import rclone_server, weed_server
from tests.support.s3secure import secure_weed

__all__ = [
    "configuration",
    "fleet_service",
    "home",
    "hub_server",
    "hub_service",
    "postgres",
    "postgres_url",
    "rclone_server",
    "secure_weed",
    "weed_server",
]


#: What a check says must be about the change and not about chance, so it tries the same examples each time; new ones:
#: `pytest tests/property --hypothesis-profile=random`. No deadline: a busy machine is no defect.
settings.register_profile("same", deadline=None, derandomize=True, database=None)
settings.register_profile("random", deadline=None, max_examples=1000)
settings.load_profile("same")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "serial: needs the machine for itself (figures, many processes, much memory)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    configurations.in_order(items)
