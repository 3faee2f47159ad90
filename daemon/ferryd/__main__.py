"""`python -m ferryd`: the same as the command `ferryd`."""

import sys

from ferryd.cli import main

sys.exit(main())
