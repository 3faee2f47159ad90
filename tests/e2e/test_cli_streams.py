"""`ferry` with streams that are closed, full or left, in another locale, interrupted, and given hostile names."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import COMMAND, ferry
from tests.support.files import MIB, make_file
from tests.support.home import Home

pytestmark = pytest.mark.slow

FERRY = " ".join(COMMAND)
#: Names that a directory may hold and that must not steer a terminal.
HOSTILE = "a\x1b]0;gone\x07\nb.csv"


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """A line of bash in which $F is ferry; what became of every command in its pipe is the last line of stderr."""
    script = f'F="{FERRY}"; {line}; echo "${{PIPESTATUS[@]}}" >&9'
    read, write = os.pipe()
    try:
        done = subprocess.run(
            ["bash", "-c", f"exec 9>&{write}; {script}"],
            capture_output=True,
            text=True,
            pass_fds=(write,),
            timeout=100,
            check=False,
        )
    finally:
        os.close(write)
    with os.fdopen(read) as codes:
        return subprocess.CompletedProcess(line, int(codes.read().split()[0]), done.stdout, done.stderr)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_one_that_nobody_reads(home: Home, closed: str) -> None:
    """With a closed standard output, nothing else that is opened gets its number, and what is printed."""
    (home.data / "a.csv").write_text("1")
    done = shell(f"$F upload {home.data}/a.csv --alias a {closed}")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert ferry("asset", "get", "a", "-q").code == 0
    assert "asset  ast_" not in home.log.read_text()


def test_a_reader_that_leaves_ends_the_command_and_not_the_transfer(home: Home) -> None:
    assert ferry("limit", "1M", "--parts", "1").code == 0
    big = make_file(home.data / "big.h5", 32 * MIB)
    done = shell(f"$F upload {big} --chunk-size-mb 1 --json | head -1")
    assert (done.returncode, done.stderr) == (1, "")
    (event,) = [json.loads(line) for line in done.stdout.splitlines()]
    ferry("limit", "off")
    assert ferry("watch", event["data"]["transfer_id"]).code == 0


def test_a_full_disk_under_the_output_is_code_9(home: Home) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    done = shell("$F limit > /dev/full")
    assert (done.returncode, "No space left" in done.stderr) == (9, True)
    assert shell("$F nosuch 2> /dev/full").returncode == 9


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_hostile_names_are_shown_as_text(home: Home, form: tuple[str, ...]) -> None:
    directory = home.data / HOSTILE
    directory.mkdir()
    (directory / "x.csv").write_text("1")
    shown = [
        ferry("upload", directory, "--dry-run", *form),
        ferry("upload", directory, "--tag", HOSTILE, "--meta", f"k={HOSTILE}", "--description", HOSTILE, *form),
        ferry("ls", *form),
        ferry("asset", "list", *form),
        ferry("upload", home.data / f"{HOSTILE}-not", *form),
        ferry("ls", "--state", HOSTILE, *form),
        ferry(HOSTILE),
        ferry("project", "create", HOSTILE, *form),
    ]
    for done in shown:
        assert not set(done.out + done.err) & {"\x1b", "\x07", "\x9b"}
        assert "gone\nb.csv" not in done.out + done.err
    assert [done.code for done in shown[:4]] == [0, 0, 0, 0]


def test_a_locale_that_is_not_unicode(home: Home) -> None:
    """The terminal cannot show the title: it is shown with question marks, stored as it is, and JSON is whole."""
    (home.data / "a.csv").write_text("1")
    assert ferry("upload", home.data / "a.csv", "--title", "Ünï 日本", "--alias", "u").code == 0
    env = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}
    done = ferry("asset", "get", "u", env=env)
    assert (done.code, "?n? ??" in done.out) == (0, True)
    assert ferry("asset", "get", "u", "--json", env=env).data("asset")["title"] == "Ünï 日本"


def test_two_interrupts_are_one_and_the_way_back_is_told(home: Home) -> None:
    """Somebody impatient, without a terminal: the second Ctrl-C does not cut short what the first one says."""
    assert ferry("limit", "1M", "--parts", "1").code == 0
    big = make_file(home.data / "big.h5", 32 * MIB)
    command = [*COMMAND, "upload", str(big), "--chunk-size-mb", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first.startswith("trf_")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(timeout=60) == 130
    assert f"ferry watch {first.split()[0]}" in said
    assert "Traceback" not in said
    ferry("limit", "off")
    assert ferry("watch").code == 0


def test_an_interrupt_in_the_sdk_names_the_transfer(home: Home) -> None:
    """The exception stays KeyboardInterrupt; its note says what goes on and how to find it again."""
    assert ferry("limit", "1M", "--parts", "1").code == 0
    big = make_file(home.data / "big.h5", 32 * MIB)
    code = (
        "import sys, ferryman\n"
        "with ferryman.Client() as client:\n"
        "    me = client.auth_status().user_id\n"
        "    client.upload(sys.argv[1], title='T', owner_type='user', owner_id=me, chunk_size_mb=1,\n"
        "                  on_progress=lambda event: print(event.transfer_id, flush=True))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(big)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        transfer_id = process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        process.wait(timeout=60)
    assert f"transfer {transfer_id} goes on in the daemon" in said.splitlines()[-1]
    ferry("cancel", transfer_id)


def test_the_version_is_the_packages(home: Home) -> None:
    import ferryman

    assert ferry("--version").out == f"ferry {ferryman.__version__}\n"
