"""Distillation: any tracker that can be loaded teaches any network that can be trained.

    tracker distill fit --config experiments/tracker/distill.yaml \\
      --model.init_args.teacher nanotrackv3.pth --data.masked_video DAVIS --data.stills ROADSCENE

The teacher receives clean crops. The student receives the same crops, degraded as by cameras and
weather; in some of them, a modality fails or is missing. The student learns the teacher's features,
scores and boxes, and the ground truth where it exists.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.base.errors import UserError
from fusion.base.lightning import (
    cosine_decay,
    keep_frozen_statistics,
    log_terms,
    require_within,
)
from tracker.model.reading import Reading
from tracker.model.weights import load_tracker
from tracker.training.dense_losses import resample
from tracker.training.terms import best_ious, response_terms, warm_cosine

__all__ = ["Distillation", "FeatureTaps"]


# --- Features -----------------------------------------------------------------------------------


class FeatureTaps:
    """Records the outputs of some modules of a network, by forward hooks.

    Args:
        network: the network.
        names: names of the modules.
        replace: called with the index of the module in ``names``, the number of the call and the
            output. If it returns a tensor, this replaces the output in the network.

    Attributes:
        calls: for each module, its outputs since the last `clear`.

    Raises:
        UserError: the network has no module of this name.
    """

    def __init__(
        self,
        network: nn.Module,
        names: Sequence[str],
        replace: Callable[[int, int, Tensor], Tensor | None] | None = None,
    ):
        modules = dict(network.named_modules())
        for name in names:
            if name not in modules:
                near = ", ".join(n for n in modules if n.startswith(name.split(".")[0]))[:200]
                raise UserError(f"model.features: no module {name} in the network; some are {near}")
        self.calls: list[list[Tensor]] = [[] for _ in names]
        self._replace = replace
        self._handles = [
            modules[name].register_forward_hook(self._hook(number))
            for number, name in enumerate(names)
        ]

    def _hook(self, number: int) -> Callable:
        def record(module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
            calls = self.calls[number]
            calls.append(output)
            return self._replace(number, len(calls) - 1, output) if self._replace else None

        return record

    def clear(self) -> None:
        """Delete the recorded outputs."""
        for calls in self.calls:
            calls.clear()

    def remove(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()


def feature_error(student: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error of features, each channel divided by the teacher's variance.

    Args:
        student, teacher: ``(B, C, H, W)``; the teacher's are resampled to the student's size.
        weight: ``(B,)`` weights of the items.
    """
    teacher = teacher.detach()
    if teacher.shape[2:] != student.shape[2:]:
        size = student.shape[2:]
        teacher = F.interpolate(teacher, size, mode="bilinear", align_corners=False)
    variance = teacher.var((0, 2, 3), keepdim=True)
    # The mean variance bounds the weight of channels that are almost constant.
    error = (student - teacher).square() / (variance + 0.05 * variance.mean() + 1e-12)
    return (error.mean((1, 2, 3)) * weight).sum() / weight.sum().clamp(min=1)


# --- The procedure ------------------------------------------------------------------------------


