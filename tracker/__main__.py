"""``python -m tracker`` is the ``tracker`` program."""

import sys

from tracker.cli import main

sys.exit(main())
