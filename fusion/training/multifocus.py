"""IFCNN's training (Zhang et al., Information Fusion 2020) on images in focus at two depths.

Each sample is one sharp image, of which two copies are blurred where the other is sharp. The paper
cuts them from NYU-D2 by its depth maps; here the border between near and far is random and smooth,
so that any images will do. The constants of the optimiser are those of the paper from memory: they
were not checked against a program.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.base.checkpoints import read_tensors, require_match
from fusion.base.errors import UserError
from fusion.images.pixels import IMAGENET_DEVIATION, IMAGENET_MEAN
from fusion.networks.ifcnn import IFCNN
from fusion.training.initial import load_start
from fusion.training.procedures import FusionTraining


class ResNetFeatures(nn.Module):
    """The last convolutional features of torchvision's ResNet-101, frozen.

    Args:
        weights: ``imagenet`` downloads torchvision's weights on first use; a path reads its state
            dict from a file.

    Raises:
        UserError: the file is missing or does not match, or the weights cannot be downloaded.
    """

    def __init__(self, weights: str | Path):
        super().__init__()
        from torchvision.models import ResNet101_Weights, resnet101

        if weights == "imagenet":
            try:
                network = resnet101(weights=ResNet101_Weights.IMAGENET1K_V1)
            except OSError as error:
                raise UserError(
                    f"ResNet-101: its ImageNet weights cannot be downloaded ({error}); give a "
                    "local file, or null for the squared error alone"
                ) from error
        else:
            network = resnet101(weights=None)
            network.load_state_dict(require_match(weights, read_tensors(weights)[0], network))
        self.first = network.conv1
        self.rest = nn.Sequential(*list(network.children())[1:-2])
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "ResNetFeatures":
        """Stay in evaluation mode, with running statistics."""
        return super().train(False)

    def forward(self, image: Tensor) -> Tensor:
        """Features of a greyscale image ``(B, 1, H, W)`` in 0..1."""
        mean, deviation = (
            image.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_DEVIATION)
        )
        return self.rest(self.first((image.expand(-1, 3, -1, -1) - mean) / deviation))


def two_focuses(image: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two copies of sharp images ``(B, 1, H, W)``, each blurred where the other is sharp.

    Args:
        image: in 0..1.
        generator: of the border between near and far, and of the blur's deviation, 1 to 4 pixels.
    """
    from torchvision.transforms.functional import gaussian_blur

    coarse = torch.randn(len(image), 1, 4, 4, generator=generator).to(image)
    near = F.interpolate(coarse, image.shape[2:], mode="bicubic") > 0
    sigma = 1 + 3 * torch.rand((), generator=generator).item()
    size = min(2 * int(3 * sigma) + 1, *(side - 1 + side % 2 for side in image.shape[2:]))
    blurred = gaussian_blur(image, [size, size], [sigma, sigma])
    return torch.where(near, image, blurred), torch.where(near, blurred, image)


class MultiFocusTraining(FusionTraining):
    """IFCNN on multi-focus images: ``MSE(f, x) + w_perceptual MSE(R(f), R(x))``.

    x is the sharp visible image, and R are the features of ResNet-101, whose first layer becomes
    the network's and stays as it is. Without ResNet-101, only the squared error remains, and the
    first layer is trained.

    Args:
        network: IFCNN.
        resnet_weights: see `ResNetFeatures`; None for the squared error alone, which is also the
            paper's first stage.
        start: weights of the first stage; None starts from random weights.
        w_perceptual: weight of the second term.
        learning_rate: of gradient descent with momentum .9, decreasing with power .9 of the
            remaining steps.
        seed: of the blur.
    """

    network: IFCNN

    def __init__(
        self,
        network: IFCNN,
        resnet_weights: str | None = "imagenet",
        start: str | None = None,
        w_perceptual: float = 1.0,
        learning_rate: float = 1e-2,
        seed: int = 0,
    ):
        super().__init__(network, learning_rate)
        load_start(network, start)
        self.perceptual = None if resnet_weights is None else ResNetFeatures(resnet_weights)
        if self.perceptual is not None:
            first = network.features.get_submodule("0")
            first.load_state_dict(self.perceptual.first.state_dict())
            first.requires_grad_(False)
        self.w_perceptual, self.seed = w_perceptual, seed

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        """Weighted loss terms, and the sharp image of two; in evaluation, the fused images."""
        sharp = batch["vis"]
        step = self.trainer.global_step if self.training else 0
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        fused = self.network(*two_focuses(sharp, generator))
        terms = {"pixel": F.mse_loss(fused, sharp)}
        if self.perceptual is not None:
            difference = F.mse_loss(self.perceptual(fused), self.perceptual(sharp))
            terms["perceptual"] = self.w_perceptual * difference
        return terms, fused if self.training else self.network(batch["ir"], batch["vis"])

    def configure_optimizers(self) -> OptimizerLRScheduler:
        trained = [p for p in self.network.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(trained, self.learning_rate, momentum=0.9)
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, total, power=0.9)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
