"""Procedural RGBT sequences: seeded, endless, with exact boxes and known challenges.

Everything is drawn from geometry and noise; no picture is read. A pinhole camera at height ``h``
with focal length ``f`` (pixels) and an upright image plane sees the world point (X right, Y up,
Z away, metres) at

    u = f (X - Xc) / Z,        v = f (h - Y) / Z,

the horizon at ``v = 0``; pan, zoom, roll and shake are one affine map from (u, v) to the frame.
With this projection a sideways step ``Xc`` of the camera moves an upright plane at depth Z by
``-f Xc / Z`` and shears the ground by ``-v Xc / h``, so that every static layer is painted once and
then moved by an affine warp, with true parallax.

A picture has four channels, red, green, blue and temperature, and is painted in one go: the two
modalities are registered by construction and differ in what they show. Each then passes a camera of
its own (exposure, glow and noise; optics, gain control, lag, fixed pattern and drift).

A sequence is a `SequenceSpec`, drawn by `random_spec` from named `CHALLENGES`:

    spec = random_spec(seed=3, challenge="night")
    for rgb, ir, box, visible in render(spec):
        ...

`write_dataset` writes a set in the layout of the VOT toolkit. The splits "train" and "test" share
no place, and differ in kinds of target, in challenges and in the ways a camera fails.

What is listed here is public; the modules behind it are internal. In the order of reading: `looks`,
`specs` and `challenges` say what a sequence is; `noise` and `paint` are the means; `places`,
`plates`, `ground`, `backdrop`, `props` and `scene` make what stands still; `individuals`, `bodies`,
`motion` and `actors` what moves; `cameras` and `rendering` make frames of it, `dataset` files.
"""

from tracker.synthetic.challenges import CHALLENGES, Challenge, challenge_names, random_spec
from tracker.synthetic.dataset import contact_sheet, dataset_specs, write_dataset, write_sequence
from tracker.synthetic.looks import LOOKS, Look
from tracker.synthetic.rendering import Frame, render, render_still, silhouettes
from tracker.synthetic.specs import FAILURE_MODES, SPLITS, Failure, SequenceSpec

__all__ = [
    "CHALLENGES",
    "FAILURE_MODES",
    "LOOKS",
    "SPLITS",
    "Challenge",
    "Failure",
    "Frame",
    "Look",
    "SequenceSpec",
    "challenge_names",
    "contact_sheet",
    "dataset_specs",
    "random_spec",
    "render",
    "render_still",
    "silhouettes",
    "write_dataset",
    "write_sequence",
]
