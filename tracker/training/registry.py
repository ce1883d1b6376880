"""The registry of losses on fused features."""

from fusion.base.registry import Registry

#: Modules by name. Their ``forward(fused, rgb, ir)`` takes lists of levels ``(B, C, H, W)``, finest
#: first, and returns the terms of the loss by name, as scalars.
FUSION_LOSSES = Registry("feature loss", "tracker.training:FUSION_LOSSES")
