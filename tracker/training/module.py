"""Training of trackers: stages, loss terms, data, and the files of a run.

A configuration specifies the network with its arguments, the weights to start from, the parameters
to train, and the losses:

    tracker train fit --config experiments/tracker/compact_dfat_llrr.yaml --data.roots.vt821 VT821

LRRNet's tracker is trained in two stages (TPAMI 2023, Sec. 5): first the branches on RGB and
infrared, then, with those frozen, the fusion of features and its RPN.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from fusion.base.checkpoints import read_tensors
from fusion.base.errors import UserError
from fusion.base.lightning import (
    cosine_decay,
    data_module,
    keep_frozen_statistics,
    log_terms,
    require_within,
    scheduled,
)
from fusion.images.pixels import tile
from fusion.images.reading import write_image
from fusion.training.records import LossRecord
from tracker.data.boxes import box_iou, cxcywh_to_xywh
from tracker.data.drawing import RESULT_COLOR, TRUTH_COLOR, draw_box
from tracker.data.frames import MODALITIES
from tracker.model.anchors import decode
from tracker.model.head import Response
from tracker.model.network import TrackerNetwork
from tracker.model.registry import NETWORKS
from tracker.model.weights import load_imagenet, load_published, load_tracker, save_tracker
from tracker.training.augmentation import Augmentation
from tracker.training.labels import IGNORED, PairGeometry
from tracker.training.losses import (
    by_anchor,
    cross_entropy_loss,
    focal_loss,
    localisation_loss,
)
from tracker.training.pair_data import PairDataModule
from tracker.training.registry import FUSION_LOSSES
from tracker.training.sampling import TargetPairs
from tracker.training.sources import check_source, load_calibrations, load_source

# --- Initial weights ----------------------------------------------------------------------------

# Parts of a network that may be missing in the weights it starts from.
_ADDED = ("fusions.", "heads.fused.", "necks.fused.", "gates.")


def load_initial_weights(network: TrackerNetwork, start: str) -> None:
    """Initialise a network from existing weights.

    Args:
        network: modified in place.
        start: "imagenet" downloads torchvision's ResNet-50. Otherwise a file, whose kind is
            detected: that ResNet-50, a published DFAT or PySOT checkpoint, or weights from
            `save_tracker`, such as the first stage's. Fused branch and gates are unchanged if the
            file does not contain them.

    Raises:
        UserError: the file cannot be read, or belongs to a different network.
    """
    try:
        if start == "imagenet":
            load_imagenet(network)
            return
        if not Path(start).exists():
            raise UserError(
                f"model.start {start}: no such file; train the stage that leaves it first, or name "
                "other weights by --model.init_args.start"
            )
        tensors, metadata = read_tensors(start)
        if "network" in metadata:
            _load_own(network, start)
        elif "layer1.0.conv1.weight" in tensors:
            load_imagenet(network, start)
        else:
            load_published(network, start)
    except ValueError as error:
        raise UserError(f"model.start {start}: {error}") from error


def _load_own(network: TrackerNetwork, path: str) -> None:
    loaded = load_tracker(path).state_dict()
    own = network.state_dict()
    differing = [
        name
        for name in {**own, **loaded}
        if (name in loaded and (name not in own or own[name].shape != loaded[name].shape))
        or (name not in loaded and not name.startswith(_ADDED))
    ]
    if differing:
        raise UserError(
            f"{path}: of another network ({len(differing)} tensors differ, first {differing[0]}); "
            "give weights of the same preset, or of the preset without its fused branch"
        )
    network.load_state_dict(loaded, strict=False)


def expect_background(network: TrackerNetwork, prior: float = 0.01) -> None:
    """Initialise the heads so that every anchor has this probability of being the target.

    Focal loss counts all anchors (Lin et al., Sec. 4.1): with even probabilities at the start, the
    thousands of background anchors would dominate the few of the target.
    """
    for head in network.heads.values():
        head.expect_background(math.log(prior / (1 - prior)))


# --- The procedure ------------------------------------------------------------------------------


class TrackerTraining(L.LightningModule):
    """Trains siamese tracking on template/search pairs, in one stage or several.

    The loss is

        w_branches sum over branches (w_cls cls + w_loc loc)
      + w_decision (w_cls cls + w_loc loc of the joint decision)
      + w_feature (terms of the feature loss)

    Every term is logged with its weight. A branch without trained parameters has no term, and a
    pair has no term for a branch whose modality it lacks. Frozen parts keep the statistics of their
    batch normalisation.

    The feature loss uses features of the search region; those of the template are of the same kind.

    Args:
        network: the network to train; in a configuration by ``class_path`` and ``init_args``.
        start: see `load_initial_weights`; None trains from scratch, see also `expect_background`.
        copy_head: initialise the fused branch's RPN from the RGB branch's.
        trained: prefixes of the names of parameters to train, such as ``fusions``; None trains all.
        cls_loss: "cross_entropy" over selected anchors, or "focal" over all.
        loc_loss: see `localisation_loss`.
        feature_loss: a name in `tracker.training.registry.FUSION_LOSSES`, such as "eq15"
            (`FewLevelsFusionLoss`) or "rfn" (`RFNLoss`); None for none.
        feature_loss_args: arguments of its constructor.
        w_cls, w_loc, w_feature: weights of the losses.
        w_branches, w_decision: weights of the branches' own responses and of the joint one.
        optimizer: "sgd" or "adamw".
        learning_rate: learning rate after the warm-up.
        backbone_rate: factor on the learning rate of backbones and stems.
        momentum: momentum of SGD.
        weight_decay: weight decay of either optimizer.
        schedule: decay from ``learning_rate`` to ``final_rate``, "log"arithmic or "cosine".
        final_rate: learning rate at the end.
        warmup: share of all steps in which the rate grows linearly, starting at a fifth.

    Raises:
        UserError: an argument is invalid, or the weights to start from do not match.
    """

    def __init__(
        self,
        network: TrackerNetwork,
        start: str | None = None,
        copy_head: bool = False,
        trained: list[str] | None = None,
        cls_loss: Literal["cross_entropy", "focal"] = "cross_entropy",
        loc_loss: Literal["l1", "smooth_l1", "giou"] = "l1",
        feature_loss: str | None = None,
        feature_loss_args: dict[str, Any] | None = None,
        w_cls: float = 1.0,
        w_loc: float = 1.2,
        w_branches: float = 1.0,
        w_decision: float = 0.0,
        w_feature: float = 0.1,
        optimizer: Literal["sgd", "adamw"] = "sgd",
        learning_rate: float = 5e-3,
        backbone_rate: float = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        schedule: Literal["log", "cosine"] = "log",
        final_rate: float = 2.5e-3,
        warmup: float = 0.5,
    ):
        super().__init__()
        self.save_hyperparameters(ignore=["network"])
        # Both ends of a logarithmic schedule must be above 0.
        least = 1e-30 if schedule == "log" else 0
        require_within(least, 1e30, final_rate=final_rate)
        require_within(1e-30, 1e30, learning_rate=learning_rate)
        require_within(0, 1e30, weight_decay=weight_decay, backbone_rate=backbone_rate)
        require_within(0, 1, warmup=warmup, momentum=momentum)
        if start is not None:
            load_initial_weights(network, start)
        elif cls_loss == "focal":
            expect_background(network)
        fused = bool(network.fusions)
        if (copy_head or feature_loss) and not fused:
            key = "copy_head" if copy_head else "feature_loss"
            raise UserError(f"model.{key}: the network has no fused branch; leave it out")
        if copy_head:
            source = network.heads[network.part_of["rgb"]]
            network.heads["fused"].load_state_dict(source.state_dict())
        self.network = network.to(memory_format=torch.channels_last)
        _train_only(network, trained)
        self._learning = _learning_branches(network)
        if not (w_branches and self._learning) and not w_decision and not feature_loss:
            raise UserError(
                "model.w_branches: no trained parameter has a loss; give it or model.w_decision a "
                "weight above 0"
            )
        self._feature_loss = None
        if feature_loss:
            self._feature_loss = FUSION_LOSSES.create(feature_loss, **(feature_loss_args or {}))
        self.anchors: Tensor
        self.register_buffer("anchors", network.anchors(), persistent=False)
        self.train()  # the trainer keeps the mode in which it receives a module

    def train(self, mode: bool = True) -> "TrackerTraining":
        """Set training mode for trained parts; batch normalisation of frozen parts is unchanged."""
        super().train(mode)
        keep_frozen_statistics(self.network)
        return self

    # --- One step ---

    def respond(
        self, batch: Mapping[str, Tensor]
    ) -> tuple[dict[str, Response], dict[str, list[Tensor]]]:
        """Responses of all branches to a batch of `TargetPairs`, the joint one as "decision", and
        the features of the search regions."""
        network = self.network
        images = {
            crop: {m: batch[f"{crop}_{m}"] for m in network.modalities}
            for crop in ("template", "search")
        }
        kernels = network.kernels(network.template(network.prepare(images["template"])))
        features = network.features(network.prepare(images["search"]))
        responses = network.respond(kernels, features)
        joint = network.decide(responses, self._available(batch))
        return {**responses, "decision": joint}, features

    def _available(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """For each branch, ``(B,)`` booleans: the pairs that have the modalities it needs."""
        available = {m: batch[f"usable_{m}"] for m in self.network.modalities}
        if "fused" in self.network.branches:
            available["fused"] = torch.stack(list(available.values())).all(0)
        return available

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Response]]:
        """Weighted loss terms by name, and the responses from `respond`."""
        h: Any = self.hparams
        responses, features = self.respond(batch)
        available = self._available(batch)
        labels = batch["labels"]
        if h.cls_loss == "cross_entropy":
            labels = torch.where(batch["chosen"], labels, IGNORED)
        classify = cross_entropy_loss if h.cls_loss == "cross_entropy" else focal_loss
        weights = dict.fromkeys(self._learning, h.w_branches) | {"decision": h.w_decision}
        terms = {}
        for name, weight in weights.items():
            if not weight:
                continue
            seen = labels
            if name != "decision":
                seen = torch.where(available[name][:, None, None, None], labels, IGNORED)
            terms[f"{name}_cls"] = weight * h.w_cls * classify(responses[name], seen)
            misplaced = localisation_loss(
                responses[name], seen, batch["box"], self.anchors, h.loc_loss
            )
            terms[f"{name}_loc"] = weight * h.w_loc * misplaced
        if self._feature_loss is not None:
            # In half precision, a small variance in SSIM may come out negative.
            with torch.autocast(self.device.type, enabled=False):
                levels = ([x.float() for x in features[b]] for b in ("fused", *MODALITIES))
                of_features = self._feature_loss(*levels)
            terms |= {f"feature_{n}": h.w_feature * term for n, term in of_features.items()}
        return terms, responses

    def training_step(self, batch: Mapping[str, Tensor], batch_index: int) -> Tensor:
        terms, _ = self.terms(batch)
        return log_terms(self, "train", terms, len(batch["box"]))

    def validation_step(self, batch: Mapping[str, Tensor], batch_index: int) -> Tensor:
        """Log the loss, and ``val/iou`` of the decision's best box over positive pairs."""
        terms, responses = self.terms(batch)
        positive = batch["positive"]
        if positive.any():
            iou = self.overlaps(batch, responses)[positive.cpu().numpy()].mean()
            self.log(
                "val/iou", float(iou), prog_bar=True, batch_size=int(positive.sum()), sync_dist=True
            )
        return log_terms(self, "val", terms, len(batch["box"]))

    def overlaps(
        self, batch: Mapping[str, Tensor], responses: Mapping[str, Response]
    ) -> np.ndarray:
        """IoU of the decision's best box with the label, ``(B,)``."""
        found = best_boxes(responses["decision"], self.anchors).cpu().numpy()
        return box_iou(cxcywh_to_xywh(found), cxcywh_to_xywh(batch["box"].cpu().numpy()))

    # --- Optimisation ---

    def configure_optimizers(self) -> OptimizerLRScheduler:
        h: Any = self.hparams
        groups: dict[float, list[nn.Parameter]] = {1.0: [], h.backbone_rate: []}
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                backbone = name.startswith(("backbones.", "stems."))
                groups[h.backbone_rate if backbone else 1.0].append(parameter)
        rated = [
            {"params": group, "lr": factor * h.learning_rate} for factor, group in groups.items()
        ]
        if h.optimizer == "sgd":
            optimizer: torch.optim.Optimizer = torch.optim.SGD(
                rated, momentum=h.momentum, weight_decay=h.weight_decay
            )
        else:
            optimizer = torch.optim.AdamW(rated, weight_decay=h.weight_decay)
        total = self.trainer.estimated_stepping_batches
        warm = h.warmup * total
        end = h.final_rate / h.learning_rate

        def factor(step: int) -> float:
            if step < warm:
                return 0.2 + 0.8 * step / warm
            done = min(1.0, (step - warm) / max(1, total - warm))
            return end**done if h.schedule == "log" else cosine_decay(done, end)

        return scheduled(optimizer, factor)


