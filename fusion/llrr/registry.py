"""The registry of modules that fuse two feature maps into one."""

from fusion.base.registry import Registry

#: Classes by name. Each is constructed with ``channels`` and its own arguments, once per level of
#: a feature pyramid; its ``forward(rgb, ir)`` maps two tensors ``(B, channels, H, W)`` to one.
FUSIONS = Registry("fusion module", "fusion.llrr:FUSIONS")
