"""The included weights (see experiments/README.md), and the presets of published checkpoints."""

from pathlib import Path

#: Name of the included tracker, in trackers.ini and for ``tracker bench``.
SHIPPED = "small"
#: Its weights, of the network `tracker.model.joint.JOINT_PRESETS` has under this name.
SMALL = Path(__file__).with_name("small.safetensors")

#: Keys of `tracker.model.network.PRESETS` and `tracker.model.joint.JOINT_PRESETS` into which a
#: published checkpoint can be loaded.
PUBLISHED_PRESETS = (
    "dfat",
    "rgb",
    "ir",
    "nanotrack",
    "nanotrack_mean",
    "nanotrack_rgb",
    "nanotrack_ir",
)
