"""The code in the README runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.files import MIB, make_file
from tests.support.home import Home

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.usefixtures("configuration")
def test_the_ten_lines_run(home: Home) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    assert len(blocks[0].strip().splitlines()) <= 11, "ten lines, and an empty one"
    raw, tidy = b"island,mass\nDream,3750 g\n", b"island,mass_g\nDream,3750\n"
    (home.data / "penguins-raw.csv").write_bytes(raw)
    (home.data / "penguins.csv").write_bytes(tidy)
    make_file(home.data / "big.h5", 3 * MIB)
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=home.data,
        env=home.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert (home.data / "copy" / "penguins.csv").read_bytes() == tidy
    file_line, transfer_id, asset_id, *listed, last = done.stdout.splitlines()
    assert file_line.endswith(f"penguins.csv {len(tidy)}")
    assert transfer_id.startswith("trf_")
    assert asset_id.startswith("ast_")
    assert listed[:3] == ["Big [] {}", "Tidy ['penguins'] {'islands': 3}", "Raw [] {}"]
    assert (home.data / "copy" / "penguins-raw.csv").read_bytes() == raw
    assert last == "100 %"
