"""Train what joins the modalities of a joint network, on features that are computed once.

    module = JoinTraining(network, "join", rate=1e-3)
    train_join(module, CachedPairs(path), steps=300, batch_size=16, seed=0)

The backbone never trains. With parts "join" only the join and its fusion module do; with "head"
correlations, towers and outputs do too, at a smaller rate. The loss is that of labels in
`tracker.training.distillation`, and that of Eq. 15 or of RFN on the fused maps if wanted.
"""

import logging
import warnings
from collections.abc import Mapping
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fusion.base.draws import training_loader
from fusion.base.lightning import keep_frozen_statistics
from tracker.model.joint import JointTracker
from tracker.model.reading import Reading
from tracker.training.feature_cache import CachedPairs
from tracker.training.registry import FUSION_LOSSES
from tracker.training.terms import best_ious, response_terms, warm_cosine

#: Parts of parameters' names that belong to the join.
_JOIN = ("head.joins.", "head.fusion.")


def on_trunk(
    trunk: JointTracker, arguments: Mapping[str, Any], keep_join: bool = False
) -> JointTracker:
    """A network of other arguments with the trunk of a trained one: all but its join.

    Args:
        trunk: gives weights and online settings.
        arguments: of `JointTracker`, which change those of the trunk.
        keep_join: parameters of the join that both have, such as gates, are taken too; if not,
            every join starts anew.

    Raises:
        ValueError: the arguments change more than the join.
    """
    plain: dict[str, Any] = {"join": "gate", "fusion": None, "fusion_args": {}, "tap": "maps"}
    network = JointTracker(**{**trunk.architecture, **plain, **arguments})
    own = network.state_dict()
    weights = {n: t for n, t in trunk.state_dict().items() if not n.startswith(_JOIN)}
    of_trunk = {n for n in own if not n.startswith(_JOIN)}
    if of_trunk != weights.keys() or any(own[n].shape != weights[n].shape for n in of_trunk):
        raise ValueError(f"{dict(arguments)}: changes more than how the modalities are joined")
    if keep_join:
        join = {n: t for n, t in trunk.state_dict().items() if n in own and n not in weights}
        weights |= {n: t for n, t in join.items() if t.shape == own[n].shape}
    network.load_state_dict(weights, strict=False)
    network.online = dict(trunk.online)
    return network


