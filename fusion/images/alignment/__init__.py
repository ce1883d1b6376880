"""Alignment of an infrared and a visible camera.

`calibration` is the file that states how the pixels of both belong together, and its use; `camera`
has the lenses, `geometry` the transforms. `estimation` finds one from pictures, by `search` and
`refinement` on the structure `fields` of `levels`; `points` finds one from points or a
checkerboard. `watch` reports sets that look misaligned.

>>> from fusion.images.alignment import Calibration
>>> on_visible_grid = Calibration.load("rig.yaml").align(infrared)  # doctest: +SKIP
"""

from fusion.images.alignment.calibration import Calibration
from fusion.images.alignment.camera import Camera

__all__ = ["Calibration", "Camera"]
