"""``python -m tracker`` is the ``tracker`` program."""

import sys

from tracker.commands.cli import main

sys.exit(main())
