"""Registries of a tracker network's parts, and of network classes.

A part is one class with one decorator, in this package or in a user's own file. The names are used
by `TrackerNetwork`'s arguments, in configurations and in weights files. The classes must be:

- `BACKBONES`: a subclass of `tracker.model.backbone.Backbone`.
- `HEADS`: constructed with ``(num_levels, channels, num_anchors)``, see `tracker.model.head.Head`.
- `JOINS`: constructed with ``(modalities, channels, fusion, fusion_args)``, see
  `tracker.model.joins`.
- `NETWORKS`: whole networks with their own decoding, see `tracker.model.weights`.

Modules that fuse features are in `fusion.llrr.registry.FUSIONS`, their losses in
`tracker.training.losses.FUSION_LOSSES`.
"""

from fusion.base.registry import Registry

BACKBONES = Registry("backbone", "tracker.model:BACKBONES")
HEADS = Registry("head", "tracker.model:HEADS")
JOINS = Registry("join", "tracker.model:JOINS")
NETWORKS = Registry("tracker network", "tracker.model:NETWORKS")
