"""The registry of modules that fuse two feature maps into one."""

from fusion.base.registry import Registry

__all__ = ["FUSIONS"]

#: Classes by name. One is called with ``channels`` and arguments of its own, once for each level of
#: a feature pyramid; its ``forward(rgb, ir)`` takes two maps ``(B, channels, H, W)`` and gives one.
FUSIONS = Registry("fusion module", "fusion.llrr:FUSIONS")
