"""What training pairs of real video are made of, in numbers."""

import dataclasses
from dataclasses import dataclass

from fusion.base.errors import UserError

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """How pairs vary; probabilities where nothing else is said.

    What is shown:

    Attributes:
        pasted: the target is a cut-out over other footage.
        unlabelled: template and search are about any box of any picture: a teacher's response is the
            truth, and `labelled` is False.
        negatives: the search crop is about another target.
        flip: both crops are mirrored.

    Where it lies:

    Attributes:
        template_shift: most the target's centre lies off the template's, in pixels of the crop.
        search_shift: deviation of the same in most search crops, ...
        far: ... and the share of those where it is uniform up to ``far_shift``.
        far_shift: in pixels of the crop.
        scale: deviation of the logarithm of the search crop's scale.
        stretch: most a template's side, or a side of the search crop's view, differs, as a share.
        edge: a frame's edge truncates the target, in search, template or both.
        tight: the target fills the frame: the frame is little larger than it.
        hidden: most of its width or height that an edge cuts off.
        parallax: the cameras see the target 2 to 7 pixels of the frame apart, no more than a quarter
            of its smaller side; the box is in the middle between both.

    What is near it:

    Attributes:
        lookalikes: others of its kind are in the search crop, 1 to ``most_lookalikes``.
        most_lookalikes: of them.
        crossing: one of these overlaps the target, behind or before it.
        lookalikes_in_template: some are in the template too.
        occluded: something else hides a fifth to half of it in the search crop.

    How the modalities fail, in what the student sees:

    Attributes:
        fail_rgb, fail_ir: the search crop shows next to nothing (dark, noise, flat, glare, smoke,
            empty, frozen); never both.
        blind: one modality shows next to nothing in template and search.
        drop: one modality is missing in both: `usable` is False.
        cold: a target with its own infrared is brought near the heat of its surroundings, also for
            the teacher.
        grey: the visible has no colour in both crops.
        disturb_template, disturb_search: a crop has what cameras and weather do to most pictures.
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
    edge: float = 0.2
    tight: float = 0.1
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
    disturb_template: float = 0.5
    disturb_search: float = 0.75

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            if name.endswith("_shift"):
                if not 0 <= value <= 1000:
                    raise UserError(f"recipe.{name}: from 0 to 1000 pixels, got {value}")
            elif name == "most_lookalikes":
                if not 0 <= value <= 20:
                    raise UserError(f"recipe.{name}: from 0 to 20, got {value}")
            elif not 0 <= value <= 1:
                raise UserError(f"recipe.{name}: a share is from 0 to 1, got {value}")
        if self.fail_rgb + self.fail_ir + self.blind > 1:
            raise UserError("recipe: fail_rgb, fail_ir and blind exclude each other; lower one")
        if self.pasted + self.unlabelled > 1:
            raise UserError("recipe: pasted and unlabelled exclude each other; lower one")