def _train_only(network: TrackerNetwork, beginnings: Sequence[str] | None) -> None:
    """Freeze all parameters except those whose names have one of these prefixes."""
    if beginnings is None:
        return
    names = [name for name, _ in network.named_parameters()]
    for beginning in beginnings:
        if not any(_begins(name, beginning) for name in names):
            parts = ", ".join(sorted({name.split(".")[0] for name in names}))
            raise UserError(
                f"model.trained: no parameter's name begins with {beginning}; parts are {parts}"
            )
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(any(_begins(name, beginning) for beginning in beginnings))


def _begins(name: str, beginning: str) -> bool:
    return name == beginning or name.startswith(beginning.rstrip(".") + ".")


def _learning_branches(network: TrackerNetwork) -> list[str]:
    """Branches whose response depends on a trained parameter."""
    training = [name for name, p in network.named_parameters() if p.requires_grad]
    learning = []
    for branch in network.branches:
        modalities = network.modalities if branch == "fused" else (branch,)
        parts = {network.part_of[m] for m in modalities}
        path = [f"stems.{m}." for m in modalities]
        path += [f"{kind}.{part}." for kind in ("backbones", "necks") for part in parts]
        path += [f"heads.{network.part_of[branch]}."]
        if branch == "fused":
            path += ["fusions.", "necks.fused."]
        if any(name.startswith(tuple(path)) for name in training):
            learning.append(branch)
    return learning


