"""Distillation: any loadable tracker teaches any trainable one.

    tracker distill fit --config experiments/tracker/distill.yaml \\
      --model.init_args.teacher nanotrackv3.pth --data.masked_video DAVIS --data.stills ROADSCENE

The teacher sees clean crops, the student the same crops as cameras and weather leave them, with a
modality failing or missing here and there. The student learns the teacher's features, scores and
boxes, and the labels' where there are some.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.base.errors import UserError
from fusion.base.lightning import log_terms, require_within
from tracker.model.reading import Reading
from tracker.model.weights import load_tracker
from tracker.training.dense_losses import resample
from tracker.training.terms import best_ious, keep_still, response_terms, warm_cosine

__all__ = ["Distillation", "FeatureTaps"]


# --- Features -----------------------------------------------------------------------------------


class FeatureTaps:
    """Outputs of some of a network's modules, kept as they are computed.

    Args:
        network: whose modules are listened to.
        names: of these modules.
        replace: called with a module's number, the number of its call and its output; what it
            returns, if it is not None, goes on through the network in the output's place.

    Attributes:
        calls: by module, its outputs since the last `clear`.

    Raises:
        UserError: the network has no module of a name.
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
            modules[name].register_forward_hook(self._listener(number))
            for number, name in enumerate(names)
        ]

    def _listener(self, number: int) -> Callable:
        def listen(module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
            calls = self.calls[number]
            calls.append(output)
            return self._replace(number, len(calls) - 1, output) if self._replace else None

        return listen

    def clear(self) -> None:
        """Forget what was kept."""
        for calls in self.calls:
            calls.clear()

    def remove(self) -> None:
        """Listen no more."""
        for handle in self._handles:
            handle.remove()


def feature_error(student: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error of features, every channel in units of the teacher's variance.

    Args:
        student, teacher: ``(B, C, H, W)``; the teacher's are brought to the student's height and
            width.
        weight: ``(B,)``, of the items.
    """
    teacher = teacher.detach()
    if teacher.shape[2:] != student.shape[2:]:
        size = student.shape[2:]
        teacher = F.interpolate(teacher, size, mode="bilinear", align_corners=False)
    variance = teacher.var((0, 2, 3), keepdim=True)
    # A channel that hardly varies would count more than any other.
    error = (student - teacher).square() / (variance + 0.05 * variance.mean() + 1e-12)
    return (error.mean((1, 2, 3)) * weight).sum() / weight.sum().clamp(min=1)


# --- The procedure ------------------------------------------------------------------------------


class Distillation(L.LightningModule):
    """A student learns from a teacher and from labels.

    The loss is, for features at several depths, scores s and boxes b of the response's cells,

        w_feature mean over depths of |f_student - f_teacher|^2 / var f_teacher
      + w_score KL(s_teacher, s_student) + w_box (1 - GIoU(b_student, b_teacher)) where s_teacher
      + w_cls cross entropy(s_student, label) + w_loc (1 - GIoU(b_student, label)) on the target

    The teacher's response counts where it agrees with the label (IoU above .4 of its best box) and
    where there is no label. Features of a modality that fails or is missing for the student have no
    term. A teacher of other crop sizes sees the same crops, scaled to its exemplar's size; its
    response is read at the student's cells.

    While the student's first layers are wrong, its last ones learn from nonsense. With ``forcing``
    an item's output of a compared module is replaced by the teacher's, at a probability that falls
    from 1 to 0 along a cosine until that share of the run, which may be more than all of it.
    Student and teacher must be alike at these modules.

    Args:
        network: the student; in a configuration by ``class_path`` and ``init_args``.
        start: weights of this package that the student starts from, or several, each by the
            beginning of the names of parameters that are taken from it; from scratch where None.
        teacher: any file that `load_tracker` reads; None trains on labels alone.
        teacher_preset: what a published checkpoint is put into, see `load_tracker`.
        features: modules whose outputs are compared, by the name that both networks have for them,
            or as "student's=teacher's".
        forcing: see above; 0 for none.
        frozen: beginnings of the names of parameters that do not train; their batch
            normalisation's statistics stay as well.
        freeze_statistics: keep the statistics of all batch normalisation.
        w_feature, w_score, w_box, w_cls, w_loc: weights of the terms; the head is not run where
            those of score, box, cls and loc are 0.
        learning_rate: of AdamW, after warm-up.
        backbone_rate: factor of the learning rate for the backbone.
        join_rate: factor of the learning rate for gates and fusion.
        weight_decay: of AdamW.
        warmup: share of all steps in which the rate grows linearly.
        final_rate: at the end of the cosine, as a share of the learning rate.

    Raises:
        UserError: an argument is none of the known ones, or weights do not fit.
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
        _initialise(network, start)
        names = [(name.split("=") * 2)[:2] for name in features or []]
        self.features = dict(names)
        teaches = w_feature * len(self.features) + w_score + w_box
        if teacher is None and teaches:
            raise UserError(
                "model.teacher: none is named; name its weights, or give w_score and w_box 0 and "
                "leave features out"
            )
        if not (teaches or w_cls or w_loc):
            raise UserError("model: every weight of a loss is 0; give one")
        # Not a part of the module: checkpoints hold what trains.
        self._teacher: list[Any] = []
        if teacher is not None and teaches:
            reference: Any = load_tracker(teacher, preset=teacher_preset)
            missing = set(student.modalities) - set(reference.modalities)
            if missing:
                raise UserError(
                    f"model.teacher {teacher}: does not read {', '.join(sorted(missing))}; name a "
                    "teacher or a teacher_preset that reads what the student reads"
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
        """For every pair of compared modules, what brings the student's channels to the teacher's:
        a 1x1 convolution where they differ, which is not part of the network."""
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
        """Training mode for what trains; statistics of what does not stay as they are."""
        super().train(mode)
        h: Any = self.hparams
        keep_still(self.network, h.freeze_statistics)
        return self

    # --- One step ---

    def _forced(self, number: int, call: int, output: Tensor) -> Tensor | None:
        """The output of a compared module, items replaced by the teacher's; see ``forcing``."""
        share = self._forcing_share()
        if not self.training or not share:
            return None
        teacher = self._teacher_taps.calls[number][call]
        if teacher.shape != output.shape:
            raise UserError(
                "model.forcing: student and teacher differ in size at "
                f"{list(self.features)[number]}; leave it out of features, or forcing at 0"
            )
        taken = torch.rand(len(output), 1, 1, 1, device=output.device) < share
        return torch.where(taken, teacher, output)

    def _forcing_share(self) -> float:
        h: Any = self.hparams
        if not h.forcing or self._trainer is None:
            return 0.0
        done = self.trainer.global_step / max(1, self.trainer.estimated_stepping_batches)
        return (1 + math.cos(math.pi * min(1.0, done / h.forcing))) / 2

    def respond(self, batch: Mapping[str, Tensor], with_head: bool = True) -> Reading | None:
        """What the student reads in a batch's search crops."""
        available = {m: batch[f"usable_{m}"] for m in self.network.modalities}
        return _read(self.network, _crops(self.network, batch, ""), available, with_head)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Reading | None]:
        """Weighted loss terms by name, and what the student reads."""
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
        """What the teacher reads in the clean crops, at the student's cells; keeps its features."""
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
                # The backbone is called on templates and search regions in turn, with a batch of
                # all modalities; what reads them joined learns what the teacher makes of both.
                weight = usable if len(mine) > 1 and call % 2 == 0 else sound.float()
                if len(weight) != len(student):
                    weight = weight.new_ones(len(student))
                errors.append(feature_error(adapt(student), teacher, weight))
        return torch.stack(errors).mean()

    def training_step(self, batch: Mapping[str, Tensor], batch_index: int) -> Tensor:
        terms, _ = self.terms(batch)
        return log_terms(self, "train", terms, len(batch["box"]))

    def validation_step(self, batch: Mapping[str, Tensor], batch_index: int) -> Tensor:
        """Besides the loss ``val/iou``: of the best cell's box, over labelled positive pairs."""
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
        schedule = warm_cosine(optimizer, total, h.warmup, h.final_rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _initialise(network: nn.Module, start: str | dict[str, str] | None) -> None:
    """Load weights to start from, whole or by the beginnings of parameters' names."""
    for beginning, path in ({"": start} if isinstance(start, str) else start or {}).items():
        if not Path(path).exists():
            raise UserError(f"model.start {path}: no such file; train the stage that leaves it")
        loaded = load_tracker(path).state_dict()
        own = network.state_dict()
        taken = {n: tensor for n, tensor in loaded.items() if n.startswith(beginning)}
        differing = [n for n in taken if n not in own or own[n].shape != taken[n].shape]
        lacking = [n for n in own if n.startswith(beginning) and n not in taken]
        differing += [n for n in lacking if ".joins." not in n]
        if differing or not taken:
            what = ", ".join(differing[:1]) or f"no parameter's name begins with {beginning}"
            raise UserError(
                f"model.start {path}: of another network ({what}); give weights of the same one"
            )
        network.load_state_dict(taken, strict=False)


def _crops(network: Any, batch: Mapping[str, Tensor], prefix: str) -> dict[str, dict[str, Tensor]]:
    return {
        crop: {m: batch[f"{prefix}{crop}_{m}"] for m in network.modalities}
        for crop in ("template", "search")
    }


def _scaled(crop: Tensor, factor: float, network: Any) -> Tensor:
    """A crop at another network's scale, cut to the nearest size that it takes."""
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
