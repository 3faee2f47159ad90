"""`ferry` with a real daemon: what it prints, what it returns, what goes on without it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ferryman import Client, TransferInfo
from tests.support.cli import Done, ferry
from tests.support.cli_schema import all_wrong, events
from tests.support.files import MIB, make_file, same_bytes
from tests.support.home import Home
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def run_dir(home: Home) -> Path:
    """A directory of three files."""
    for name in ("a.csv", "raw/1.dat", "raw/2.dat"):
        path = home.data / "run-7" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
    return home.data / "run-7"


@pytest.fixture
def big(home: Home) -> Path:
    return make_file(home.data / "big.h5", 64 * MIB)


def uploaded(done: Done) -> str:
    """The asset's id of a human upload's summary."""
    assert done.code == 0, done.err
    rows = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert rows["digest"].startswith("xxh3b:")
    return rows["asset"]


def detached_slowly(path: Path) -> str:
    """The id of an upload that takes a while."""
    assert ferry("limit", "1M", "--parts", "1").code == 0
    done = ferry("upload", path, "--detach", "--chunk-size-mb", "1")
    assert done.code == 0, done.err
    assert f"ferry watch {done.out.strip()}" in done.err
    return done.out.strip()


def test_a_folder_goes_up_and_comes_back(home: Home, run_dir: Path) -> None:
    done = ferry("upload", run_dir)
    asset_id = uploaded(done)
    assert "Uploaded run-7: " in done.err
    assert "in 3 files" in done.err
    got = ferry("download", asset_id, home.root / "out")
    assert got.code == 0, got.err
    paths = [Path(line) for line in got.out.splitlines()]
    assert [path.relative_to(home.root / "out").as_posix() for path in paths] == ["a.csv", "raw/1.dat", "raw/2.dat"]
    assert all(same_bytes(run_dir / path.relative_to(home.root / "out"), path) for path in paths)
    again = ferry("download", asset_id, home.root / "out")
    assert (again.code, "already there 3 of 3 files" in again.err) == (0, True)
    (home.root / "out" / "a.csv").write_text("mine")
    left = ferry("download", asset_id, home.root / "out", "--if-exists", "skip")
    assert (left.code, "; 3 files left as found, whatever they hold" in left.err) == (0, True)
    assert "already there" not in left.err and (home.root / "out" / "a.csv").read_text() == "mine"


def test_everything_an_upload_may_say_about_itself(home: Home, run_dir: Path) -> None:
    (home.data / "m.json").write_text('{"site": "Bergen", "runs": 3}')
    origin = ferry("upload", "-q", run_dir / "a.csv", "--alias", "origin").out.strip()
    done = ferry(
        *("upload", "--json", run_dir, "--title", "Run 7", "--project", "Penguins", "--create-project"),
        *("--meta-file", home.data / "m.json", "--meta", "site=Oslo", "--tag", "cold", "--tag", "wet"),
        *("--derived-from", "origin", "--alias", "run-7", "--description", "By ship", "--priority", "5"),
    )
    assert done.code == 0, done.err
    asset = ferry("asset", "get", "run-7", "--json").data("asset")
    assert (asset["title"], asset["description"], asset["tags"]) == ("Run 7", "By ship", ["cold", "wet"])
    assert asset["metadata"] == {"site": "Oslo", "runs": 3}
    assert asset["asset_id"] == done.data("uploaded")["asset_id"]
    project = ferry("project", "get", "Penguins", "--json").data("project")
    assert asset["owner_id"] == project["project_id"]
    lineage = ferry("lineage", "run-7", "--json").data("lineage")
    assert [one["asset_id"] for one in lineage["assets"]] == [asset["asset_id"], origin]


def test_search_finds_all_words_wherever_they_stand(home: Home, run_dir: Path) -> None:
    first = ferry("upload", "-q", run_dir, "--title", "Cold Run", "--tag", "Oslo", "--alias", "r-1").out.strip()
    words = ("--meta", 'ship={"name":"Fram","legs":[7,"north"]}', "--description", "By sea")
    second = ferry("upload", "-q", run_dir, "--title", "Warm run", *words).out.strip()

    def found(*words: str) -> list[str]:
        done = ferry("search", *words, "--json")
        assert done.code == 0, done.err
        return [event["data"]["asset_id"] for event in done.events]

    assert found("run") == [second, first], "newest first"
    assert found("run", "--limit", "1") == [second]
    assert found("OSLO", "cold") == found("r-1") == [first]
    assert found("fram", "NORTH", "sea") == found("legs", "7", "warm") == [second]
    assert found("cold", "fram") == []
    table = ferry("search", "cold")
    assert first in table.out
    assert second not in table.out
    assert "No asset has all of these words." in ferry("search", "nothing").err
    assert ferry("search", "run", "--project", "nothing").code == 4


def test_what_to_do_with_an_alias_that_is_taken(home: Home, run_dir: Path) -> None:
    first = ferry("upload", "-q", run_dir, "--alias", "r").out.strip()
    refused = ferry("upload", run_dir, "--alias", "r")
    assert (refused.code, first in refused.err) == (10, True)
    skipped = ferry("upload", "-q", run_dir, "--alias", "r", "--if-exists", "skip")
    assert (skipped.code, skipped.out.strip()) == (0, first)
    same = ferry("upload", run_dir, "--alias", "r", "--if-exists", "version")
    assert uploaded(same) == first
    assert "those of the newest version" in same.err
    (run_dir / "a.csv").write_bytes(b"new")
    assert uploaded(ferry("upload", run_dir, "--alias", "r", "--if-exists", "version")) == first
    assert [one["data"]["version"] for one in ferry("asset", "versions", "r", "--json").events] == [2, 1]


def test_every_event_is_as_the_page_says(home: Home, run_dir: Path) -> None:
    """Real output of every command that needs no second hub, against docs/cli-json.md."""
    said: list[dict[str, object]] = []

    def tell(*arguments: str | Path, code: int = 0) -> Done:
        done = ferry(*arguments, "--json")
        assert done.code == code, done.err
        said.extend(done.events)
        return done

    asset_id = tell("upload", run_dir, "--alias", "r").data("uploaded")["asset_id"]
    tell("upload", run_dir, "--dry-run")
    transfer_id = tell("upload", run_dir, "--detach").data("queued")["transfer_id"]
    tell("watch", transfer_id)
    tell("ls")
    tell("download", "r", home.root / "out")
    tell("project", "create", "P", "--alias", "p")
    tell("project", "list")
    tell("collection", "create", "p", "raw")
    tell("collection", "list", "p")
    tell("asset", "list")
    tell("asset", "versions", "r")
    tell("meta", "set", "r", "n=1")
    other = tell("upload", run_dir / "a.csv").data("uploaded")["asset_id"]
    link = tell("link", "create", other, asset_id).data("link")["relationship_id"]
    tell("link", "list", "r")
    tell("lineage", "r", "--direction", "both")
    tell("link", "delete", link)
    tell("project", "members", "p")
    tell("project", "unshare", "p", "nobody@example.org", code=4)
    tell("limit", "--transfers", "2")
    tell("hub", "list")
    tell("whoami")
    tell("completion", "bash")
    said.extend(ferry("doctor", "--json").events)
    said.extend(ferry("service", "status", "--json").events)
    tell("asset", "get", "nothing", code=4)
    tell("pause", transfer_id, "trf_nothing", code=5)
    tell("daemon", "stop")
    assert all_wrong(said) == []
    seen = {str(event["event"]) for event in said}
    assert events().keys() - seen == {"", "detached", "sign_in", "signed_out", "unshared"}


def test_waiting_may_end_before_the_transfer_does(home: Home, big: Path) -> None:
    transfer_id = detached_slowly(big)
    late = ferry("watch", transfer_id, "--timeout", "0.5")
    assert late.code == 7
    assert f"transfer {transfer_id} goes on" in late.err
    as_events = ferry("watch", transfer_id, "--timeout", "0.5", "--json")
    assert as_events.data("detached") == {"transfer_ids": [transfer_id], "reason": "timeout"}
    assert all_wrong(as_events.events) == []
    ferry("limit", "off")
    done = ferry("watch", transfer_id)
    assert uploaded(done)


def test_a_killed_daemon_is_found_again(home: Home, big: Path) -> None:
    """The command starts a new one, which goes on where the other stopped."""
    transfer_id = detached_slowly(big)
    with Client() as client:
        wait_for(lambda: client.transfers.get(transfer_id).info().persisted_bytes > MIB, what="some parts")
    assert home.kill_daemons()
    (row,) = ferry("ls", "--json").events
    assert row["data"]["transfer_id"] == transfer_id
    assert row["data"]["state"] in ("queued", "running")
    assert row["data"]["persisted_bytes"] >= MIB
    ferry("limit", "off")
    assert uploaded(ferry("watch", transfer_id))


def test_transfers_are_controlled_by_their_ids(home: Home, big: Path) -> None:
    transfer_id = detached_slowly(big)
    assert ferry("pause", transfer_id).code == 0
    table = ferry("ls")
    assert f"paused; continue with ferry resume {transfer_id}" in table.out
    assert ferry("ls", "--state", "running", "--json").events == []
    assert ferry("resume", "--all").code == 0
    assert ferry("cancel", transfer_id).code == 0
    ended = ferry("watch", transfer_id)
    assert (ended.code, "was cancelled" in ended.err) == (1, True)
    assert ferry("resume", transfer_id).code == 1
    assert ferry("cancel", transfer_id, "trf_nothing").code == 5


def test_a_source_that_changes_is_code_6(home: Home, big: Path) -> None:
    transfer_id = detached_slowly(big)
    big.write_bytes(b"other bytes")
    ended = ferry("watch", transfer_id)
    assert (ended.code, "changed" in ended.err) == (6, True)
    assert "Upload again" in ended.err
    assert "ferry retry" not in ended.err, "it would meet the same change"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("upload", "/nothing/here"), 4, "there is no file or directory"),
        (("upload", ".", "--project", "nobody"), 4, "ferry project list"),
        (("upload", ".", "--if-exists", "version"), 2, "--alias"),
        (("upload", ".", "--meta", "nonsense"), 2, "key=value"),
        (("upload", ".", "--timeout", "-1"), 2, "--timeout"),
        (("upload", ".", "--timeout", "nan"), 2, "--timeout"),
        (("upload", ""), 2, "empty"),
        (("upload", "a.csv", "a.csv"), 2, "would both be"),
        (("upload", ".", "--meta-file", "."), 9, "directory"),
        (("upload", ".", "--derived-from", "nothing"), 4, "ferry asset list"),
        (("upload", ".", "--derived-from", "x", "--detach"), 2, "--detach"),
        (("upload", "/dev/null"), 2, "regular files"),
        (("download", "nothing"), 4, "ferry asset list"),
        (("download", "nothing", "--if-exists", "maybe"), 4, "there is no asset"),
        (("ls", "--state", "asleep"), 2, "states must be one of"),
        (("limit", "fast"), 2, "20M"),
        (("watch", "trf_nothing"), 4, "ferry ls"),
        (("project", "get", "nothing"), 4, "ferry project list"),
        (("project", "get", ""), 2, "ferry project get --help"),
        (("collection", "create", "nothing", "x"), 4, "ferry project list"),
        (("cancel",), 2, "by their ids. Run"),
        (("limit", "--transfers", "0"), 2, "--transfers"),
        (("hub", "use", "nothing"), 4, "ferry hub list"),
        (("logout", "nothing"), 4, "ferry hub list"),
        (("whoami", "--context", "nothing"), 4, "ferry hub list"),
        (("--context", "nothing", "ls"), 4, "ferry hub list"),
        (("watch", "--context", "nothing"), 4, "ferry hub list"),
        (("project", "unshare", "nothing", "ada@example.org"), 4, "ferry project share"),
        (("login",), 2, "no hub is in use"),
        (("login", "ftp://x"), 2, "https://host"),
        (("lineage", "nothing", "--direction", "up"), 2, "origins"),
        (("search",), 2, "ferry search --help"),
        (("meta", "set", "r"), 2, "nothing to change"),
        (("link", "delete", "rel_nothing"), 4, "no relationship"),
        (("top",), 2, "needs a terminal"),
    ],
)
def test_wrong_input_is_one_sentence_and_its_code(
    home: Home, run_dir: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = ferry(*arguments, cwd=run_dir)
    assert (done.code, done.out) == (code, ""), done.err
    assert said in done.err
    assert done.err.count("\n") == 1
    assert done.err.startswith("ferry: ")


def test_a_file_in_the_way_is_code_9(home: Home, run_dir: Path) -> None:
    ferry("upload", run_dir, "--alias", "r")
    (home.root / "out").mkdir()
    (home.root / "out" / "a.csv").write_text("mine")
    refused = ferry("download", "r", home.root / "out")
    assert (refused.code, "--if-exists replace" in refused.err) == (9, True)
    assert "or move the file away. Then: ferry retry" in refused.err, "the same transfer would not replace it"
    assert ferry("download", "r", home.root / "out", "--if-exists", "rename").code == 0
    assert (home.root / "out" / "a.csv").read_text() == "mine"


def test_no_daemon_is_code_8(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.state_dir.rmdir()
    home.state_dir.write_text("in the way")
    done = ferry("ls")
    home.state_dir.unlink()
    assert done.code == 8, done.err
    assert "ferry doctor" in done.err


def test_the_daemon_is_stopped(home: Home) -> None:
    """And its end is no error where there is none."""
    assert ferry("ls").code == 0
    (daemon,) = home.daemons()
    assert ferry("daemon", "stop", "--json").data("daemon_stopped") == {"pid": daemon.pid}
    daemon.wait(timeout=60)
    done = ferry("daemon", "stop")
    assert (done.code, done.out) == (0, "No daemon runs.\n")
    assert home.daemons() == []


def test_a_dry_run_sends_nothing_and_starts_nothing(home: Home, run_dir: Path) -> None:
    done = ferry("upload", run_dir, "--dry-run", "--exclude", "raw/", "--json")
    plan = done.data("plan")
    assert [file["path"] for file in plan["files"]] == ["a.csv"]
    assert plan["size_bytes"] == 500
    assert home.daemons() == []


def test_patterns_choose_what_goes(home: Home, run_dir: Path) -> None:
    asset_id = uploaded(ferry("upload", run_dir, "--include", "*.dat", "--exclude", "1.dat"))
    got = ferry("download", asset_id, home.root / "out")
    assert got.out.splitlines() == [str(home.root / "out" / "raw" / "2.dat")]
    (run_dir / "link").symlink_to("/nowhere")
    assert ferry("upload", run_dir).code == 2
    uploaded(ferry("upload", run_dir, "--exclude", "link"))
    uploaded(ferry("upload", f"{run_dir}/raw/*.dat"))
    nothing = ferry("upload", run_dir, "--include", "*.none")
    assert (nothing.code, "leave no file of" in nothing.err) == (2, True)
    assert ferry("upload", run_dir, "--include", "*.none", "--dry-run").code == 2
    assert ferry("upload", run_dir, "--include", "[").code == 2


def test_what_the_hub_has_is_counted_and_not_sent_again(home: Home) -> None:
    """Of a directory, after its daemon was killed in the middle: `already there` in lines, summary and JSON."""
    for number in range(24):
        make_file(home.data / "many" / f"{number:02}.dat", MIB)
    assert ferry("limit", "1M", "--parts", "1").code == 0
    transfer_id = ferry("upload", home.data / "many", "--detach", "-q").out.strip()
    with Client() as client:
        wait_for(lambda: client.transfers.get(transfer_id).info().persisted_bytes > 2 * MIB, what="some files")
    assert home.kill_daemons()
    with Client() as client:
        info = wait_for(lambda: _begun(client.transfers.get(transfer_id).info()), what="the next run")
    assert 2 <= info.present_file_count < 24
    late = ferry("watch", transfer_id, "--timeout", "0.5")
    said = f"already there {info.present_file_count} of 24 files"
    assert said in late.err
    ferry("limit", "off")
    done = ferry("watch", transfer_id)
    assert said in done.err.splitlines()[-1]
    (event,) = ferry("ls", "--json").events
    assert event["data"]["present_file_count"] == info.present_file_count


def _begun(info: TransferInfo) -> TransferInfo | None:
    return info if info.present_file_count else None


def test_without_a_terminal_there_are_lines_and_no_drawing(home: Home, run_dir: Path) -> None:
    done = ferry("upload", run_dir)
    assert "\x1b" not in done.err + done.out
    assert done.err.startswith("trf_")
    assert ferry("upload", run_dir, "--no-progress").err.startswith("Uploaded")
    assert ferry("upload", run_dir, "-q").err == ""


def test_the_common_options_go_before_the_command_too(home: Home) -> None:
    assert ferry("--json", "limit").data("limits")["bandwidth_bps"] == 0


def test_a_reader_that_leaves_early_is_no_error(home: Home, run_dir: Path) -> None:
    import subprocess
    import sys

    command = f"{sys.executable} -m ferryman.cli ls --help | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_json_is_ascii_and_one_object_a_line(home: Home, run_dir: Path) -> None:
    done = ferry("upload", run_dir, "--title", "Ünïcode\n日本", "--json")
    assert done.out.isascii()
    assert [json.loads(line)["schema"] for line in done.out.splitlines()] == ["ferry.v1"] * len(done.events)
    assert "Ünïcode��" not in ferry("ls").err
