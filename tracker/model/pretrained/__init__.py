"""The included weights (see experiments/README.md), and the presets of published checkpoints."""

from pathlib import Path

#: Name of the included tracker, in trackers.ini and for ``tracker bench``.
INCLUDED_TRACKER = "small"
#: Its weights, of the network `tracker.model.joint.JOINT_PRESETS` has under this name.
INCLUDED_WEIGHTS = Path(__file__).with_name("small.safetensors")

#: Presets into which a published DFAT or PySOT checkpoint can be loaded.
DFAT_PRESETS = ("dfat", "rgb", "ir")
#: Presets into which NanoTrack v3's can.
NANOTRACK_PRESETS = ("nanotrack", "nanotrack_mean", "nanotrack_rgb", "nanotrack_ir")

#: Keys of `tracker.model.network.PRESETS` and `tracker.model.joint.JOINT_PRESETS` into which a
#: published checkpoint can be loaded.
PUBLISHED_PRESETS = (*DFAT_PRESETS, *NANOTRACK_PRESETS)
