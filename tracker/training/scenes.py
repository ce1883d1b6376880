"""Which target, which frames, what beside it: the content of a training pair before it is cut.

A `Scene` is a target at two moments. `SceneDrawer` draws one from real footage as it is, with a
target pasted over other footage, or about any box of any picture; and sets look-alikes and an
occluder beside it.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from fusion.base.errors import UserError
from tracker.data.crops import context_side
from tracker.training.cutouts import Cutout, Layer, cut_out
from tracker.training.pseudo_thermal import ThermalLook
from tracker.training.real_video import Footage, LocalMask, Picture, Source
from tracker.training.recipe import Recipe

__all__ = ["Moment", "Scene", "SceneDrawer"]


@dataclass
class Moment:
    """What one crop is cut from.

    Attributes:
        picture: the frame.
        box: the target's in it, ``x, y, w, h``; may reach over the frame.
        mask: its silhouette in the frame, where it is the frame's own and known.
        makes_ir: infrared is made from the visible picture.
        layers: what is pasted over the frame.
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
        known: tells the target from others.
        source: number of the source.
        kind: of the target, see `Track`.
        labelled: whether the search's box is true.
        look: how infrared is made where a picture or cut-out has none.
        shows: modalities that tell the target from its surroundings.
    """

    template: Moment
    search: Moment
    known: tuple[int, ...]
    source: int
    kind: str
    labelled: bool
    look: ThermalLook
    shows: frozenset[str]


class _Unusable(Exception):
    """What was drawn shows no target; the message says why."""


class SceneDrawer:
    """Draws scenes from sources.

    Args:
        sources: where footage comes from.
        recipe: shares of what is drawn.
        exemplar_size, search_size: of the crops; a search region is as much larger.
        part: of every source's footage, shares of its list from and to.

    Raises:
        UserError: there is no footage in that part of a source.
    """

    #: Draws that may fail in a row before a source is given up.
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
                    f"{source.name}: {len(source.footage)} videos or pictures are too few for a "
                    f"share of {part[1] - part[0]:.2f}; change data.holdout"
                )
        self._of_kind: dict[str, list[Footage]] = {}
        for source, numbers in zip(self.sources, self._ranges, strict=True):
            for number in numbers:
                for kind in source.footage[number].kinds:
                    self._of_kind.setdefault(kind, []).append(source.footage[number])
        #: Footage whose targets may have silhouettes.
        self._cut_from = [
            source.footage[number]
            for source, numbers in zip(self.sources, self._ranges, strict=True)
            for number in numbers
            if source.silhouettes
        ]
        self._warned: set[str] = set()

    def draw(self, rng: np.random.Generator) -> Scene:
        """A scene, without what is beside the target.

        Raises:
            UserError: a source gives no target at all.
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
                    warnings.warn(f"left out of a pair: {problem}", stacklevel=3)
        raise UserError(
            f"{self.sources[number].name}: {self.PATIENCE} draws in a row show no target ({problem})"
        )

    # --- Three kinds of scenes ---

    def _filmed(self, number: int, which: int, rng: np.random.Generator) -> Scene:
        """A target in its own footage."""
        footage = self.sources[number].footage[which]
        tracks = [track for track in footage.tracks if len(track.frames)]
        if not tracks:
            raise _Unusable("nothing in it stands out")
        chosen = int(rng.integers(len(tracks)))
        track = tracks[chosen]
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
        known = (number, which, chosen)
        kind, labelled = track.kind, track.labelled
        return Scene(moments[0], moments[1], known, number, kind, labelled, look, shows)

    def _pasted(self, number: int, which: int, rng: np.random.Generator) -> Scene:
        """A cut-out over other footage; both move on."""
        donor = self._cut_from[int(rng.integers(len(self._cut_from)))]
        tracks = [track for track in donor.tracks if track.silhouette and len(track.frames)]
        if not tracks:
            raise _Unusable("no silhouette in it")
        track = tracks[int(rng.integers(len(tracks)))]
        indices = self._two_frames(track.frames, 40, rng)
        cutouts = [cut_out(donor.picture(index), track, index) for index in indices]
        if cutouts[0] is None or cutouts[1] is None:
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
        centre = rng.uniform(0.02, 0.98, 2) * (width, height)
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
        known = (number, which, *(int(v) for v in rng.integers(1 << 30, size=2)))
        return Scene(moments[0], moments[1], known, number, track.kind, True, look, shows)

    def _unlabelled(self, number: int, which: int, rng: np.random.Generator) -> Scene:
        """Any box of any picture, and the same place in a frame nearby."""
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
        known = (number, which, -2, int(rng.integers(1 << 30)))
        return Scene(moments[0], moments[1], known, number, "", False, look, shows)

    def _two_frames(
        self, frames: np.ndarray, reach: int, rng: np.random.Generator
    ) -> tuple[int, int]:
        """Two of some frames, near ones more often than those as far apart as ``reach``."""
        first = int(frames[rng.integers(len(frames))])
        if reach < 1:
            return first, first
        gap = round(np.exp(rng.uniform(0, np.log(reach + 0.5)))) * (1 if rng.random() < 0.6 else -1)
        second = int(frames[np.abs(frames - (first + gap)).argmin()])
        return first, second

    # --- What is beside the target ---

    def surround(self, scene: Scene, rng: np.random.Generator) -> None:
        """Set look-alikes and perhaps an occluder beside the target of both moments."""
        recipe = self.recipe
        if scene.kind and rng.random() < recipe.lookalikes and recipe.most_lookalikes:
            self._add_lookalikes(scene, rng)
        if rng.random() < recipe.occluded:
            occluder = self._occluder(scene, rng)
            if occluder is not None:
                scene.search.layers.append(occluder)

    def _add_lookalikes(self, scene: Scene, rng: np.random.Generator) -> None:
        crossing = rng.random() < self.recipe.crossing
        in_template = rng.random() < self.recipe.lookalikes_in_template
        count = 1 + min(int(rng.geometric(0.5)) - 1, self.recipe.most_lookalikes - 1)
        for number in range(count):
            cutout = self._one_of(scene.kind, rng)
            if cutout is None:
                return
            look = scene.look.varied(rng)
            shared = {"look": look, "gain": _gain(rng), "heat": float(rng.normal(0, 15))}
            crosses = crossing and number == 0
            layer = self._beside(scene.search, cutout, crosses, rng)
            scene.search.layers.append(replace(layer, **shared))
            if in_template:
                layer = self._beside(scene.template, cutout, crosses and rng.random() < 0.2, rng)
                scene.template.layers.append(replace(layer, **shared))

    def _one_of(self, kind: str, rng: np.random.Generator) -> Cutout | None:
        """A cut-out of this kind, None where a few tries found none."""
        footages = self._of_kind.get(kind, [])
        for _ in range(6 if footages else 0):
            footage = footages[int(rng.integers(len(footages)))]
            try:
                tracks = [t for t in footage.tracks if t.kind == kind and t.silhouette]
                if not tracks:
                    continue
                track = tracks[int(rng.integers(len(tracks)))]
                if not len(track.frames):
                    continue
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
        """A place for a cut-out in the search region: crossing the target, or clear of it."""
        box = moment.box
        centre, sides = box[:2] + box[2:] / 2, box[2:]
        width, height = cutout.shape
        # As tall as the target where both stand upright, of its area else.
        size = (sides.prod() / (width * height)) ** 0.5 * np.exp(rng.normal(0, 0.15))
        own = np.array([width, height]) * size
        hideable = moment.mask is not None or any(layer.is_target for layer in moment.layers)
        behind = bool(crosses and hideable and rng.random() < 0.5)
        reach = context_side(*sides) * self.reach_of_search / 2
        if crosses:
            near = rng.uniform(0.1 if behind else 0.35, 0.9) * (sides[0] + own[0]) / 2
            # Feet of both are on about one level.
            foot = box[1] + box[3] + rng.normal(0, 0.06) * sides[1] + (-0.03 if behind else 0.03)
            place = np.array([centre[0] + rng.choice([-1, 1]) * near, foot - own[1] / 2])
        else:
            for _ in range(8):
                place = centre + rng.uniform(-1, 1, 2) * reach * (1, 0.6)
                if (np.abs(place - centre) > (sides + own) / 2).any():
                    break
            else:
                place = centre + np.array([rng.choice([-1, 1]) * (sides[0] + own[0]) * 0.6, 0])
        mirrored = bool(rng.random() < 0.5)
        where = np.concatenate([place - own / 2, own])
        return Layer(cutout, where, mirrored=mirrored, behind=behind)

    def _occluder(self, scene: Scene, rng: np.random.Generator) -> Layer | None:
        """A pole, a bar or a bush: a piece of another picture over a fifth to half of the target."""
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
        if sides[0] == box[2]:  # covers one side
            centre[0] += (
                (share - 1) * sides[0] * rng.choice([-1, 1]) + box[0] + box[2] / 2 - centre[0]
            )
        elif shape >= 0.5 and shape < 0.7:
            centre[1] = high[1] - sides[1] * rng.uniform(0, 0.5)
        look = replace(scene.look, offset=float(rng.uniform(-40, 40)), head=0.0)
        level = 0.0 if ir is None else float(ir.mean())
        cutout = Cutout(rgb, ir, mask, level)
        where = np.concatenate([centre - sides / 2, sides])
        return Layer(cutout, where, look, mirrored=bool(rng.random() < 0.5), gain=_gain(rng))


def _present(moments: Sequence[Moment]) -> frozenset[str]:
    """Modalities that both moments have."""
    return frozenset(
        m
        for m in ("rgb", "ir")
        if all(getattr(moment.picture, m) is not None for moment in moments)
    )


def _gain(rng: np.random.Generator) -> tuple[float, float, float]:
    """Clothes and paint of another colour: gains of red, green and blue."""
    common = rng.uniform(0.75, 1.2)
    red, green, blue = common * rng.uniform(0.85, 1.15, 3)
    return float(red), float(green), float(blue)
