"""All presets by name, whatever the class of their network."""

from typing import Any

from fusion.base.errors import UserError
from fusion.base.registry import unknown
from tracker.model.joint import JOINT_PRESETS, JointTracker
from tracker.model.network import PRESETS, TrackerNetwork

ALL_PRESETS: dict[str, dict[str, Any]] = {**PRESETS, **JOINT_PRESETS}
"""Arguments of `TrackerNetwork` or `JointTracker` by name."""


def build_network(name: str, **changes: Any) -> TrackerNetwork | JointTracker:
    """A network of `ALL_PRESETS`, initialised from scratch.

    Args:
        name: of the preset.
        changes: arguments of the network that differ from the preset's.

    Raises:
        UserError: no preset has this name.
    """
    if name not in ALL_PRESETS:
        raise UserError(unknown("preset", name, ALL_PRESETS))
    arguments = ALL_PRESETS[name] | changes
    return TrackerNetwork(**arguments) if name in PRESETS else JointTracker(**arguments)
