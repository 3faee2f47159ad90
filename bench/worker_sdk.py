"""Ferryman as a script uses it: `worker_sdk.py up PATH PROJECT` prints the asset's id, `… down ASSET DIR`."""

import sys

from ferryman import Client

with Client() as client:
    match sys.argv[1:]:
        case ["up", path, project]:
            print(client.upload(path, title="Bench", owner_type="project", owner_id=project).asset_id)
        case ["down", asset, directory]:
            client.download(asset, directory)
        case words:
            raise SystemExit(f"what is {words}?")
