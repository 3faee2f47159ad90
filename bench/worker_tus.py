"""tus: `worker_tus.py serve DIR` prints its address, `worker_tus.py up ADDRESS PATH` sends with tuspy."""

from __future__ import annotations

import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CHUNK = 64 << 20


def serve(directory: str) -> None:
    import uvicorn
    from fastapi import FastAPI
    from tuspyserver import create_tus_router

    app = FastAPI()
    app.include_router(create_tus_router(files_dir=directory, prefix="files"))
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        print(f"http://127.0.0.1:{sock.getsockname()[1]}/files", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run([sock])


def up(address: str, path: Path) -> None:
    from tusclient.client import TusClient

    client = TusClient(address)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]

    def send(file: Path) -> None:
        client.uploader(str(file), chunk_size=CHUNK, metadata={"filename": file.name}).upload()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(send, files))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        up(sys.argv[2], Path(sys.argv[3]))
