"""A program that behaves as `ferryd run` does towards the SDK: lock, socket, one word on the ready pipe.

FAKE_FERRYD says how: `serve` (default), `die`, `error`, `hang`. Answers only GetAuthStatus, with its process id.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from ferryapi.daemon.v1.auth_service_pb2 import AuthStatus
from ferrywire import paths


class _Who(grpc.GenericRpcHandler):
    def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        reply = AuthStatus(user_id=str(os.getpid()), user_email=os.environ.get("FERRYMAN_STATE_DIR", ""))
        return grpc.unary_unary_rpc_method_handler(lambda _request, _context: reply.SerializeToString())


def main() -> None:
    assert sys.argv[1:3] == ["run", "--ready-fd"]
    ready = int(sys.argv[3])
    mode = os.environ.get("FAKE_FERRYD", "serve")
    socket = paths.socket_path()
    with (socket.parent / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    if mode == "die":
        sys.exit("the fake daemon dies of a broken heart")
    if mode == "error":
        os.write(ready, b"error the disk is on fire\n")
        sys.exit(1)
    if mode == "hang":
        time.sleep(30)
    lock = os.open(socket.parent / paths.LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.write(ready, b"busy\n")
        return
    Path(socket).unlink(missing_ok=True)
    server = grpc.server(ThreadPoolExecutor(4), handlers=[_Who()])
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    os.write(ready, b"ready\n")
    os.close(ready)
    server.wait_for_termination(60)


if __name__ == "__main__":
    main()
