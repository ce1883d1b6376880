"""The kinds of location in which a sequence can take place: `LOOKS`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """A kind of location.

    Attributes:
        split: the split it belongs to.
        ground: name of the ground painter.
        backdrop: name of the backdrop painter.
        backdrop_z: distance of the backdrop in metres.
        props: static objects between the area in use and the backdrop.
        targets: kinds of target that fit.
        land: nearest and farthest distance of walking and driving actors, in metres.
        water: nearest and farthest distance of floating actors, in metres.
        air: range of air temperatures in degrees Celsius.
        indoor: no sky, no sun.
        height: height of the camera, in metres.
    """

    split: str
    ground: str
    backdrop: str
    backdrop_z: float
    props: tuple[str, ...]
    targets: tuple[str, ...]
    land: tuple[float, float]
    air: tuple[float, float]
    water: tuple[float, float] = (0.0, 0.0)
    indoor: bool = False
    height: float = 2.4


LOOKS = {
    "street": Look(
        "train", "street", "facades", 27, ("tree", "lamp", "car", "sign"),
        ("person", "cyclist", "dog", "car"), (6, 19), (4, 30),
    ),
    "park": Look(
        "train", "lawn", "treeline", 40, ("tree", "bush", "lamp", "conifer"),
        ("person", "cyclist", "dog", "drone"), (6, 18), (2, 27),
    ),
    "hall": Look(
        "train", "tiles", "wall", 21, ("pillar", "bin", "sign"),
        ("person", "dog", "drone"), (5, 15), (16, 23), indoor=True,
    ),
    "lake": Look(
        "train", "quay", "hills", 90, ("bollard", "lamp"),
        ("person", "cyclist", "dog", "drone"), (5, 10), (6, 24), water=(14, 26), height=2.8,
    ),
    "snow": Look(
        "test", "snow", "mountains", 70, ("conifer", "rock"),
        ("person", "deer", "bird"), (6, 18), (-6, 4),
    ),
    "desert": Look(
        "test", "sand", "dunes", 80, ("rock", "bush", "palm"),
        ("person", "van", "deer", "bird"), (7, 20), (16, 34),
    ),
    "warehouse": Look(
        "test", "concrete", "shelves", 22, ("crate", "pillar", "bin"),
        ("person", "cyclist", "van"), (6, 16), (12, 24), indoor=True, height=3.2,
    ),
    "harbour": Look(
        "test", "quay", "containers", 60, ("bollard", "crate", "lamp"),
        ("person", "boat", "bird", "van"), (6, 12), (4, 24), water=(15, 26), height=3.4,
    ),
}  # fmt: skip
