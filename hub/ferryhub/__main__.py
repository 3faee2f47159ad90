"""`python -m ferryhub` is `ferryhub`."""

from ferryhub.cli import main

raise SystemExit(main())
