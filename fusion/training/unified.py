"""U2Fusion's training (Xu et al., TPAMI 2020) on its first task, infrared and visible images."""

from collections.abc import Mapping

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.networks.base import FusionNetwork
from fusion.training.adversarial import TensorFlowRMSProp
from fusion.training.filters import ring_difference
from fusion.training.losses import VGG16Features, ssim_map
from fusion.training.procedures import FusionTraining

#: Side in pixels to which images are resized for VGG-16.
VGG_SIDE = 224
#: Bound of all weights after each step.
BOUND = 50.0


class UnifiedLoss(nn.Module):
    """U2Fusion's loss: similarity to each source, weighted by the information in it.

        structure  mean (w_1 (1 - SSIM(f, s_1)) + w_2 (1 - SSIM(f, s_2)))
        intensity  w_intensity mean (w_1 MSE(f, s_1) + w_2 MSE(f, s_2))

    The weights of an image pair are ``softmax(g_1 / c, g_2 / c)``, where g is the mean over five
    layers of VGG-16 of the mean squared difference of each feature from its neighbours.

    The authors use VGG-16 as trained in Caffe, on pixels in 0..255 less their mean. Torchvision's
    weights were trained apart from these; on pixels in 0..255 (``raw``) their features come
    nearest in scale, which is what c depends on.

    Args:
        features: the loss network with five outputs.
        w_intensity: weight of the second term.
        c: scale of the information; 3200 for infrared and visible images.
    """

    def __init__(self, features: nn.Module, w_intensity: float = 20.0, c: float = 3200.0):
        super().__init__()
        self.features, self.w_intensity, self.c = features, w_intensity, c

    @torch.no_grad()
    def information(self, image: Tensor) -> Tensor:
        """g of each image ``(B, 1, H, W)`` in 0..1, ``(B,)``."""
        layers = self.features(F.interpolate(image, (VGG_SIDE, VGG_SIDE)) * 255)
        means = [
            ring_difference(layer.flatten(0, 1)[:, None]).square().view(len(image), -1).mean(1)
            for layer in layers
        ]
        return torch.stack(means).mean(0)

    def forward(self, fused: Tensor, ir: Tensor, vis: Tensor) -> dict[str, Tensor]:
        """The two weighted terms; their sum is the loss. Images ``(B, 1, H, W)`` in 0..1."""
        sources = ir, vis
        shares = torch.stack([self.information(s) / self.c for s in sources], dim=1).softmax(1)
        structure = [1 - ssim_map(fused, s).mean((1, 2, 3)) for s in sources]
        intensity = [(fused - s).square().mean((1, 2, 3)) for s in sources]
        return {
            "structure": (shares * torch.stack(structure, dim=1)).sum(1).mean(),
            "intensity": self.w_intensity * (shares * torch.stack(intensity, dim=1)).sum(1).mean(),
        }


class UnifiedTraining(FusionTraining):
    """U2Fusion as published, see `UnifiedLoss`, without its further tasks.

    The sources exchange their places at random from batch to batch, so that the network treats
    both alike. RMSProp with decay .6 and momentum .15; after each step, weights are limited to
    -50..50.

    Args:
        network: U2Fusion or another network.
        vgg_weights, vgg_pixels: see `VGG16Features`.
        exchange: exchange the sources in half of the batches.
        learning_rate: of RMSProp, constant.
        seed: of the exchanges.
        **weights: ``w_intensity`` and ``c``, see `UnifiedLoss`.
    """

    def __init__(
        self,
        network: FusionNetwork,
        vgg_weights: str = "imagenet",
        vgg_pixels: str = "raw",
        exchange: bool = True,
        learning_rate: float = 1e-4,
        seed: int = 0,
        **weights: float,
    ):
        super().__init__(network, learning_rate)
        features = VGG16Features(vgg_weights, vgg_pixels, count=5)  # type: ignore[arg-type]
        self.loss = UnifiedLoss(features, **weights)
        self.exchange, self.seed = exchange, seed

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        first, second = batch["ir"], batch["vis"]
        if self.training and self.exchange and self._exchanged():
            first, second = second, first
        fused = self.network(first, second)
        return self.loss(fused, first, second), fused

    def _exchanged(self) -> bool:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.trainer.global_step)
        return bool(torch.rand((), generator=generator) < 0.5)

    def on_train_batch_end(self, *_: object) -> None:
        with torch.no_grad():
            for parameter in self.network.parameters():
                parameter.clamp_(-BOUND, BOUND)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return TensorFlowRMSProp(self.network.parameters(), self.learning_rate, 0.6, 0.15)