@torch.no_grad()
def best_boxes(response: Response, anchors: Tensor) -> Tensor:
    """The box of the anchor with the highest score, without the online tracker's penalties.

    Args:
        response: responses to B pairs.
        anchors: ``(4, A, H, W)``.

    Returns:
        ``(B, 4)``: centre x, centre y, width, height in the search region.
    """
    cls, loc = by_anchor(response)
    best = (cls[:, 1] - cls[:, 0]).flatten(1).argmax(1)
    boxes = decode(loc.float(), anchors).flatten(2)
    return boxes.gather(2, best[:, None, None].expand(-1, 4, 1)).squeeze(2)


# --- Data ---------------------------------------------------------------------------------------


DFAT_AUGMENTATION = Augmentation()


class TargetData(PairDataModule):
    """Template/search pairs for the network being trained, from several datasets.

    Args:
        roots: folders by source name, see `tracker.training.sources.load_source`:
            ``--data.roots.gtot DIR --data.roots.vt821 DIR``. Sources without a folder are not used.
        weights: sampling weights of the sources; 1 if not given.
        align: calibration files from ``fusion align`` by source name, for sources whose infrared is
            not registered: ``--data.align.lasher calibration.yaml``.
        reach: maximum number of frames between template and search region.
        holdout: share of every source's sequences that is held out for validation, from the end of
            the list.
        negatives, positive_iou, best_anchor: see `TargetPairs`.
        augmentation: see `Augmentation`.
        pairs: number of pairs per pass.
        val_pairs: number of pairs from held-out sequences, the same for every validation.
        batch_size: pairs per step and device.
        workers: number of worker processes.
        seed: seed of the draws.
    """

    def __init__(
        self,
        roots: dict[str, str],
        weights: dict[str, float] | None = None,
        align: dict[str, str] | None = None,
        reach: int = 100,
        holdout: float = 0.0,
        negatives: float = 0.1,
        positive_iou: float = 0.6,
        best_anchor: bool = False,
        augmentation: Augmentation = DFAT_AUGMENTATION,
        pairs: int = 50_000,
        val_pairs: int = 256,
        batch_size: int = 32,
        workers: int = 1,
        seed: int = 0,
    ):
        super().__init__()
        # Checkpoints may contain only plain numbers and names.
        self.save_hyperparameters(ignore=["augmentation"])
        self.val_workers = workers
        self.augmentation = augmentation

    def setup(self, stage: str | None = None) -> None:
        """Load the sources; the trainer's network determines the geometry of crops and anchors."""
        assert self.trainer is not None
        module: Any = self.trainer.lightning_module
        self.prepare_pairs(PairGeometry.of(module.network))

    def prepare_pairs(self, geometry: PairGeometry) -> None:
        """Load the sources and create the pairs for training and validation."""
        h: Any = self.hparams
        if not h.roots:
            raise UserError("data.roots: no folder; give one, such as --data.roots.gtot GTOT")
        self.require_valid()
        for name in ("negatives", "positive_iou"):
            if not 0 <= h[name] <= 1:
                raise UserError(f"data.{name}: a share is from 0 to 1, got {h[name]}")
        weights = h.weights or {}
        for name in weights:
            check_source(name, "data.weights")
        calibrations = load_calibrations(h.align, h.roots)
        sources = [
            load_source(name, root, weights.get(name, 1.0), h.reach, calibrations.get(name))
            for name, root in h.roots.items()
        ]
        draw = partial(
            TargetPairs,
            sources,
            geometry,
            self.augmentation,
            negatives=h.negatives,
            positive_iou=h.positive_iou,
            best_anchor=h.best_anchor,
        )
        self.split(draw)


