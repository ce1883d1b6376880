"""The content of a training pair before it is cropped: target, frames, neighbours.

A `Scene` is a target at two moments. `SceneDrawer` draws it from real footage as filmed, from a
target pasted over other footage, or from a random box of any image, and adds look-alikes and an
occluder.
"""

import warnings
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from fusion.base.errors import UserError
from tracker.data.crops import context_side
from tracker.training.cutouts import Cutout, Layer, cut_out
from tracker.training.footage import Footage, LocalMask, Picture, Source
from tracker.training.pseudo_thermal import ThermalLook
from tracker.training.recipe import Recipe


@dataclass
class Moment:
    """The content of one crop.

    Attributes:
        picture: the frame.
        box: box of the target, ``x, y, w, h``; may extend beyond the frame.
        mask: silhouette of the target, if the frame itself shows it and it is known.
        makes_ir: whether infrared is made from the visible image.
        layers: objects pasted over the frame.
    """

    picture: Picture
    box: np.ndarray
    mask: LocalMask | None = None
    makes_ir: bool = False
    layers: list[Layer] = field(default_factory=list)


@dataclass
class Scene:
    """A target at two moments.

    Attributes:
        template, search: the moments.
        target: indices of the source and the footage that contain the target.
        background: indices of the source and the footage of the frames; different from ``target``
            if the target is pasted.
        kind: kind of the target, see `Track`; empty if there is none.
        labelled: whether the box of the search moment is ground truth.
        look: makes infrared for images and cut-outs without it.
        shows: modalities in which the target can be told from its surroundings.
    """

    template: Moment
    search: Moment
    target: tuple[int, int]
    background: tuple[int, int]
    kind: str
    labelled: bool
    look: ThermalLook
    shows: frozenset[str]

    def lacks(self, target: tuple[int, int]) -> bool:
        """Whether neither the target nor the frames are from this footage."""
        return target not in (self.target, self.background)


class _Unusable(Exception):
    """The drawn frames show no target; the message gives the reason."""


