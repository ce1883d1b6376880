"""FusionGAN and DDcGAN under reference-then-supervision, see `fusion.training.supervised`.

Their discriminators tell the fused image from the references instead of the sources.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fusion.networks.ddcgan import DDcGAN
from fusion.networks.fusiongan import FusionGAN
from fusion.training import ddcgan
from fusion.training.adversarial import mean_log
from fusion.training.filters import ring_difference, to_signed
from fusion.training.fusiongan import FusionGANTraining
from fusion.training.initial import load_start
from fusion.training.supervised import each, present, references_of, squared

__all__ = ["SupervisedDDcGANTraining", "SupervisedFusionGANTraining", "supervised_content"]


class SupervisedFusionGANTraining(FusionGANTraining):
    """FusionGAN trained to fuse to the references, whose weights do not count.

        discriminator  sum_k mean (D(S_k) - a)^2 + mean (D(f) - b)^2
        generator      mean (D(f) - c)^2 + w_content sum_k [MSE(f, S_k) + w_gradient MSE(∇f, ∇S_k)]

    Labels, spectral norms and the order of steps are those of `FusionGANTraining`, with labels a of
    their own for each reference.

    Args:
        network: FusionGAN.
        start: a weights file of this network to start from; None for random weights.
        size, w_content, w_gradient, initial_deviation, learning_rate, seed: see
            `FusionGANTraining`.
    """

    def __init__(
        self,
        network: FusionGAN,
        start: str | None = None,
        size: int = 132,
        w_content: float = 100.0,
        w_gradient: float = 5.0,
        initial_deviation: float | None = 1e-3,
        learning_rate: float = 1e-4,
        seed: int = 0,
    ):
        super().__init__(
            network, size, w_content, w_gradient, initial_deviation, learning_rate, seed
        )
        load_start(network, start)

    def real(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        references, weights = references_of(batch)
        return to_signed(references), present(weights)

    def content(self, fused: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        intensity, gradient = squared(fused, *self.real(batch))
        return intensity + self.w_gradient * gradient


def supervised_content(
    fused: Tensor, references: Tensor, weights: Tensor, w_gradient: float = 1.2
) -> Tensor:
    """``sum_k w_k [sum (f - S_k)^2 / 16 + w_gradient sum |g f - g S_k|]``, averaged over the batch.

    The released code has weights that are not normalised, and mixed indices, in the second sum.

    Args:
        fused, references: ``(B, 1, H, W)`` and ``(B, K, H, W)`` in 0..1.
        weights: ``(B, K)``.
        w_gradient: weight as released; g is `fusion.training.filters.ring_difference`.
    """
    difference = (fused - references).square().sum((2, 3)) / 16
    edges = (ring_difference(fused) - each(ring_difference, references)).abs().sum((2, 3))
    return (weights * (difference + w_gradient * edges)).sum(1).mean()


class SupervisedDDcGANTraining(ddcgan.DDcGANTraining):
    """DDcGAN trained to fuse to the references, with one discriminator.

        discriminator  L = -mean_k mean log D(S_k) - mean log(1 - D(f))
        adversarial    A = -mean log D(f)
        generator      A + w_content supervised_content(f, S)

    The thresholds at which steps are repeated are not known; they are those of `DDcGANTraining`, as
    are its optimisers, the bound of the weights, and the alternation of batches. The rate is
    multiplied by ``decay`` for every `PERIOD` steps.

    Args:
        network: DDcGAN.
        start: a weights file of this network to start from; None for random weights.
        size: side of the patches in pixels, as ``data.size``. The framework resizes whole images to
            84x84.
        w_content, w_gradient: weights as released.
        initial_deviation, initial_deviation_d, learning_rate, decay: see `DDcGANTraining`.
    """

    PERIOD = 50
    judges: Mapping[int, str] = {ddcgan.D_VIS: "discriminator"}

    def __init__(
        self,
        network: DDcGAN,
        start: str | None = None,
        size: int = 84,
        w_content: float = 0.6,
        w_gradient: float = 1.2,
        initial_deviation: float | None = 0.05,
        initial_deviation_d: float | None = 0.1,
        learning_rate: float = 2e-4,
        decay: float = 0.9,
    ):
        super().__init__(
            network,
            size,
            w_content,
            w_gradient,
            initial_deviation,
            initial_deviation_d,
            learning_rate,
            decay,
        )
        load_start(network, start)

    def make_discriminators(self, size: int) -> None:
        self.discriminator = ddcgan.Discriminator(size)

    def discriminators(self) -> list[nn.Module]:
        return [self.discriminator]

    def period(self) -> int:
        return self.PERIOD

    def judged(self, fused: Tensor, batch: Mapping[str, Tensor]) -> list[Tensor]:
        references, weights = references_of(batch)
        there = present(weights)
        shares = there / there.sum(1, keepdim=True)
        real = [
            (share * (self.discriminator(image) + 1e-8).log()).mean()
            for share, image in zip(shares.unbind(1), references.split(1, dim=1), strict=True)
        ]
        return [-torch.stack(real).sum() - mean_log(1 - self.discriminator(fused))]

    def adversarial_loss(self, fused: Tensor) -> Tensor:
        return -mean_log(self.discriminator(fused))

    def content(self, fused: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        references, weights = references_of(batch)
        return self.w_content * supervised_content(fused, references, weights, self.w_gradient)