# --- Record -------------------------------------------------------------------------------------


class KeepTracker(LossRecord):
    """Writes weights, sample images and loss curves to the run's folder.

    Besides ``losses.png``: ``weights.safetensors`` (for ``tracker track``) and
    ``samples/NNNNNN.png``, templates and search regions with the labelled and the predicted box.

    Args:
        every_n_steps, samples: see `LossRecord`.
    """

    def setup(self, trainer: L.Trainer, module: Any, stage: str) -> None:
        """Refuse a network that could be trained but not saved.

        Raises:
            UserError: the network has no name for its weights file.
        """
        NETWORKS.stored_name(type(module.network))

    def write(self, trainer: L.Trainer, module: TrackerTraining, folder: Path) -> None:
        save_tracker(module.network, folder / "weights.safetensors")
        data = data_module(trainer)
        shown = data.train_set if data.val_set is None else data.val_set
        items = [shown[index, index] for index in range(self.samples)]
        batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
        batch = {name: tensor.to(module.device) for name, tensor in batch.items()}
        was_training = module.training
        module.eval()
        with torch.inference_mode():
            responses, _ = module.respond(batch)
            overlaps = module.overlaps(batch, responses)
            found = best_boxes(responses["decision"], module.anchors).cpu().numpy()
        module.train(was_training)
        rows = [
            _sample_row(item, module.network, box, overlap)
            for item, box, overlap in zip(items, found, overlaps, strict=True)
        ]
        write_image(folder / "samples" / f"{trainer.global_step:06d}.png", tile(rows))


def _sample_row(
    item: Mapping[str, Tensor], network: TrackerNetwork, found: np.ndarray, overlap: float
) -> list[tuple[str, np.ndarray]]:
    """Template and search region of each modality at equal size; unusable ones are marked."""
    size = network.search_size
    middle = np.array([size / 2, size / 2, 0, 0])
    row = []
    for crop in ("template", "search"):
        for modality in network.modalities:
            picture = item[f"{crop}_{modality}"].permute(1, 2, 0).numpy()
            picture = np.repeat(picture, 3 // picture.shape[2], axis=2)
            canvas = np.full((size, size, 3), 255, np.uint8)
            canvas[: len(picture), : len(picture)] = picture
            caption = f"{crop} {modality}"
            if not item[f"usable_{modality}"]:
                caption += ", dropped"
            elif crop == "search":
                caption += f", IoU {overlap:.2f}" if item["positive"] else ", absent"
            if crop == "search":
                if item["positive"]:
                    truth = cxcywh_to_xywh(item["box"].numpy() + middle)
                    draw_box(canvas, truth, TRUTH_COLOR)
                draw_box(canvas, cxcywh_to_xywh(found + middle), RESULT_COLOR)
            row.append((caption, canvas))
    return row