class SceneDrawer:
    """Draws scenes from sources.

    Args:
        sources: the sources of footage.
        recipe: probabilities of the kinds of scenes.
        exemplar_size, search_size: side lengths of the crops; their ratio is the relative size of a
            search region.
        part: the used part of every source's footage: start and end as fractions of its list.

    Raises:
        UserError: a source has no footage in that part.
    """

    #: Number of consecutive failed draws after which an error is raised.
    PATIENCE = 50

    def __init__(
        self,
        sources: Sequence[Source],
        recipe: Recipe,
        exemplar_size: int,
        search_size: int,
        part: tuple[float, float] = (0.0, 1.0),
    ):
        self.sources, self.recipe = list(sources), recipe
        self.reach_of_search = search_size / exemplar_size
        self._shares = np.array([source.weight for source in sources], float)
        self._shares /= self._shares.sum()
        self._ranges = [
            range(*(round(p * len(source.footage)) for p in part)) for source in sources
        ]
        for source, numbers in zip(self.sources, self._ranges, strict=True):
            if not numbers:
                raise UserError(
                    f"{source.name}: {len(source.footage)} videos or images are too few for a "
                    f"fraction of {part[1] - part[0]:.2f}; change data.holdout"
                )
        #: Footage with targets that may have silhouettes, as indices of source and footage.
        self._cut_from = [
            (number, which)
            for number, source in enumerate(self.sources)
            for which in self._ranges[number]
            if source.silhouettes
        ]
        self._warned: set[str] = set()

    def draw(self, rng: np.random.Generator) -> Scene:
        """Draw a scene, without look-alikes and occluders.

        Raises:
            UserError: no target could be found.
        """
        kind = rng.random()
        recipe = self.recipe
        problem = ""
        for _ in range(self.PATIENCE):
            number = int(rng.choice(len(self.sources), p=self._shares))
            numbers = self._ranges[number]
            which = numbers[int(rng.integers(len(numbers)))]
            footage = self.sources[number].footage[which]
            try:
                if kind < recipe.pasted and self._cut_from:
                    return self._pasted(number, which, rng)
                if kind < recipe.pasted + recipe.unlabelled:
                    return self._unlabelled(number, which, rng)
                return self._filmed(number, which, rng)
            except (UserError, _Unusable) as error:
                problem = f"{footage.name}: {error}"
                if isinstance(error, UserError) and problem not in self._warned:
                    self._warned.add(problem)
                    warnings.warn(f"skipped in a training pair: {problem}", stacklevel=3)
        raise UserError(
            f"{self.sources[number].name}: {self.PATIENCE} consecutive draws show no target "
            f"({problem}); give other footage"
        )

    # --- Three kinds of scenes ---

    def _filmed(self, number: int, which: int, rng: np.random.Generator) -> Scene:
        """A target as filmed."""
        footage = self.sources[number].footage[which]
        tracks = [track for track in footage.tracks if len(track.frames)]
        if not tracks:
            raise _Unusable("nothing in it stands out")
        track = tracks[int(rng.integers(len(tracks)))]
        first, second = self._two_frames(track.frames, self.sources[number].reach, rng)
        moments = [
            Moment(
                footage.picture(index), track.boxes[index], track.mask(index), not footage.thermal
            )
            for index in (first, second)
        ]
        look = ThermalLook.draw(rng)
        shows = _present(moments)
        if not footage.thermal and look.shows:
            shows |= {"ir"}
        if not shows:
            raise _Unusable("frames have no modality in common")
        kind, labelled = track.kind, track.labelled
        place = number, which
        return Scene(moments[0], moments[1], place, place, kind, labelled, look, shows)

    def _pasted(self, number: int, which: int, rng: np.random.Generator) -> Scene:
        """A cut-out over other footage, both at two moments."""
        origin = self._cut_from[int(rng.integers(len(self._cut_from)))]
        donor = self._footage(origin)
        tracks = [track for track in donor.tracks if track.silhouette and len(track.frames)]
        if not tracks:
            raise _Unusable("no silhouette in it")
        track = tracks[int(rng.integers(len(tracks)))]
        indices = self._two_frames(track.frames, 40, rng)
        found = [cut_out(donor.picture(index), track, index) for index in indices]
        cutouts = [cutout for cutout in found if cutout is not None]
        if len(cutouts) < 2:
            raise _Unusable("no silhouette in it")

        footage = self.sources[number].footage[which]
        frames = self._two_frames(np.arange(len(footage)), self.sources[number].reach, rng)
        pictures = [footage.picture(index) for index in frames]
        if any(picture.rgb is None for picture in pictures):
            raise _Unusable("no visible picture")
        width, height = pictures[0].size
        own_width, own_height = cutouts[0].shape
        tall = height * np.exp(rng.uniform(np.log(0.08), np.log(0.75)))
        scale = min(tall / own_height, 0.8 * width / own_width, 1.6)
        centre = rng.uniform((0.02, 0.2), (0.98, 0.95)) * (width, height)
        look = ThermalLook.draw(rng)
        mirrored, gain = bool(rng.random() < 0.5), _gain(rng)
        heat = float(rng.normal(0, 12))
        moments = []
        for picture, cutout in zip(pictures, cutouts, strict=True):
            sides = np.array(cutout.shape) * scale
            box = np.concatenate([centre - sides / 2, sides])
            layer = Layer(cutout, box, look, mirrored, is_target=True, gain=gain, heat=heat)
            moments.append(Moment(picture, box, None, not footage.thermal, [layer]))
            scale *= np.exp(rng.normal(0, 0.06))
            centre = np.clip(centre + rng.normal(0, 0.4, 2) * sides.mean(), 0, (width, height))
        shows = frozenset({"rgb"} | ({"ir"} if cutouts[0].ir is not None or look.shows else set()))
        place = number, which
        return Scene(moments[0], moments[1], origin, place, track.kind, True, look, shows)

    def _unlabelled(self, number: int, which: int, rng: np.random.Generator) -> Scene:
        """A random box of any image, and the same place in a nearby frame."""
        footage = self.sources[number].footage[which]
        frames = self._two_frames(np.arange(len(footage)), min(self.sources[number].reach, 10), rng)
        pictures = [footage.picture(index) for index in frames]
        width, height = pictures[0].size
        side = min(width, height) * np.exp(rng.uniform(np.log(0.06), np.log(0.6)))
        ratio = np.exp(rng.uniform(-0.8, 0.8))
        sides = np.array([side * ratio**0.5, side / ratio**0.5])
        centre = rng.uniform(0, 1, 2) * (width, height)
        low = np.maximum(centre - sides / 2, 0)
        high = np.minimum(centre + sides / 2, (width, height))
        if (high - low < 8).any():
            raise _Unusable("a box at the frame's rim")
        box = np.concatenate([low, high - low])
        moments = [Moment(picture, box, None, not footage.thermal) for picture in pictures]
        look = ThermalLook.draw(rng)
        shows = _present(moments)
        if not footage.thermal and look.textured:
            shows |= {"ir"}
        if not shows:
            raise _Unusable("frames have no modality in common")
        place = number, which
        return Scene(moments[0], moments[1], place, place, "", False, look, shows)

    def _footage(self, place: tuple[int, int]) -> Footage:
        number, which = place
        return self.sources[number].footage[which]

    def _two_frames(
        self, frames: np.ndarray, reach: int, rng: np.random.Generator
    ) -> tuple[int, int]:
        """Two of the frames; their distance is log-uniform up to ``reach``."""
        first = int(frames[rng.integers(len(frames))])
        if reach < 1:
            return first, first
        gap = round(np.exp(rng.uniform(0, np.log(reach + 0.5)))) * (1 if rng.random() < 0.6 else -1)
        second = int(frames[np.abs(frames - (first + gap)).argmin()])
        return first, second

    # --- Look-alikes and occluders ---

    def surround(
        self, scene: Scene, rng: np.random.Generator, avoid: tuple[int, int] | None = None
    ) -> None:
        """Add look-alikes to both moments and an occluder to the search moment, as drawn.

        Args:
            avoid: footage whose targets must not be used as look-alikes. The footage of the scene's
                own target is only used if there is no other of its kind.
        """
        recipe = self.recipe
        if scene.kind and rng.random() < recipe.lookalikes and recipe.most_lookalikes:
            self._add_lookalikes(scene, avoid, rng)
        if rng.random() < recipe.occluded:
            occluder = self._occluder(scene, rng)
            if occluder is not None:
                scene.search.layers.append(occluder)

    def _add_lookalikes(
        self, scene: Scene, avoid: tuple[int, int] | None, rng: np.random.Generator
    ) -> None:
        crossing = rng.random() < self.recipe.crossing
        in_template = rng.random() < self.recipe.lookalikes_in_template
        count = 1 + min(int(rng.geometric(0.5)) - 1, self.recipe.most_lookalikes - 1)
        for number in range(count):
            cutout = self._one_of(scene.kind, {scene.target, avoid}, rng)
            if cutout is None and avoid is None:
                cutout = self._one_of(scene.kind, {avoid}, rng)  # the target's own twin
            if cutout is None:
                return
            look = scene.look.varied(rng)
            gain, heat = _gain(rng), float(rng.normal(0, 15))
            crosses = crossing and number == 0
            layer = self._beside(scene.search, cutout, crosses, rng)
            scene.search.layers.append(replace(layer, look=look, gain=gain, heat=heat))
            if in_template:
                layer = self._beside(scene.template, cutout, crosses and rng.random() < 0.2, rng)
                scene.template.layers.append(replace(layer, look=look, gain=gain, heat=heat))

    def _one_of(
        self, kind: str, avoid: Container[tuple[int, int] | None], rng: np.random.Generator
    ) -> Cutout | None:
        """A cut-out of this kind from other footage; None if several attempts found none."""
        places = [
            place
            for place in self._cut_from
            if place not in avoid and kind in self._footage(place).kinds
        ]
        for _ in range(6 if places else 0):
            footage = self._footage(places[int(rng.integers(len(places)))])
            try:
                tracks = [t for t in footage.tracks if t.kind == kind and t.silhouette]
                tracks = [track for track in tracks if len(track.frames)]
                if not tracks:
                    continue
                track = tracks[int(rng.integers(len(tracks)))]
                index = int(track.frames[rng.integers(len(track.frames))])
                cutout = cut_out(footage.picture(index), track, index)
            except UserError:
                continue
            if cutout is not None:
                return cutout
        return None

    def _beside(
        self, moment: Moment, cutout: Cutout, crosses: bool, rng: np.random.Generator
    ) -> Layer:
        """Place a cut-out in the search region: crossing the target, or apart from it."""
        box = moment.box
        centre, sides = box[:2] + box[2:] / 2, box[2:]
        width, height = cutout.shape
        # The cut-out gets about the area of the target.
        size = (sides.prod() / (width * height)) ** 0.5 * np.exp(rng.normal(0, 0.15))
        size = min(size, 2.0)  # further enlargement would blur it
        own = np.array([width, height]) * size
        hideable = moment.mask is not None or any(layer.is_target for layer in moment.layers)
        behind = bool(crosses and hideable and rng.random() < 0.5)
        reach = context_side(*sides) * self.reach_of_search / 2
        if crosses:
            near = rng.uniform(0.1 if behind else 0.35, 0.9) * (sides[0] + own[0]) / 2
            # The feet of both are at about the same height.
            foot = box[1] + box[3] + rng.normal(0, 0.06) * sides[1] + (-0.03 if behind else 0.03)
            place = np.array([centre[0] + rng.choice([-1, 1]) * near, foot - own[1] / 2])
        else:
            # It must be inside the search region and the frame, because it is invisible outside.
            low = np.maximum(centre - reach, 0)
            high = np.minimum(centre + reach, moment.picture.size)
            for _ in range(12):
                place = rng.uniform(low, np.maximum(high, low + 1))
                if (np.abs(place - centre) > (sides + own) / 2).any():
                    break
            else:  # no room: directly beside the target
                place = centre + np.array([rng.choice([-1, 1]) * (sides[0] + own[0]) * 0.55, 0])
        mirrored = bool(rng.random() < 0.5)
        where = np.concatenate([place - own / 2, own])
        return Layer(cutout, where, mirrored=mirrored, behind=behind)

    def _occluder(self, scene: Scene, rng: np.random.Generator) -> Layer | None:
        """A pole, bar or bush cut from any image that hides a fifth to a half of the target."""
        number = int(rng.choice(len(self.sources), p=self._shares))
        which = self._ranges[number][int(rng.integers(len(self._ranges[number])))]
        footage = self.sources[number].footage[which]
        try:
            picture = footage.picture(int(rng.integers(len(footage))))
        except UserError:
            return None
        if picture.rgb is None:
            return None
        width, height = picture.size
        side = int(min(width, height) * rng.uniform(0.1, 0.4))
        x, y = int(rng.integers(width - side)), int(rng.integers(height - side))
        inside = slice(y, y + side), slice(x, x + side)
        rgb = np.ascontiguousarray(picture.rgb[inside])
        ir = None if picture.ir is None else np.ascontiguousarray(picture.ir[inside])
        mask = np.full((side, side), 255, np.uint8)
        box, share = scene.search.box, rng.uniform(0.2, 0.5)
        shape = rng.random()
        if shape < 0.5:  # a pole or tree, or the end of a wall
            sides = np.array([box[2] * share, box[3] * rng.uniform(1.2, 2.5)])
            if rng.random() < 0.4:
                sides[0] = box[2]
        elif shape < 0.7:  # a bar or a low wall
            sides = np.array([box[2] * rng.uniform(1.2, 3), box[3] * share])
        else:
            sides = box[2:] * np.sqrt(share) * np.array([rng.uniform(0.8, 1.25), 1])
            mask[:] = 0
            cv2.ellipse(mask, (side // 2, side // 2), (side // 2, side // 2), 0, 0, 360, 255, -1)
        low, high = box[:2], box[:2] + box[2:]
        centre = rng.uniform(low, high)
        if sides[0] == box[2]:  # covers the left or right side
            centre[0] += (
                (share - 1) * sides[0] * rng.choice([-1, 1]) + box[0] + box[2] / 2 - centre[0]
            )
        elif 0.5 <= shape < 0.7:
            centre[1] = high[1] - sides[1] * rng.uniform(0, 0.5)
        look = replace(scene.look, offset=float(rng.uniform(-40, 40)), head=0.0)
        level = 0.0 if ir is None else float(ir.mean())
        cutout = Cutout(rgb, ir, mask, level)
        where = np.concatenate([centre - sides / 2, sides])
        return Layer(cutout, where, look, mirrored=bool(rng.random() < 0.5), gain=_gain(rng))


def _present(moments: Sequence[Moment]) -> frozenset[str]:
    """Modalities that are present at both moments."""
    return frozenset(
        m
        for m in ("rgb", "ir")
        if all(getattr(moment.picture, m) is not None for moment in moments)
    )


def _gain(rng: np.random.Generator) -> tuple[float, float, float]:
    """Random factors of red, green and blue, for clothes and paint of another colour."""
    common = rng.uniform(0.75, 1.2)
    red, green, blue = common * rng.uniform(0.85, 1.15, 3)
    return float(red), float(green), float(blue)
