"""Registries of a tracker network's parts, and of network classes.

A part is one class with one decorator, in this package or in a file of a user's own; names are
those of `TrackerNetwork`'s arguments, configurations and weights files. What the classes have to
offer:

- `BACKBONES`: a subclass of `tracker.model.backbone.Backbone`.
- `HEADS`: called with ``(num_levels, channels, num_anchors)``, see `tracker.model.head.Head`.
- `NETWORKS`: whole networks with a decoding of their own, see `tracker.model.weights`.

Modules that fuse features are in `fusion.llrr.registry.FUSIONS`, their losses in
`tracker.training.losses.FUSION_LOSSES`.
"""

from fusion.base.registry import Registry

__all__ = ["BACKBONES", "HEADS", "NETWORKS"]

BACKBONES = Registry("backbone", "tracker.model:BACKBONES")
HEADS = Registry("head", "tracker.model:HEADS")
NETWORKS = Registry("tracker network", "tracker.model:NETWORKS")
