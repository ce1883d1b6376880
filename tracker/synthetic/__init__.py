"""Procedural RGBT sequences: seeded, unlimited, with exact boxes and known challenges.

Everything is drawn from geometry and noise; no image is read. A pinhole camera at height ``h``
with focal length ``f`` (pixels) and an upright image plane sees the world point (X right, Y up,
Z away, metres) at

    u = f (X - Xc) / Z,        v = f (h - Y) / Z,

with the horizon at ``v = 0``. Pan, zoom, roll and shake are one affine map from (u, v) to the
frame. With this projection, a sideways step ``Xc`` of the camera moves an upright plane at depth Z
by ``-f Xc / Z`` and shears the ground by ``-v Xc / h``. Every static layer is therefore painted
once and then moved by an affine warp, with exact parallax.

An image has four channels, red, green, blue and temperature, which are painted together: the two
modalities are registered by construction and differ in what they show. Each then passes its own
camera model (exposure, glow and noise; optics, gain control, lag, fixed pattern and drift).

A sequence is defined by a `SequenceSpec`, drawn by `random_spec` from named `CHALLENGES`:

    spec = random_spec(seed=3, challenge="night")
    for rgb, ir, box, visible in render(spec):
        ...

`write_dataset` writes a dataset in the layout of the VOT toolkit. The splits "train" and "test"
share no location, and differ in kinds of target, in challenges and in camera failures.

The names listed here are public; the modules behind them are internal. In reading order: `looks`,
`specs` and `challenges` define a sequence; `noise` and `paint` are the tools; `places`, `plates`,
`ground`, `backdrop`, `props` and `scenery` build the static part; `individuals`, `bodies`, `motion`
and `actors` build what moves; `cameras` and `rendering` produce frames, and `dataset` files.
"""

from tracker.synthetic.challenges import CHALLENGES, Challenge, challenge_names, random_spec
from tracker.synthetic.dataset import contact_sheet, dataset_specs, write_dataset, write_sequence
from tracker.synthetic.looks import LOOKS, Look
from tracker.synthetic.rendering import RenderedFrame, render, render_still, silhouettes
from tracker.synthetic.specs import FAILURE_MODES, SPLITS, SensorFailure, SequenceSpec

__all__ = [
    "CHALLENGES",
    "FAILURE_MODES",
    "LOOKS",
    "SPLITS",
    "Challenge",
    "Look",
    "RenderedFrame",
    "SensorFailure",
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
