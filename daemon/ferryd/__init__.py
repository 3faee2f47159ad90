"""ferryd: the one daemon per user that owns the durable transfer queue. Start reading at `app.py`."""

VERSION = "0.1.0"
