"""Weights that ship; experiments/README.md says how they were made."""

from pathlib import Path

#: The compact fused tracker.
COMPACT = Path(__file__).with_name("compact.safetensors")