class Distillation(L.LightningModule):
    """Trains a student on a teacher's outputs and on labels.

    With features f at several depths, and scores s and boxes b of the response's cells, the loss is

        w_feature mean over depths of |f_student - f_teacher|^2 / var f_teacher
      + w_score KL(s_teacher, s_student) + w_box (1 - GIoU(b_student, b_teacher)) where s_teacher
      + w_cls cross entropy(s_student, label) + w_loc (1 - GIoU(b_student, label)) on the target

    The teacher's response is used for items without a label, and for items where it agrees with
    the label (its best box has an IoU above 0.4). A modality that fails or is missing for the
    student has no feature term. If the teacher has other crop sizes, the crops are scaled to the
    size of its exemplar, and its response is resampled at the student's cells.

    Early in training, the student's last layers would learn from useless outputs of its first
    layers. ``forcing`` therefore replaces the output of a compared module by the teacher's for a
    random share of the items. This share falls from 1 to 0 along a cosine; ``forcing`` is the
    fraction of the run at which it reaches 0, and may be above 1. The outputs of student and
    teacher must have equal shapes there.

    Args:
        network: the student; in a configuration by ``class_path`` and ``init_args``.
        start: initial weights, a file of this package; or several files, by the prefix of the
            names of the parameters that are loaded from each. None trains from scratch.
        teacher: any file that `load_tracker` reads; None trains on labels only.
        teacher_preset: the network of a published checkpoint, see `load_tracker`.
        features: modules whose outputs are compared: a name that both networks share, or
            "student's=teacher's".
        forcing: see above; 0 to disable it.
        frozen: prefixes of the names of parameters that are not trained; the statistics of their
            batch normalisation remain unchanged as well.
        freeze_statistics: keep the statistics of all batch normalisation layers.
        w_feature, w_score, w_box, w_cls, w_loc: weights of the terms. If all but ``w_feature`` are
            0, the head is not run.
        learning_rate: learning rate of AdamW after the warm-up.
        backbone_rate: factor on the learning rate of the backbone.
        join_rate: factor on the learning rate of gates and fusion.
        weight_decay: weight decay of AdamW.
        warmup: share of all steps in which the rate grows linearly.
        final_rate: rate at the end of the cosine, as a fraction of the learning rate.

    Raises:
        UserError: an argument is invalid, or weights do not match.
    """

    def __init__(
        self,
        network: nn.Module,
        start: str | dict[str, str] | None = None,
        teacher: str | None = None,
        teacher_preset: str = "nanotrack",
        features: list[str] | None = None,
        forcing: float = 0.0,
        frozen: list[str] | None = None,
        freeze_statistics: bool = False,
        w_feature: float = 1.0,
        w_score: float = 1.0,
        w_box: float = 1.0,
        w_cls: float = 1.0,
        w_loc: float = 1.0,
        learning_rate: float = 2e-3,
        backbone_rate: float = 1.0,
        join_rate: float = 1.0,
        weight_decay: float = 1e-4,
        warmup: float = 0.03,
        final_rate: float = 0.01,
    ):
        super().__init__()
        self.save_hyperparameters(ignore=["network"])
        require_within(1e-30, 1e30, learning_rate=learning_rate)
        require_within(0, 1e30, backbone_rate=backbone_rate, join_rate=join_rate)
        require_within(0, 1e30, weight_decay=weight_decay, w_feature=w_feature, w_score=w_score)
        require_within(0, 1e30, w_box=w_box, w_cls=w_cls, w_loc=w_loc)
        require_within(0, 1, warmup=warmup, final_rate=final_rate)
        require_within(0, 1e30, forcing=forcing)
        student: Any = network
        self.network = student
        _load_initial_weights(network, start)
        names = [(name.split("=") * 2)[:2] for name in features or []]
        self.features = dict(names)
        teaches = w_feature * len(self.features) + w_score + w_box
        if teacher is None and teaches:
            raise UserError(
                "model.teacher: not given; give its weights, or set w_score and w_box to 0 and "
                "omit features"
            )
        if not (teaches or w_cls or w_loc):
            raise UserError("model: the weights of all losses are 0; set one above 0")
        # In a list, so that it is not registered as a submodule and not saved in checkpoints.
        self._teacher: list[Any] = []
        if teacher is not None and teaches:
            reference: Any = load_tracker(teacher, preset=teacher_preset)
            missing = set(student.modalities) - set(reference.modalities)
            if missing:
                raise UserError(
                    f"model.teacher {teacher}: does not read {', '.join(sorted(missing))}; give a "
                    "teacher or a teacher_preset with the student's modalities"
                )
            self._teacher = [reference.for_inference()]
            self._teacher_taps = FeatureTaps(self._teacher[0], list(self.features.values()))
        self._taps = FeatureTaps(self.network, list(self.features), self._forced)
        self._frozen = [
            name
            for name, _ in self.network.named_parameters()
            if name.startswith(tuple(frozen or ()))
        ]
        for name in frozen or ():
            if not any(known.startswith(name) for known in self._frozen):
                raise UserError(f"model.frozen: no parameter's name begins with {name}")
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name not in self._frozen)
        self.network.to(memory_format=torch.channels_last)
        self.adapters = nn.ModuleList(self._adapters())
        self.train()

    def _adapters(self) -> list[nn.Module]:
        """One adapter per pair of compared modules: a 1x1 convolution from the student's channels
        to the teacher's, or the identity if they are equal. They are not part of the network."""
        if not self.features:
            return []
        network, teacher = self.network, self._teacher[0]
        for net in (network, teacher):
            sizes = {"template": net.exemplar_size, "search": net.search_size}
            blank = {
                crop: {m: torch.zeros(1, 3, size, size) for m in network.modalities}
                for crop, size in sizes.items()
            }
            available = {m: torch.ones(1, dtype=torch.bool) for m in network.modalities}
            was_training = net.training
            net.eval()
            with torch.no_grad():
                _read(net, blank, available, True)
            net.train(was_training)
        pairs = [
            (mine[0].shape[1], theirs[0].shape[1])
            for mine, theirs in zip(self._taps.calls, self._teacher_taps.calls, strict=True)
        ]
        self._taps.clear()
        self._teacher_taps.clear()
        return [nn.Identity() if a == b else nn.Conv2d(a, b, 1) for a, b in pairs]

    def train(self, mode: bool = True) -> "Distillation":
        """Set training mode for trained parts; batch normalisation of frozen parts is unchanged."""
        super().train(mode)
        h: Any = self.hparams
        keep_frozen_statistics(self.network, h.freeze_statistics)
        return self

    # --- One step ---

    def _forced(self, number: int, call: int, output: Tensor) -> Tensor | None:
        """The output of a compared module with some items replaced by the teacher's, see
        ``forcing``; None to keep it."""
        share = self._forcing_share()
        if not self.training or not share:
            return None
        teacher = self._teacher_taps.calls[number][call]
        if teacher.shape != output.shape:
            raise UserError(
                "model.forcing: the outputs of student and teacher differ in shape at "
                f"{list(self.features)[number]}; remove it from features, or set forcing to 0"
            )
        taken = torch.rand(len(output), 1, 1, 1, device=output.device) < share
        return torch.where(taken, teacher, output)

    def _forcing_share(self) -> float:
        h: Any = self.hparams
        if not h.forcing or self._trainer is None:
            return 0.0
        done = self.trainer.global_step / max(1, self.trainer.estimated_stepping_batches)
        return cosine_decay(done / h.forcing)

    def respond(self, batch: Mapping[str, Tensor], with_head: bool = True) -> Reading | None:
        """The student's reading of a batch's search crops; None without the head."""
        available = {m: batch[f"usable_{m}"] for m in self.network.modalities}
        return _read(self.network, _crops(self.network, batch, ""), available, with_head)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Reading | None]:
        """Weighted loss terms by name, and the student's reading."""
        h: Any = self.hparams
        with_head = bool(h.w_score + h.w_box + h.w_cls + h.w_loc)
        self._taps.clear()
        taught = self._teach(batch, bool(h.w_score + h.w_box)) if self._teacher else None
        reading = self.respond(batch, with_head)
        terms = {}
        if self.features and h.w_feature:
            terms["feature"] = h.w_feature * self._feature_term(batch)
        if reading is None:
            return terms, None
        weights = {name: h[f"w_{name}"] for name in ("score", "box", "cls", "loc")}
        terms |= response_terms(self.network, reading, taught, batch, weights)
        return terms, reading

    @torch.no_grad()
    def _teach(self, batch: Mapping[str, Tensor], with_head: bool) -> Reading | None:
        """The teacher's reading of the clean crops at the student's cells; records its features."""
        (teacher,) = self._teacher
        if next(teacher.parameters()).device != self.device:
            teacher.to(self.device)
        student = self.network
        self._teacher_taps.clear()
        crops = _crops(student, batch, "clean_")
        factor = teacher.exemplar_size / student.exemplar_size
        crops = {
            "template": {m: _scaled(x, factor, teacher) for m, x in crops["template"].items()},
            "search": {m: _scaled(x, factor, teacher) for m, x in crops["search"].items()},
        }
        shows = {m: batch[f"shows_{m}"] for m in student.modalities}
        reading = _read(teacher, crops, shows, with_head)
        if reading is None:
            return None
        reading = Reading(reading.logits, reading.boxes / factor)
        size = student.response_size
        return resample(reading, size, student.stride, teacher.stride / factor)

    def _feature_term(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean of `feature_error` over the compared modules and their calls."""
        errors = []
        modalities = self.network.modalities
        usable = torch.cat([batch[f"usable_{m}"] for m in modalities]).float()
        sound = torch.cat([batch[f"usable_{m}"] & ~batch[f"failed_{m}"] for m in modalities])
        for adapt, mine, theirs in zip(
            self.adapters, self._taps.calls, self._teacher_taps.calls, strict=True
        ):
            for call, (student, teacher) in enumerate(zip(mine, theirs, strict=True)):
                # The backbone is called alternately on templates and search regions, with all
                # modalities in one batch. Modules behind the join have one item per pair.
                weight = usable if len(mine) > 1 and call % 2 == 0 else sound.float()
                if len(weight) != len(student):
                    weight = weight.new_ones(len(student))
                errors.append(feature_error(adapt(student), teacher, weight))
        return torch.stack(errors).mean()

    def training_step(self, batch: Mapping[str, Tensor], batch_index: int) -> Tensor:
        terms, _ = self.terms(batch)
        return log_terms(self, "train", terms, len(batch["box"]))

    def validation_step(self, batch: Mapping[str, Tensor], batch_index: int) -> Tensor:
        """Log the loss, and ``val/iou`` of the best cell's box over labelled positive pairs."""
        terms, reading = self.terms(batch)
        if reading is not None:
            ious = best_ious(self.network, reading, batch)
            if len(ious):
                self.log(
                    "val/iou", ious.mean(), prog_bar=True, batch_size=len(ious), sync_dist=True
                )
        return log_terms(self, "val", terms, len(batch["box"]))

    # --- Optimisation ---

    def configure_optimizers(self) -> OptimizerLRScheduler:
        h: Any = self.hparams
        rates = {"body": 1.0, "backbone": h.backbone_rate, "join": h.join_rate}
        groups: dict[str, list[nn.Parameter]] = {name: [] for name in rates}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                parts = name.split(".")
                backbone = {"backbone", "backbones", "stems"} & set(parts)
                join = {"joins", "gates", "fusions"} & set(parts)
                groups["backbone" if backbone else "join" if join else "body"].append(parameter)
        optimizer = torch.optim.AdamW(
            [
                {"params": group, "lr": h.learning_rate * rates[name]}
                for name, group in groups.items()
                if group
            ],
            betas=(0.9, 0.99),
            weight_decay=h.weight_decay,
        )
        total = self.trainer.estimated_stepping_batches
        return warm_cosine(optimizer, total, h.warmup, h.final_rate)


def _load_initial_weights(network: nn.Module, start: str | dict[str, str] | None) -> None:
    """Load initial weights, all or by prefixes of parameter names, see `Distillation`."""
    for beginning, path in ({"": start} if isinstance(start, str) else start or {}).items():
        if not Path(path).exists():
            raise UserError(
                f"model.start {path}: no such file; train the stage that writes it first"
            )
        loaded = load_tracker(path).state_dict()
        own = network.state_dict()
        taken = {n: tensor for n, tensor in loaded.items() if n.startswith(beginning)}
        differing = [n for n in taken if n not in own or own[n].shape != taken[n].shape]
        lacking = [n for n in own if n.startswith(beginning) and n not in taken]
        differing += [n for n in lacking if ".joins." not in n]
        if differing or not taken:
            what = ", ".join(differing[:1]) or f"no parameter's name begins with {beginning}"
            raise UserError(
                f"model.start {path}: belongs to another network ({what}); give weights of this one"
            )
        network.load_state_dict(taken, strict=False)


def _crops(network: Any, batch: Mapping[str, Tensor], prefix: str) -> dict[str, dict[str, Tensor]]:
    return {
        crop: {m: batch[f"{prefix}{crop}_{m}"] for m in network.modalities}
        for crop in ("template", "search")
    }


def _scaled(crop: Tensor, factor: float, network: Any) -> Tensor:
    """A crop at the scale of another network, cut to the nearest size that this accepts."""
    if factor == 1:
        return crop
    unit = 2 * network.stride
    size = round((crop.shape[-1] * factor + 1) / unit) * unit - 1
    side = size / factor
    margin = (crop.shape[-1] - side) / 2
    along = torch.linspace(margin, margin + side, size + 1, device=crop.device)
    along = (along[:-1] + along[1:]) / crop.shape[-1] - 1
    y, x = torch.meshgrid(along, along, indexing="ij")
    grid = torch.stack((x, y), -1).expand(len(crop), -1, -1, -1)
    return F.grid_sample(crop.float(), grid, padding_mode="border", align_corners=False)


def _read(
    network: Any,
    crops: Mapping[str, Mapping[str, Tensor]],
    available: Mapping[str, Tensor],
    with_head: bool,
) -> Reading | None:
    template = network.template(network.prepare(crops["template"]))
    features = network.features(network.prepare(crops["search"]))
    if not with_head:
        return None
    response = network.joint_response(network.kernels(template), features, available)
    return network.candidates(response).best()
