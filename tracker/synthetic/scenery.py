"""The static part of a sequence: a location and its painted layers."""

from dataclasses import dataclass

import numpy as np

from tracker.synthetic.backdrop import BACKDROPS, Backdrop
from tracker.synthetic.ground import GROUNDS, Ground
from tracker.synthetic.noise import generator
from tracker.synthetic.places import Place, make_place
from tracker.synthetic.plates import PLATE_REACH, PLATE_SCALE, Plate, make_plate
from tracker.synthetic.props import PROPS, draw_lamp
from tracker.synthetic.specs import SequenceSpec


@dataclass(frozen=True)
class Scenery:
    """The static part of a sequence: location and painted layers."""

    place: Place
    backdrop: Plate
    ground: Plate
    props: tuple[Plate, ...]


def make_scenery(spec: SequenceSpec) -> Scenery:
    """Paint the backdrop, the ground and the props of a sequence."""
    place = make_place(spec)
    look, rng = place.look, generator(spec.seed, "scene")
    width = spec.size[0]
    reach = PLATE_REACH * width

    b = Backdrop(place, spec.size, rng)
    BACKDROPS[look.backdrop](b)
    metres = (
        (np.arange(b.shape[1], dtype=np.float32) / PLATE_SCALE - reach) * look.backdrop_z / place.f
    )
    place.shine(b.rgbt, metres[None].repeat(b.shape[0], 0), np.float32(look.backdrop_z), b.glow)
    if not look.indoor:
        share = b.air_share * place.clear(look.backdrop_z)[0]
        # The sky is painted with its final brightness: it is not lit, and only fog applies.
        b.rgbt += (b.open_sky - b.rgbt) * share[..., None]
    backdrop = make_plate(
        b.rgbt,
        None,
        (-reach, b.v_top),
        PLATE_SCALE,
        -place.f / look.backdrop_z,
        0.0,
        look.backdrop_z,
    )

    g = Ground(place, spec.size, rng)
    painted = GROUNDS[look.ground](g)
    place.shine(painted, g.x, g.z)
    ground = make_plate(
        painted, None, (-reach, g.v0), PLATE_SCALE, 0.0, -1 / look.height, look.backdrop_z
    )

    props = []
    wet = look.water[1] > 0
    for _ in range(int(rng.integers(5, 9))):
        kind = str(rng.choice(look.props))
        low, high = (look.land[1] - 0.5, look.land[1] + 0.8) if wet else (
            look.land[1] + 1.5, min(look.backdrop_z - 1, look.land[1] * 1.7)
        )  # fmt: skip
        z = float(rng.uniform(low, high))
        x = float(rng.uniform(-1.25, 1.25) * z)
        props.append(PROPS[kind](place, rng, z).plate(x))
    for x, z, _, _ in place.lamps:
        if "lamp" in look.props and not look.indoor:
            props.append(draw_lamp(place, rng, float(z) + 0.4).plate(float(x)))
    return Scenery(place, backdrop, ground, tuple(props))