class JoinTraining(L.LightningModule):
    """The join of a network, or its head too, learns from labels on cached features.

    Args:
        network: a `JointTracker`; its backbone is not used.
        parts: what trains: "join", or "head", which contains the join.
        rate: learning rate of the join, of AdamW after warm-up.
        head_rate: factor of the rate for the rest of the head.
        fixed: values of parameters that do not train, by the end of their names, such as
            ``{"threshold": 0.0}``.
        initial: values at which parameters of the join start, likewise.
        feature_loss: a loss of `FUSION_LOSSES` on the maps before and after the fusion module.
        feature_loss_args: its arguments.
        weight_decay: of AdamW.
    """

    def __init__(
        self,
        network: JointTracker,
        parts: Literal["join", "head"] = "join",
        rate: float = 1e-3,
        head_rate: float = 0.1,
        fixed: Mapping[str, float] | None = None,
        feature_loss: str | None = None,
        feature_loss_args: Mapping[str, Any] | None = None,
        weight_decay: float = 1e-4,
        initial: Mapping[str, float] | None = None,
    ):
        super().__init__()
        self.network: Any = network
        self.parts, self.rate, self.head_rate = parts, rate, head_rate
        self.weight_decay = weight_decay
        self.feature_loss = (
            FUSION_LOSSES.create(feature_loss, **(feature_loss_args or {}))
            if feature_loss
            else None
        )
        for name, parameter in self.network.named_parameters():
            trains = name.startswith(_JOIN) or (parts == "head" and name.startswith("head."))
            parameter.requires_grad_(trains)
        self._set("initial", initial or {}, trains=True)
        self._set("fixed", fixed or {}, trains=False)
        self._fused: list[tuple[Tensor, Tensor, Tensor]] = []
        if self.feature_loss is not None:
            for module in self._fusions():
                module.register_forward_hook(self._keep)
        self.train()

    def _set(self, about: str, values: Mapping[str, float], trains: bool) -> None:
        """Give parameters of the join a value, and say whether they train."""
        own = [(n, p) for n, p in self.network.named_parameters() if n.startswith(_JOIN)]
        for end, value in values.items():
            found = [parameter for name, parameter in own if name.endswith(end)]
            if not found:
                raise ValueError(f"{about}: no parameter of the join ends with {end}")
            for parameter in found:
                nn.init.constant_(parameter, value)
                parameter.requires_grad_(trains)

    def _fusions(self) -> list[nn.Module]:
        head = self.network.head
        found = [head.fusion, *(getattr(join, "fusion", None) for join in head.joins.values())]
        return [module for module in found if module is not None]

    def _keep(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self._fused.append((output, *inputs))

    @property
    def trained(self) -> list[tuple[str, nn.Parameter]]:
        """Names and parameters that train."""
        return [(n, p) for n, p in self.network.named_parameters() if p.requires_grad]

    def train(self, mode: bool = True) -> "JoinTraining":
        """Training mode for what trains; statistics of the rest stay as they are."""
        super().train(mode)
        keep_frozen_statistics(self.network)
        return self

    # --- One step ---

    def read(self, batch: Mapping[str, Tensor]) -> Reading:
        """What the network reads in a batch of cached pairs."""
        network = self.network
        template = {m: batch[f"template_{m}"] for m in network.modalities}
        search = {m: batch[f"search_{m}"] for m in network.modalities}
        usable = {m: batch[f"usable_{m}"] for m in network.modalities}
        available = usable if len(usable) > 1 else None
        response = network.joint_response(network.kernels(template), search, available)
        return network.candidates(response).best()

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Reading]:
        """Weighted loss terms by name, and what the network reads."""
        self._fused.clear()
        reading = self.read(batch)
        weights = {"score": 0.0, "box": 0.0, "cls": 1.0, "loc": 1.0}
        terms = response_terms(self.network, reading, None, batch, weights)
        if self.feature_loss is not None:
            for name, value in self._feature_terms(batch).items():
                terms[name] = value
        return terms, reading

    def _feature_terms(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss of fused maps; those of score and box are the shallow and the deep level."""
        assert self.feature_loss is not None
        both = torch.stack([batch[f"usable_{m}"] for m in self.network.modalities]).all(0)
        if not both.any():
            return {}
        with torch.autocast(self.device.type, enabled=False):  # it takes differences of squares
            levels = [[x[both].float() for x in maps] for maps in self._fused]
            fused, rgb, ir = map(list, zip(*levels, strict=True))
            return self.feature_loss(fused, rgb, ir)

    def training_step(self, batch: Mapping[str, Tensor], batch_index: int) -> Tensor:
        terms, _ = self.terms(batch)
        return torch.stack(list(terms.values())).sum()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for name, parameter in self.trained:
            groups[name.startswith(_JOIN)].append(parameter)
        rates = {True: self.rate, False: self.rate * self.head_rate}
        optimizer = torch.optim.AdamW(
            [{"params": group, "lr": rates[key]} for key, group in groups.items() if group],
            betas=(0.9, 0.99),
            weight_decay=self.weight_decay,
        )
        total = self.trainer.estimated_stepping_batches
        return warm_cosine(optimizer, total, 0.05, 0.02)


# --- A run ----------------------------------------------------------------------------------------


def train_join(
    module: JoinTraining,
    pairs: CachedPairs,
    steps: int,
    batch_size: int,
    seed: int,
    precision: Any = "32-true",
) -> None:
    """Train for a number of steps; the order of the pairs depends on the seed alone.

    ``precision`` is Lightning's, such as "bf16-mixed".

    Nothing happens if there is nothing to train, as for the mean on a frozen trunk.
    """
    if not module.trained:
        return
    loader = training_loader(pairs, batch_size, seed=seed)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no validation, no logger, one worker
        trainer = L.Trainer(
            max_steps=steps,
            max_epochs=-1,
            accelerator="cpu",
            devices=1,
            precision=precision,
            gradient_clip_val=5.0,
            enable_model_summary=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
            logger=False,
        )
        module.network.to(memory_format=torch.channels_last)  # a sixth less time
        trainer.fit(module, loader)
        module.network.to(memory_format=torch.contiguous_format)


@torch.no_grad()
def validate_join(module: JoinTraining, pairs: CachedPairs, batch_size: int = 32) -> dict:
    """Mean loss of labels over all pairs, and mean IoU of the best boxes over labelled targets."""
    module.eval()
    losses, ious = [], []
    order = [(index, index) for index in range(len(pairs))]
    for batch in DataLoader(pairs, batch_size, sampler=order):
        reading = module.read(batch)
        weights = {"score": 0.0, "box": 0.0, "cls": 1.0, "loc": 1.0}
        terms = response_terms(module.network, reading, None, batch, weights)
        losses.append(float(torch.stack(list(terms.values())).sum()) * len(batch["box"]))
        ious.append(best_ious(module.network, reading, batch))
    module.train()
    found = torch.cat(ious)
    iou = float(found.mean()) if len(found) else float("nan")
    return {"loss": sum(losses) / len(pairs), "iou": iou}
