"""Fixtures every test may use, and how tests are marked."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.support import configurations
from tests.support.configurations import configuration, fleet_service, hub_service
from tests.support.home import home
from tests.support.hubs import hub_server
from tests.support.postgres import hub_database, postgres, postgres_url
from tests.support.s3 import rclone_server, weed_server
from tests.support.s3secure import secure_weed

__all__ = [
    "configuration",
    "fleet_service",
    "home",
    "hub_database",
    "hub_server",
    "hub_service",
    "postgres",
    "postgres_url",
    "rclone_server",
    "secure_weed",
    "weed_server",
]


#: What a check says must be about the change and not about chance, so it tries the same examples each time; new ones:
#: `pytest tests/property --hypothesis-profile=random`. No deadline, nothing too slow: a busy machine
#: is no defect.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", _PATIENT, derandomize=True, database=None)
settings.register_profile("random", _PATIENT, max_examples=1000)
settings.load_profile("same")
#: For the same reason: where a test says nothing, httpx gives each step of a call five seconds.
for _step in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, _step, 60.0)


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Started in the background: what tests start would not hear of Ctrl-C either.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "serial: needs the machine for itself (figures, many processes, much memory)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    configurations.in_order(items)


@pytest.fixture(autouse=True)
def no_handlers_left() -> Iterator[None]:
    """A handler that a test leaves on the root logger writes to a stderr that is gone, for every later test."""
    root = logging.getLogger()
    before = set(root.handlers)
    yield
    left = set(root.handlers) - before
    for handler in left:
        root.removeHandler(handler)
    assert not left, f"this test set up logging and left {left}: use the fixture own_logging"


@pytest.fixture
def own_logging(no_handlers_left: None) -> Iterator[None]:
    """For a test that runs a program in this process, which sets up logging as if that were its own."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
