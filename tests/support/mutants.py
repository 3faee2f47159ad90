"""What a mutant is: one safeguard taken out, and the tests that must notice. See `tests/mutants.py`."""

from __future__ import annotations

from dataclasses import dataclass

POWER = "tests/faults/test_power_loss.py"


@dataclass(frozen=True)
class Mutant:
    """In `file`, `old` (which occurs once) becomes `new`; then `tests` (arguments of pytest) must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: str
