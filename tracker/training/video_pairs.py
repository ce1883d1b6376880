"""Template/search pairs of real video: crops for a student and for a teacher, and the box.

    pairs = VideoPairs([load_masked_video("DAVIS"), load_stills("RoadScene")])
    pairs[0, 17]    # the 18th draw; the first number is not used

Each pair depends only on the seed and the number of its draw, see `DrawSampler`. A scene
(`SceneDrawer`) is cropped in both modalities (`Framing`, `paste_layers`). The teacher sees these
crops, the student degraded ones (`degradation`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fusion.images.pixels import luminance
from tracker.data.crops import context_side
from tracker.data.frames import MODALITIES
from tracker.training.augmentation import CropWindow
from tracker.training.cutouts import paste_layers
from tracker.training.degradation import disturb, draw_failure, fail, pixelate
from tracker.training.footage import LocalMask, Source
from tracker.training.framing import Framing, clip_to, virtual_frame
from tracker.training.pseudo_thermal import pseudo_thermal
from tracker.training.recipe import Recipe
from tracker.training.scenes import Moment, Scene, SceneDrawer

#: Width of people on foot, as shares of their height.
PERSON_ASPECTS = (0.25, 0.6)
Shifts = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class _Loss:
    """How the modalities of a pair fail for the student.

    Attributes:
        modality: the one that fails; None if neither does.
        failure: a name from `degradation.FAILURES`, or "frozen".
        blind: whether it fails in the template too.
        dropped: the modality that is missing; None if both are present.
        coarseness: factor by which the resolution of all crops is reduced.
    """

    modality: str | None = None
    failure: str = ""
    blind: bool = False
    dropped: str | None = None
    coarseness: float = 1.0


class VideoPairs(Dataset):
    """Pairs of real video; each depends only on the seed and the number of its draw.

    Args:
        sources: the sources of footage.
        exemplar_size, search_size: side lengths of the crops in pixels.
        recipe: how pairs vary.
        length: number of pairs per epoch.
        seed: seed of all draws.
        part: the used part of every source's footage: start and end as fractions of its list;
            validation uses the end.

    Raises:
        UserError: a source has no footage in that part.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        exemplar_size: int = 127,
        search_size: int = 255,
        recipe: Recipe | None = None,
        *,
        length: int = 10_000,
        seed: int = 0,
        part: tuple[float, float] = (0.0, 1.0),
    ):
        if not sources:
            raise ValueError("pairs need at least one source")
        self.exemplar_size, self.search_size = exemplar_size, search_size
        self.recipe = recipe or Recipe()
        self.length, self.seed = length, seed
        self.scenes = SceneDrawer(sources, self.recipe, exemplar_size, search_size, part)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        """The pair of draw ``key[1]``; ``key[0]``, an index in other data sets, is not used.

        Returns:
            ``template_rgb`` ``(3, exemplar_size, exemplar_size)``, ``template_ir`` ``(1, ...)``,
            ``search_rgb`` and ``search_ir`` of ``search_size``, uint8: the student's crops;
            ``clean_template_rgb`` and so on: the same crops without degradation, for the teacher;
            ``box``, ``template_box`` ``(4,)`` float32: ``x, y, w, h`` in pixels of the crop from
            its top-left corner, clipped to the frame (in a negative pair, of the other target);
            ``positive``: bool, whether the search crop shows the target of the template;
            ``labelled``: bool, whether ``box`` is ground truth; else only a teacher's response is
            valid;
            ``usable_rgb``, ``usable_ir``: bool, whether the student receives the modality; at least
            one is True;
            ``failed_rgb``, ``failed_ir``: bool, whether the modality fails in the search crop; at
            least one modality is usable and does not fail;
            ``shows_rgb``, ``shows_ir``: bool, whether the target stands out in the clean crops; at
            least one is True;
            ``source``: int64, the number of the source.
        """
        rng = np.random.default_rng((self.seed, key[1]))
        # A separate generator, so that degradation does not change the clean crops.
        spoiling = np.random.default_rng((self.seed, key[1], 1))
        recipe = self.recipe
        scene = self.scenes.draw(rng)
        self.scenes.surround(scene, rng)
        other = self._other(scene, rng) if rng.random() < recipe.negatives else None
        searched = other or scene
        shows = scene.shows & searched.shows or searched.shows

        present = {m for m in MODALITIES if _has(scene, m) and _has(searched, m)} or {"rgb", "ir"}
        loss = self._loss(shows & present or shows, spoiling)
        mirrored = bool(rng.random() < recipe.flip)
        shifts = self._parallax(scene, loss, rng)
        tight, hidden = rng.random() < recipe.tight, self._edges(rng)
        squeeze = self._squeeze(scene.template.box, rng)
        template = self._frame(scene.template, True, tight, hidden[0], mirrored, squeeze, rng)
        search = self._frame(searched.search, False, tight, hidden[1], mirrored, squeeze, rng)
        grey = bool(rng.random() < recipe.grey)
        cold = float(rng.uniform(-0.3, 0.35)) if rng.random() < recipe.cold else None

        clean = {
            "template": self._render(scene.template, scene, template, shifts, cold),
            "search": self._render(searched.search, searched, search, shifts, cold),
        }
        frozen = None
        if loss.failure == "frozen":
            frozen = self._frozen(scene, searched, search, shifts, cold, spoiling)
        item: dict[str, Tensor] = {}
        for place, framing in (("template", template), ("search", search)):
            for modality, picture in zip(MODALITIES, clean[place], strict=True):
                if grey and modality == "rgb":
                    picture = cv2.cvtColor(luminance(picture), cv2.COLOR_GRAY2RGB)
                item[f"clean_{place}_{modality}"] = _tensor(picture)
                spoiled = self._spoil(picture, place, modality, loss, frozen, spoiling)
                if spoiled is not picture:  # noise and smoke end at the frame's border
                    (spoiled,) = framing.seal(spoiled)
                item[f"{place}_{modality}"] = _tensor(spoiled)
        for name, moment, framing in (
            ("box", searched.search, search),
            ("template_box", scene.template, template),
        ):
            box = framing.place(clip_to(moment.box, framing.bounds))
            item[name] = torch.from_numpy(box.astype(np.float32))
        usable = (present - {loss.dropped}) or present
        for modality in MODALITIES:
            failed = modality == loss.modality
            item[f"usable_{modality}"] = torch.tensor(modality in usable)
            item[f"failed_{modality}"] = torch.tensor(failed)
            item[f"shows_{modality}"] = torch.tensor(modality in shows)
        item["positive"] = torch.tensor(other is None)
        item["labelled"] = torch.tensor(searched.labelled)
        item["source"] = torch.tensor(scene.background[0])
        return item

    # --- Geometry ---

    def _other(self, scene: Scene, rng: np.random.Generator) -> Scene | None:
        """A scene that cannot contain the target of another scene; None if none was found."""
        for _ in range(10):
            other = self.scenes.draw(rng)
            if other.lacks(scene.target):
                self.scenes.surround(other, rng, avoid=scene.target)
                return other
        return None

    def _edges(self, rng: np.random.Generator) -> tuple[bool, bool]:
        """Whether a frame edge cuts the target in the template and in the search crop."""
        if rng.random() >= self.recipe.edge:
            return False, False
        which = rng.random()
        return which < 0.4, which >= 0.2

    def _squeeze(self, box: np.ndarray, rng: np.random.Generator) -> float:
        """Horizontal scale of both crops that makes a target as narrow as a person, or 1."""
        aspect = math.exp(rng.uniform(*np.log(PERSON_ASPECTS)))
        narrow = rng.random() < self.recipe.narrow
        return min(1.0, aspect * float(box[3] / box[2])) if narrow else 1.0

    def _frame(
        self,
        moment: Moment,
        is_template: bool,
        tight: bool,
        edge: bool,
        mirrored: bool,
        squeeze: float,
        rng: np.random.Generator,
    ) -> Framing:
        """Draw the crop around the target of a moment, scaled horizontally by ``squeeze``."""
        recipe = self.recipe
        width, height = moment.picture.size
        bounds = (0, 0, width, height)
        if tight or edge:
            hidden = recipe.hidden if edge else -0.05
            bounds = virtual_frame(moment.box, (width, height), rng, tight=tight, hidden=hidden)
        x, y, w, h = clip_to(moment.box, bounds)
        if min(w, h) < 2:  # pasted beyond the frame's edge
            bounds = (0, 0, width, height)
            x, y, w, h = moment.box
        size = self.exemplar_size if is_template else self.search_size
        side = context_side(w * squeeze, h) * size / self.exemplar_size
        stretch = 1 + rng.uniform(-recipe.stretch, recipe.stretch, 2)
        if is_template:
            off = rng.uniform(-1, 1, 2) * recipe.template_shift
        else:
            stretch = stretch * np.exp(np.clip(rng.normal(0, recipe.scale), -0.5, 0.5))
            if rng.random() < recipe.far:
                off = rng.uniform(-1, 1, 2) * recipe.far_shift
            else:
                off = rng.normal(0, 1, 2) * recipe.search_shift
            off = np.clip(off, -0.42 * size, 0.42 * size)
        across, down = side * stretch / (squeeze, 1)
        view = CropWindow(
            x + w / 2 - off[0] * across / size, y + h / 2 - off[1] * down / size, across, down, size
        )
        return Framing(view, bounds, mirrored)

    def _parallax(self, scene: Scene, loss: _Loss, rng: np.random.Generator) -> Shifts:
        """Shifts of RGB and infrared: half of the parallax each, in opposite directions."""
        distance, angle = rng.uniform(2, 7), rng.normal(0, 0.25) + rng.choice([0, np.pi])
        if rng.random() >= self.recipe.parallax or loss.dropped:
            return (0.0, 0.0), (0.0, 0.0)
        distance = min(distance, 0.25 * float(min(*scene.template.box[2:], *scene.search.box[2:])))
        x, y = distance / 2 * np.cos(angle), distance / 2 * np.sin(angle)
        return (float(x), float(y)), (float(-x), float(-y))

    # --- Images ---

    def _render(
        self, moment: Moment, scene: Scene, framing: Framing, shifts: Shifts, cold: float | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Both clean crops of a moment."""
        size, picture = framing.size, moment.picture
        masks: list[np.ndarray] | list[None] = [None, None]
        if moment.mask is not None and (picture.ir is None or moment.layers or cold is not None):
            whole = _whole(moment.mask, picture.size)
            masks = [framing.cut(whole, shift) for shift in dict.fromkeys(shifts)]
        mask, heat_mask = masks[0], masks[-1]
        if picture.rgb is None:
            rgb = np.zeros((size, size, 3), np.uint8)
        else:
            rgb = framing.cut(picture.rgb, shifts[0])
        level = None
        if picture.ir is not None:
            ir = framing.cut(picture.ir, shifts[1])
            if cold is not None and heat_mask is not None:
                _cool(ir, heat_mask, cold)
        elif moment.makes_ir and picture.rgb is not None:
            moved = rgb if shifts[0] == shifts[1] else framing.cut(picture.rgb, shifts[1])
            level = float(scene.look.curve.mean())
            if heat_mask is None or moment.mask is None:
                ir = scene.look.background(moved, framing.scale)
            else:
                own = moment.mask
                box = np.array([own.x, own.y, own.mask.shape[1], own.mask.shape[0]], float)
                placed = framing.place(box + np.array([*shifts[1], 0, 0]))
                ir = pseudo_thermal(moved, heat_mask, placed, scene.look, framing.scale)
        else:
            ir = np.zeros((size, size), np.uint8)
        if moment.layers:
            paste_layers(rgb, ir, moment.layers, framing, mask, shifts, level)
            rgb, ir = framing.seal(rgb, ir)
        return rgb, ir

    # --- Failures ---

    def _loss(self, shows: frozenset[str] | set[str], rng: np.random.Generator) -> _Loss:
        """Draw which modality fails, but never the only one that shows the target."""
        recipe = self.recipe
        what, which = rng.random(), str(rng.choice(MODALITIES))
        drops, frozen = rng.random() < recipe.drop, rng.random() < 0.15
        if len(shows) == 1:  # only the other one may fail
            (only,) = shows
            which = MODALITIES[1 - MODALITIES.index(only)]
        failing, blind = None, False
        if what < recipe.blind:
            failing, blind = which, True
        elif what < recipe.blind + recipe.fail_rgb:
            failing = "rgb"
        elif what < recipe.blind + recipe.fail_rgb + recipe.fail_ir:
            failing = "ir"
        if failing is not None and shows == {failing}:
            failing, blind = None, False
        dropped = (failing or which) if drops else None
        coarse = float(rng.uniform(1.5, 4)) if rng.random() < recipe.coarse else 1.0
        if failing is None:
            return _Loss(dropped=dropped, coarseness=coarse)
        failure = "frozen" if frozen and not blind else draw_failure(failing == "rgb", rng)
        return _Loss(failing, failure, blind, dropped, coarse)

    def _frozen(
        self,
        scene: Scene,
        searched: Scene,
        framing: Framing,
        shifts: Shifts,
        cold: float | None,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Crops of an earlier moment, as from a camera that stopped, with the target elsewhere."""
        before = searched.template
        centre = before.box[:2] + before.box[2:] / 2
        now = searched.search.box[:2] + searched.search.box[2:] / 2
        view = framing.view
        if np.abs(centre - now).max() < 0.1 * view.width:
            away = rng.uniform(0.15, 0.4, 2) * rng.choice([-1, 1], 2) * (view.width, view.height)
            view = CropWindow(
                view.x + away[0], view.y + away[1], view.width, view.height, view.size
            )
        moved = Framing(view, framing.bounds, framing.mirrored)
        return self._render(before, searched, moved, shifts, cold)

    def _spoil(
        self,
        picture: np.ndarray,
        place: str,
        modality: str,
        loss: _Loss,
        frozen: tuple[np.ndarray, np.ndarray] | None,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """The student's version of a clean crop."""
        recipe = self.recipe
        share = recipe.disturb_template if place == "template" else recipe.disturb_search
        if modality == loss.modality and (place == "search" or loss.blind):
            if frozen is not None:
                picture = frozen[MODALITIES.index(modality)]
            else:
                return fail(picture, loss.failure, rng)
        if loss.coarseness > 1:
            picture = pixelate(picture, loss.coarseness)
        if rng.random() >= share:
            return picture
        # Without weather, so that the remaining modality is not lost as well.
        return disturb(picture, rng, weather=loss.modality is None and loss.dropped is None)


def _has(scene: Scene, modality: str) -> bool:
    """Whether a modality is present at both moments or made from the visible image."""
    return all(
        getattr(moment.picture, modality) is not None or (modality == "ir" and moment.makes_ir)
        for moment in (scene.template, scene.search)
    )


def _whole(local: LocalMask, size: tuple[int, int]) -> np.ndarray:
    """A silhouette as a mask of the whole frame."""
    width, height = size
    frame = np.zeros((height, width), np.uint8)
    rows, columns = local.mask.shape
    frame[local.y : local.y + rows, local.x : local.x + columns] = local.mask
    return frame


def _cool(ir: np.ndarray, mask: np.ndarray, share: float) -> None:
    """Multiply the contrast of a target against its surroundings by ``share``, in place."""
    around = cv2.dilate(mask, np.ones((9, 9), np.uint8))
    ring = cv2.subtract(around, mask)
    level = cv2.mean(ir, ring)[0]
    cooled = cv2.addWeighted(ir, share, ir, 0, level * (1 - share))
    weight = cv2.GaussianBlur(mask, (3, 3), 0).astype(np.float32) / 255
    ir[:] = cv2.blendLinear(cooled, ir, weight, 1 - weight)


def _tensor(picture: np.ndarray) -> Tensor:
    """``HxW`` or ``HxWx3`` to ``(1 or 3, H, W)``."""
    if picture.ndim == 2:
        return torch.from_numpy(np.array(picture[None]))
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
