"""Makes the generated code beside the protos: `python proto/generate.py [--check]`.

The generators are the oldest release we support, because generated code runs on newer runtimes and refuses older
ones. They live in their own folder, .tools/, so that they never meet the runtime of the tests. With `--check` nothing
is written and the exit status says whether the committed code is what the protos give.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
TOOLS = ROOT / ".tools" / "protoc"
GENERATORS = ["grpcio-tools==1.71.2", "googleapis-common-protos==1.70.0", "protoc-gen-connectrpc==0.13.0"]
PATTERNS = ("*_pb2.py", "*_pb2.pyi", "*_connect.py")


def install_generators() -> None:
    """Install the pinned generators once; the stamp changes with the pins."""
    stamp = TOOLS / "installed"
    if stamp.exists() and stamp.read_text() == "\n".join(GENERATORS):
        return
    command = [sys.executable, "-m", "pip", "install", "-q", "--upgrade", "--target", str(TOOLS), *GENERATORS]
    subprocess.run(command, check=True, stdout=sys.stderr)
    stamp.write_text("\n".join(GENERATORS))


def generate(out: Path) -> None:
    """Run protoc for every proto; Python import paths are the proto paths."""
    env = {**os.environ, "PYTHONPATH": str(TOOLS), "PATH": f"{TOOLS / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    base = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"-I{TOOLS}"]
    messages = [f"--python_out={out}", f"--pyi_out={out}"]
    server = [f"--connectrpc_out={out}", "--connectrpc_opt=protobuf=google"]
    daemon, hub = (sorted(str(p) for p in PROTO.glob(f"ferryapi/{name}/**/*.proto")) for name in ("daemon", "hub"))
    subprocess.run([*base, *messages, *daemon], check=True, env=env)
    subprocess.run([*base, *messages, *server, *hub], check=True, env=env)


def generated(root: Path) -> dict[str, bytes]:
    """All generated files below `root`, by relative path."""
    found = (path for pattern in PATTERNS for path in (root / "ferryapi").rglob(pattern))
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def main() -> int:
    install_generators()
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh, committed = generated(Path(scratch)), generated(PROTO)
    if "--check" in sys.argv[1:]:
        drifted = sorted(name for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))
        if drifted:
            print("out of date, run `python proto/generate.py`:", *drifted, sep="\n  ")
        return 1 if drifted else 0
    for name in committed.keys() - fresh.keys():
        (PROTO / name).unlink()
    for name, data in fresh.items():
        (PROTO / name).write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
