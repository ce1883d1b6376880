"""Commands that other installed packages add to ``fusion``.

A package adds one by an entry point of the group `GROUP`, whose value is ``module:function``. The
function gets the object that the ``add_...`` functions of this folder get, and registers its
command as they do:

    entry_points={"fusion.commands": ["shake = my_package.shaking:add_shake"]}   # setup.py

In this way ``fusion app``, which needs both packages, stands in `tracker.app`, and this package
imports nothing of `tracker`.
"""

from importlib.metadata import entry_points

from fusion.base.commandline import Commands
from fusion.base.registry import import_object

#: The group of the entry points.
GROUP = "fusion.commands"


def add_plugged_in(commands: Commands) -> None:
    """Register the commands of all installed packages, in the order of their names.

    Raises:
        UserError: the module of a command cannot be imported, or lacks the function.
    """
    for entry in sorted(entry_points(group=GROUP)):
        if entry.name not in commands.choices:
            import_object(entry.value)(commands)
