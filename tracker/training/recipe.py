"""The composition of training pairs from real video, as numbers in a configuration."""

import dataclasses
from dataclasses import dataclass

from fusion.base.errors import UserError


@dataclass(frozen=True)
class Recipe:
    """How pairs vary. Fields are probabilities unless the text says otherwise.

    Content:

    Attributes:
        pasted: the target is a cut-out, pasted over other footage.
        unlabelled: template and search show a random box of any image; only a teacher's response
            is valid, and ``labelled`` is False.
        negatives: the search crop shows another target.
        flip: both crops are mirrored.

    Geometry:

    Attributes:
        template_shift: maximum distance between the target's centre and the template's, in pixels
            of the crop, in x and in y.
        search_shift: standard deviation of this distance in search crops, in pixels of the crop.
        far: in the search crop, this distance is uniform up to ``far_shift`` instead.
        far_shift: maximum of this distance, in pixels of the crop.
        scale: standard deviation of the logarithm of the search crop's scale.
        stretch: maximum relative change of a crop window's width and of its height.
        narrow: a target wider than a standing person is narrowed to a width of .25 to .6 of its
            height, together with all of both crops. Most targets of RGBT video are people on foot,
            those of masked video are mostly as wide as high.
        edge: a frame edge truncates the target in the search crop, the template or both.
        tight: the target fills the frame.
        hidden: maximum share of the target's width or height that an edge cuts off.
        parallax: the target is 2 to 7 pixels of the frame apart in the two modalities, but at most
            a quarter of its smaller side; the box is midway between both.

    Neighbours:

    Attributes:
        lookalikes: there are look-alikes of the same kind in the search crop.
        most_lookalikes: their maximum number.
        crossing: one of them overlaps the target, behind or in front of it.
        lookalikes_in_template: they are in the template too.
        occluded: another object hides a fifth to a half of the target in the search crop.

    Degradation of the student's crops:

    Attributes:
        fail_rgb, fail_ir: the modality fails in the search crop (dark, noise, flat, glare, smoke,
            empty or frozen); never both.
        blind: one modality fails in template and search crop.
        drop: one modality is missing in both crops; ``usable`` is False.
        cold: a target with real infrared gets almost the level of its surroundings, for the teacher
            as well.
        grey: the visible crops have no colour, for the teacher as well.
        coarse: all crops have a resolution 1.5 to 4 times lower, like those of small targets.
        disturb_template, disturb_search: common degradation of a crop, see `disturb`.
    """

    pasted: float = 0.25
    unlabelled: float = 0.1
    negatives: float = 0.1
    flip: float = 0.5

    template_shift: float = 4
    search_shift: float = 22
    far: float = 0.35
    far_shift: float = 84
    scale: float = 0.13
    stretch: float = 0.06
    narrow: float = 0.3
    edge: float = 0.15
    tight: float = 0.07
    hidden: float = 0.6
    parallax: float = 0.3

    lookalikes: float = 0.45
    most_lookalikes: int = 5
    crossing: float = 0.6
    lookalikes_in_template: float = 0.4
    occluded: float = 0.12

    fail_rgb: float = 0.3
    fail_ir: float = 0.3
    blind: float = 0.1
    drop: float = 0.1
    cold: float = 0.12
    grey: float = 0.08
    coarse: float = 0.2
    disturb_template: float = 0.5
    disturb_search: float = 0.75

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            if name.endswith("_shift"):
                if not 0 <= value <= 1000:
                    raise UserError(f"recipe.{name}: must be from 0 to 1000 pixels, got {value}")
            elif name == "most_lookalikes":
                if not 0 <= value <= 20:
                    raise UserError(f"recipe.{name}: must be from 0 to 20, got {value}")
            elif not 0 <= value <= 1:
                raise UserError(f"recipe.{name}: must be from 0 to 1, got {value}")
        if self.fail_rgb + self.fail_ir + self.blind > 1:
            raise UserError("recipe: fail_rgb, fail_ir and blind exclude each other; reduce one")
        if self.pasted + self.unlabelled > 1:
            raise UserError("recipe: pasted and unlabelled exclude each other; reduce one")
