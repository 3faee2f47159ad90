"""Completion: the script of each shell, run in that shell where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import ferry
from tests.support.terminal import Spawned

#: What is typed, and what is offered for it.
CASES = {
    "ferry up": {"upload"},
    "ferry project ": {"create", "list", "get", "share", "members", "unshare"},
    "ferry --js": {"--json"},
    "ferry upload --det": {"--detach"},
    "ferry upload --if-exists ": {"fail", "version", "skip"},
    "ferry ls --state p": {"paused"},
    "ferry completion ": {"bash", "zsh", "fish"},
    "ferry limit --no-such": set(),
}
BASH = """
COMP_WORDS=($1); [[ $1 == *" " ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_ferry_completion ferry; printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which `ferry` is a command."""
    home = tmp_path_factory.mktemp("shell")
    (home / "ferry").write_text(f'#!/bin/sh\nexec {sys.executable} -m ferryman.cli "$@"\n')
    (home / "ferry").chmod(0o755)
    return {**os.environ, "PATH": f"{home}{os.pathsep}{os.environ['PATH']}", "HOME": str(home), "TERM": "xterm"}


def script(shell: str) -> str:
    done = ferry("completion", shell, "-q")
    assert (done.code, done.err) == (0, "")
    return done.out


def offered(command: list[str], env: dict[str, str]) -> set[str]:
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert done.stderr == ""
    return {line.partition("\t")[0] for line in done.stdout.splitlines() if line}


@pytest.mark.slow
def test_bash_completes(env: dict[str, str]) -> None:
    code = script("bash") + BASH
    assert {typed: offered(["bash", "-c", code, "bash", typed], env) for typed in CASES} == CASES


def test_bash_completes_files_where_nothing_else_fits() -> None:
    assert "complete -o default -F _ferry_completion ferry" in script("bash")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_completes(env: dict[str, str]) -> None:
    code = script("fish") + "\ncomplete -C $argv[1]"
    found = {typed: offered(["fish", "--no-config", "-c", code, typed], env) for typed in CASES}
    assert found == CASES


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_completes_at_the_first_tab(env: dict[str, str]) -> None:
    home = Path(env["HOME"])
    (home / "_ferry").write_text(script("zsh"))
    (home / ".zshrc").write_text('fpath=($HOME $fpath)\nPS1="> "\nautoload -Uz compinit\ncompinit -u -D\n')
    child = Spawned("zsh", ["-i"], env=env, dimensions=(24, 100), timeout=60)
    try:
        child.expect_exact("> ")
        child.send("ferry up\t")
        child.expect_exact("load")
    finally:
        child.close(force=True)


def test_zsh_completes_at_once_when_it_is_loaded_from_fpath() -> None:
    assert script("zsh").rstrip().endswith('loadautofunc ]]; then\n  _ferry_completion "$@"\nfi')


def test_an_unknown_shell_is_refused() -> None:
    done = ferry("completion", "tcsh")
    assert (done.code, "bash, zsh, fish" in done.err) == (2, True)
