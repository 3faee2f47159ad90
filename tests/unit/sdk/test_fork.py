"""A client used before and after a fork: the child connects anew, the parent does not notice."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

from ferryapi.daemon.v1.auth_service_pb2 import AuthStatus
from tests.unit.sdk.fake import FakeDaemon


def test_parent_and_child_both_go_on(daemon: FakeDaemon) -> None:
    daemon.reply("AuthService/GetAuthStatus", AuthStatus(user_id="usr_1"))
    program = textwrap.dedent(
        """
        import json, os, threading
        from ferryman import Client
        client = Client(auto_start=False)
        seen = [client.auth_status().user_id]
        client._connection._lock.acquire()  # another thread connects while we fork
        child = os.fork()
        if child == 0:
            answer = client.auth_status().user_id
            nested = os.fork()
            if nested == 0:
                os._exit(0 if client.auth_status().user_id == answer else 1)
            os._exit(os.waitpid(nested, 0)[1])
        seen.append(os.waitpid(child, 0)[1])
        client._connection._lock.release()
        seen.append(client.auth_status().user_id)
        print(json.dumps(seen))
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == ["usr_1", 0, "usr_1"], done.stderr
