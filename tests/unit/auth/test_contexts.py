"""The registry of hubs: names, what is current, and its file."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from ferryd.auth.contexts import Contexts, check_name
from ferryd.core.model import EMBEDDED, Context
from ferrywire.reasons import FerryError

LAB = Context("lab", "https://lab.example")
OTHER = Context("other", "https://other.example")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "contexts.json"


def reason(error: pytest.ExceptionInfo[FerryError]) -> str:
    return error.value.reason


def test_at_first_there_is_the_embedded_hub(path: Path) -> None:
    contexts = Contexts(path, None)
    assert (contexts.all(), contexts.current, contexts.configured) == ([EMBEDDED], EMBEDDED, None)
    assert not path.exists()


async def test_a_new_one_is_kept_and_is_the_current_one(path: Path) -> None:
    contexts = Contexts(path, None)
    await contexts.add(LAB, "ada@example.org")
    later = Contexts(path, None)
    assert (later.current, later.all(), later.user_email(LAB)) == (LAB, [EMBEDDED, LAB], "ada@example.org")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_signing_in_again_changes_nothing_about_what_is_current(path: Path) -> None:
    contexts = Contexts(path, None)
    await contexts.add(LAB, "")
    await contexts.add(OTHER, "")
    await contexts.add(LAB, "ada@example.org")
    assert Contexts(path, None).current == contexts.current == OTHER


async def test_what_is_chosen_outlives_the_daemon(path: Path) -> None:
    contexts = Contexts(path, None)
    await contexts.add(LAB, "")
    await contexts.add(OTHER, "")
    for name, chosen in (("lab", LAB), ("embedded", EMBEDDED), ("other", OTHER)):
        assert await contexts.use(name) == chosen
        assert Contexts(path, None).current == chosen
    with pytest.raises(FerryError) as unknown:
        await contexts.use("nowhere")
    assert reason(unknown) == "CONTEXT_NOT_FOUND"
    assert "embedded, lab, other" in unknown.value.message
    assert Contexts(path, None).current == OTHER


async def test_the_configured_hub_is_current_for_that_life_alone(path: Path) -> None:
    before = Contexts(path, None)
    await before.add(LAB, "")
    configured = Contexts(path, "https://configured.example")
    env = Context("env", "https://configured.example")
    assert (configured.current, configured.resolve("env")) == (env, env)
    await configured.add(OTHER, "")
    assert configured.current == env, "the configuration has set it"
    await configured.use("other")
    await configured.use("env")
    after = Contexts(path, None)
    assert after.current == OTHER
    assert after.find("env") is None


async def test_a_sign_in_to_the_configured_hub_is_not_another_hubs_of_that_name(path: Path) -> None:
    one = Contexts(path, "https://one.example")
    await one.add(one.resolve("env"), "ada@example.org")
    two = Contexts(path, "https://two.example")
    assert two.resolve("env") == Context("env", "https://two.example")
    assert not two.knows(Context("env", "https://one.example"))
    assert two.user_email(two.resolve("env")) == ""


@pytest.mark.parametrize(
    ("hub", "name"),
    [
        ("https://hub.example.org", "hub.example.org"),
        ("http://127.0.0.1:8080", "127.0.0.1-8080"),
        ("http://[::1]:8080", "1-8080"),
        ("unix:/run/user/7/hub.sock", "hub"),
        ("https://embedded", "embedded-hub"),
        ("https://env", "env-hub"),
        ("https://" + "a" * 200, "a" * 60),
    ],
)
def test_a_hub_without_a_name_is_named_after_its_address(path: Path, hub: str, name: str) -> None:
    named = Contexts(path, None).named_for(hub)
    assert named == Context(name, hub)
    check_name(named.name)


async def test_a_name_that_is_taken_is_not_given_again_and_a_known_hub_keeps_its_own(path: Path) -> None:
    contexts = Contexts(path, None)
    await contexts.add(Context("hub.example", "http://hub.example/a"), "")
    assert contexts.named_for("http://hub.example/b").name == "hub.example-2"
    assert contexts.named_for("http://hub.example/a").name == "hub.example"


async def test_of_two_at_one_hub_the_current_one_is_meant(path: Path) -> None:
    contexts = Contexts(path, "https://configured.example")
    for name in ("a", "b"):
        await contexts.add(Context(name, LAB.hub), "")
    await contexts.use("b")
    assert contexts.named_for(LAB.hub).name == "b"
    await contexts.use("env")
    assert contexts.named_for(LAB.hub).name == "a"
    assert contexts.named_for("https://configured.example").name == "env", "or who signs in there would still be out"


@pytest.mark.parametrize("name", ["", "embedded", "-x", "a b", "a/b", "ä", "a\n", "x" * 65, "\x1b[2J"])
def test_what_cannot_be_a_name(name: str) -> None:
    with pytest.raises(FerryError) as refused:
        check_name(name)
    assert reason(refused) == "INVALID_ARGUMENT"
    assert "\x1b" not in refused.value.message


async def test_all_who_sign_in_at_the_same_time_are_kept(path: Path) -> None:
    contexts = Contexts(path, None)
    many = [Context(f"c{number:02}", f"http://h{number}.example") for number in range(40)]
    await asyncio.gather(*(contexts.add(one, f"{one.name}@example.org") for one in many))
    await asyncio.gather(contexts.set_user(many[3], "new@example.org"), contexts.use("c07"), contexts.use("c07"))
    later = Contexts(path, None)
    assert later.all() == contexts.all() == [*many, EMBEDDED]
    assert (later.current, later.user_email(many[3])) == (many[7], "new@example.org")


async def test_one_who_leaves_meanwhile_disturbs_nobody(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts, fsync = Contexts(path, None), os.fsync
    begun, second = threading.Event(), threading.Event()

    def slow(descriptor: int) -> None:
        if begun.is_set():
            second.set()
        else:
            begun.set()
            second.wait(0.3)  # gives a second writer every chance to come in between
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    first = asyncio.ensure_future(contexts.add(LAB, ""))
    await asyncio.to_thread(begun.wait)
    first.cancel()
    await contexts.add(OTHER, "")
    assert contexts.all() == Contexts(path, None).all() == [EMBEDDED, LAB, OTHER]


async def test_a_change_that_cannot_be_kept_has_not_happened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts = Contexts(path, None)
    await contexts.add(LAB, "")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for change in (contexts.add(OTHER, ""), contexts.use("embedded"), contexts.set_user(LAB, "eve@example.org")):
        with pytest.raises(FerryError) as refused:
            await change
        assert reason(refused) == "DISK_FULL"
    monkeypatch.undo()
    for one in (contexts, Contexts(path, None)):
        assert (one.current, one.all(), one.user_email(LAB)) == (LAB, [EMBEDDED, LAB], "")


GOOD = {"hub": "https://lab.example", "user_email": ""}


def damaged(**changed: Any) -> str:
    return json.dumps({"version": 1, "current": "lab", "contexts": {"lab": GOOD | changed}})


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "\x00\xff",
        json.dumps({"version": 1, "contexts": {"lab": GOOD}}),
        json.dumps(
            {"version": 1, "current": "lab", "contexts": {"lab": {"hub": "ftp://lab.example", "user_email": ""}}}
        ),
        json.dumps({"version": 1, "current": "lab", "contexts": {"lab": {"hub": None, "user_email": ""}}}),
        json.dumps({"version": 1, "current": "lab", "contexts": {"lab": "https://lab.example"}}),
        json.dumps({"version": 1, "current": "lab", "contexts": [GOOD]}),
    ],
)
async def test_a_damaged_file_is_kept_aside_and_costs_no_start(path: Path, content: str) -> None:
    path.write_text(content)
    contexts = Contexts(path, None)
    assert (contexts.all(), contexts.current) == ([EMBEDDED], EMBEDDED)
    (kept,) = path.parent.iterdir()
    assert kept.name.startswith("contexts.json.damaged-")
    await contexts.add(LAB, "")
    assert Contexts(path, None).all() == [EMBEDDED, LAB]


@pytest.mark.parametrize("current", ["gone", "", "embedded", 7])
def test_a_current_one_that_is_gone_is_the_embedded_hub(path: Path, current: Any) -> None:
    path.write_text(json.dumps({"version": 1, "current": current, "contexts": {"lab": GOOD}}))
    contexts = Contexts(path, None)
    assert (contexts.current, contexts.all()) == (EMBEDDED, [EMBEDDED, LAB])
