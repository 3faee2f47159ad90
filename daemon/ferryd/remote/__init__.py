"""The hub's client: catalogue and session calls, over HTTP or in process. Upload steps 7, 8 and 10, download D7.

`HubClient` implements the port `Hub` over a `Transport`; decorators go round it. Wired in `ferryd.app` alone. No bulk
bytes here: those are the lanes'.
"""
