"""The registry of losses on fused features."""

from fusion.base.registry import Registry

__all__ = ["FUSION_LOSSES"]

#: Modules by name, whose ``forward(fused, rgb, ir)`` takes a list of levels ``(B, C, H, W)`` each,
#: finest first, and gives the terms of the loss by name, as scalars.
FUSION_LOSSES = Registry("feature loss", "tracker.training:FUSION_LOSSES")
