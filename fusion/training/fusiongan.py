"""FusionGAN's adversarial training (Ma et al., Information Fusion 2019), as its program does it."""

from collections.abc import Mapping

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from fusion.base.errors import UserError
from fusion.networks.fusiongan import PADDING, FusionGAN
from fusion.networks.tensorflow import PictureNorm
from fusion.training.adversarial import AdversarialTraining, SpectralNorms, no_gradients_of
from fusion.training.filters import laplacian, to_signed
from fusion.training.initial import draw_truncated_normal
from fusion.training.procedures import central

__all__ = ["Discriminator", "FusionGANTraining", "content_loss"]

LEAK = 0.2
#: Ranges of the labels: of the visible image (a), of the fused image for the discriminator (b), and
#: of the fused image for the generator (c).
REAL, FAKE, WANTED = (0.7, 1.2), (0.0, 0.3), (0.7, 1.2)


class Discriminator(nn.Module):
    """Four convolutions with stride 2 and a linear output; 397 953 parameters for 120 pixels.

    Normalisation uses the statistics of the batch it is given: visible and fused images are
    normalised apart, with the same scale and shift.

    Args:
        size: side of the patches in pixels, at least 47, which leaves 2x2 features: one place of
            one patch has no variance.
    """

    def __init__(self, size: int = 120):
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for outputs in (32, 64, 128, 256):
            layers.append(nn.Conv2d(channels, outputs, 3, stride=2))
            if channels > 1:
                layers.append(PictureNorm(outputs))
            layers.append(nn.LeakyReLU(LEAK))
            channels, size = outputs, (size - 1) // 2
        if size < 2:
            raise UserError("data.size: at least 59 for the discriminator of FusionGAN")
        self.features = nn.Sequential(*layers)
        self.last = nn.Linear(channels * size**2, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Patches ``(B, 1, size, size)`` in -1..1 to scores ``(B,)`` without a fixed range."""
        return self.last(self.features(image).flatten(1)).squeeze(1)


def content_loss(fused: Tensor, ir: Tensor, vis: Tensor, w_gradient: float = 5.0) -> Tensor:
    """``MSE(f, ir) + w_gradient MSE(∇f, ∇vis)`` of ``(B, 1, H, W)`` in -1..1, ∇ the Laplacian."""
    return F.mse_loss(fused, ir) + w_gradient * F.mse_loss(laplacian(fused), laplacian(vis))


class FusionGANTraining(AdversarialTraining):
    """FusionGAN as published: two steps of the discriminator, then one of the generator.

        discriminator  mean (D(vis) - a)^2 + mean (D(f) - b)^2
        generator      mean (D(f) - c)^2 + w_content [MSE(f, ir) + w_gradient MSE(∇f, ∇vis)]

    The labels a, b, c are drawn for each patch in each step from `REAL`, `FAKE` and `WANTED`. All
    kernels of both are divided by their spectral norms in training; the stored vectors follow the
    generator in each of its passes, and the discriminator in its passes of visible images.

    The generator's convolutions are not padded in training: a view of ``size`` pixels, 132 as
    published, gives a patch of ``size - 12``.

    Args:
        network: FusionGAN.
        size: side of the views in pixels, as ``data.size``.
        w_content, w_gradient: weights as published.
        initial_deviation: see `fusion.training.initial.draw_truncated_normal`.
        learning_rate: of Adam, for both.
        seed: of the labels.
    """

    network: FusionGAN

    def __init__(
        self,
        network: FusionGAN,
        size: int = 132,
        w_content: float = 100.0,
        w_gradient: float = 5.0,
        initial_deviation: float | None = 1e-3,
        learning_rate: float = 1e-4,
        seed: int = 0,
    ):
        super().__init__(network, learning_rate, seed)
        self.discriminator = Discriminator(size - 2 * PADDING)
        for module in (network, self.discriminator):
            draw_truncated_normal(module, initial_deviation)
        self.network_norms = SpectralNorms(network)
        self.discriminator_norms = SpectralNorms(self.discriminator)
        self.w_content, self.w_gradient = w_content, w_gradient

    def fused(self, ir: Tensor, vis: Tensor, store: bool) -> Tensor:
        """Patches in -1..1, without the views' borders, by kernels divided by their norms."""
        kernels = self.network_norms.divided(self.network, store)
        arguments = (ir, vis), {"padded": False}
        return to_signed(functional_call(self.network, kernels, *arguments))

    def score(self, image: Tensor, store: bool) -> Tensor:
        """The discriminator's scores, by kernels divided by their norms."""
        kernels = self.discriminator_norms.divided(self.discriminator, store)
        return functional_call(self.discriminator, kernels, (image,))

    def discriminator_loss(
        self, fused: Tensor, real: Tensor, there: Tensor, labels: Tensor
    ) -> Tensor:
        """Loss of patches in -1..1.

        Args:
            fused, real: ``(B, 1, H, W)`` and ``(B, K, H, W)``.
            there: 1 for each real image that is there, ``(B, K)``.
            labels: a for each real image, then b, ``(K + 1, B)``.
        """
        parts = [
            there[:, k] * (self.score(image, store=True) - labels[k]).square()
            for k, image in enumerate(real.split(1, dim=1))
        ]
        parts.append((self.score(fused, store=False) - labels[-1]).square())
        return torch.stack(parts).mean(1).sum()

    def generator_terms(
        self, fused: Tensor, batch: Mapping[str, Tensor], labels: Tensor
    ) -> dict[str, Tensor]:
        """Weighted loss terms of patches ``(B, 1, H, W)`` in -1..1 for labels c, ``(B,)``."""
        return {
            "adversarial": (self.score(fused, store=False) - labels).square().mean(),
            "content": self.w_content * self.content(fused, batch),
        }

    def real(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What the discriminator tells the fused image from, see `discriminator_loss`."""
        vis = to_signed(batch["vis"])
        return vis, vis.new_ones(len(vis), 1)

    def content(self, fused: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """What the fused image in -1..1 is to be, without its weight."""
        ir, vis = to_signed(batch["ir"]), to_signed(batch["vis"])
        return content_loss(fused, ir, vis, self.w_gradient)

    def labels(
        self, generator: torch.Generator, count: int, *ranges: tuple[float, float]
    ) -> Tensor:
        """Labels for a number of patches, a row for each range."""
        rows = [torch.empty(count).uniform_(low, high, generator=generator) for low, high in ranges]
        return torch.stack(rows).to(self.device)

    def adversarial_step(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        ir, vis = batch["ir"], batch["vis"]
        # The generator's convolutions use up the border.
        wanted = central(batch, PADDING)
        real, there = self.real(wanted)
        ranges = [REAL] * real.shape[1] + [FAKE]
        generator, count = self.generator(), len(ir)
        for _ in range(2):
            with torch.no_grad():
                fused = self.fused(ir, vis, store=True)
            labels = self.labels(generator, count, *ranges)
            loss = self.discriminator_loss(fused, real, there, labels)
            self.update(0, loss)
        fused = self.fused(ir, vis, store=True)
        with no_gradients_of(self.discriminator):
            labels = self.labels(generator, count, WANTED)[0]
            terms = self.generator_terms(fused, wanted, labels)
            self.update(1, torch.stack(list(terms.values())).sum(), counted=True)
        self.log("train/discriminator", loss.detach(), batch_size=count)
        return terms

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        """The content term, and the fused images as the weights will be used."""
        fused = self.network(batch["ir"], batch["vis"])
        return {"content": self.w_content * self.content(to_signed(fused), batch)}, fused

    def configure_optimizers(self) -> OptimizerLRScheduler:
        modules = self.discriminator, self.network
        return [torch.optim.Adam(module.parameters(), self.learning_rate) for module in modules]
