"""One daemon, safely: locks, the socket's directory, readiness, signals, idle exit. Step 2 of an upload, daemon side."""
