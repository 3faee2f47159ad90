"""Ferryman as a script uses it: `worker_sdk.py up PATH PROJECT`, `… each DIR PROJECT`, `… down DIR ASSET …`.

`up` makes one asset and `each` one of every file; both print ids.
"""

import sys
from pathlib import Path

from ferryman import Client

with Client() as client:
    match sys.argv[1:]:
        case ["up", path, project]:
            print(client.upload(path, title="Bench", owner_type="project", owner_id=project).asset_id)
        case ["each", directory, project]:
            ups = [
                client.transfers.upload(path, title=path.name, owner_type="project", owner_id=project)
                for path in sorted(Path(directory).iterdir())
            ]
            for up in ups:
                print(up.wait().asset_id)
        case ["down", directory, asset]:
            client.download(asset, directory)
        case ["down", directory, *assets]:
            downs = [client.transfers.download(asset, directory) for asset in assets]
            for down in downs:
                down.wait()
        case words:
            raise SystemExit(f"what is {words}?")
