import sys

from fusion.commands.cli import main

sys.exit(main())
