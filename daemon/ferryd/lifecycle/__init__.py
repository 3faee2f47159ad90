"""One daemon, safely: locks, directories, readiness, signals, idle exit. Step 2 of an upload, daemon side."""
