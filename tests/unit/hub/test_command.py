"""The command `ferryhub`: words it does not know are refused, not guessed at."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferryhub.cli import main


@pytest.mark.usefixtures("own_logging")
def test_options_are_written_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A script that shortens an option would break with the next option that begins alike."""
    with pytest.raises(SystemExit) as stopped:
        main(["token", "list", "--state", str(tmp_path)])
    assert stopped.value.code == 2
    assert "--state" in capsys.readouterr().err
    assert main(["token", "list", "--state-dir", str(tmp_path)]) == 0
