"""Alignment of an infrared and a visible camera.

`calibration` is the file that states how the pixels of both belong together, and its use;
`geometry` has the transforms; `fields`, `search`, `refinement` and `estimation` find one from
pictures; `points` and `checkerboard` from points.

>>> from fusion.images.alignment import Calibration
>>> on_visible_grid = Calibration.load("rig.yaml").align(infrared)  # doctest: +SKIP
"""

from fusion.images.alignment.calibration import Calibration, Camera

__all__ = ["Calibration", "Camera"]
