"""Waiting for a condition instead of for time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import psutil

T = TypeVar("T")


def wait_for(condition: Callable[[], T | None], *, timeout_s: float = 60.0, what: str = "") -> T:
    """Return the condition's value as soon as it is true; AssertionError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s in vain for {what or condition}")
        time.sleep(0.01)


def ended(process: psutil.Process) -> bool:
    """Whether it runs no more, be it that nobody has asked for its exit code yet."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # it may end between any two questions
        return True
