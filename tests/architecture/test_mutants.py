"""Every mutant of tests/mutants.py still fits the code it takes a safeguard from."""

from __future__ import annotations

import pytest

from tests.mutants import MUTANTS, ROOT
from tests.support.mutants import Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_one_place(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text()
    assert text.count(mutant.old) == 1
    compile(text.replace(mutant.old, mutant.new), mutant.file, "exec")
