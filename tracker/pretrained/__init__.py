"""Weights that ship; experiments/README.md says how they were made."""

from pathlib import Path

#: The name of the compact fused tracker, in trackers.ini and for ``tracker bench``.
SHIPPED = "compact"
#: Its weights.
COMPACT = Path(__file__).with_name("compact.safetensors")
