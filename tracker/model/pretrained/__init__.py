"""The included weights (see experiments/README.md), and the presets of published checkpoints."""

from pathlib import Path

#: Name of the compact fused tracker, in trackers.ini and for ``tracker bench``.
SHIPPED = "compact"
#: Its weights.
COMPACT = Path(__file__).with_name("compact.safetensors")

#: Keys of `tracker.model.network.PRESETS` into which a published checkpoint can be loaded.
PUBLISHED_PRESETS = ("dfat", "rgb", "ir")
