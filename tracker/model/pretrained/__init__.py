"""Weights that ship, made as experiments/README.md says, and what others' published ones fill."""

from pathlib import Path

#: The name of the compact fused tracker, in trackers.ini and for ``tracker bench``.
SHIPPED = "compact"
#: Its weights.
COMPACT = Path(__file__).with_name("compact.safetensors")

#: Keys of `tracker.model.network.PRESETS` that a published checkpoint can be put into.
PUBLISHED_PRESETS = ("dfat", "rgb", "ir")
