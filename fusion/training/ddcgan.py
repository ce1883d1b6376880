"""DDcGAN's training against two discriminators (Ma et al., TIP 2020), as its program does it."""

from collections.abc import Mapping
from contextlib import ExitStack

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from fusion.base.errors import UserError
from fusion.networks.ddcgan import EPSILON, DDcGAN
from fusion.networks.tensorflow import PictureNorm
from fusion.training.adversarial import (
    AdversarialTraining,
    TensorFlowRMSProp,
    mean_log,
    no_gradients_of,
)
from fusion.training.filters import ring_difference
from fusion.training.initial import draw_truncated_normal

#: A batch's steps go on while the discriminators' losses exceed or fall below these, or while the
#: generator's exceeds the third; at most `MOST` for each.
WEAK, STRONG, POOR, MOST = 1.7, 1.4, 200.0, 20
#: Bound of all weights after each step.
BOUND = 8.0
#: Order of the optimisers: the generator on its whole loss, and on its adversarial part alone, then
#: the discriminators.
WHOLE, ADVERSARIAL, D_VIS, D_IR = range(4)


class Discriminator(nn.Module):
    """Three convolutions with stride 2 and a linear output; 31 233 parameters for 84 pixels.

    Args:
        size: side of the patches in pixels, at least 9.
    """

    def __init__(self, size: int = 84):
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for outputs in (16, 32, 64):
            layers.append(
                nn.Conv2d(channels, outputs, 3, stride=2, padding=1, padding_mode="reflect")
            )
            if channels > 1:
                layers.append(PictureNorm(outputs, EPSILON))
            layers.append(nn.ReLU())
            channels, size = outputs, (size + 1) // 2
        if size < 2:
            raise UserError("data.size: at least 9 for the discriminators of DDcGAN")
        self.features = nn.Sequential(*layers)
        self.last = nn.Linear(channels * size**2, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Patches ``(B, 1, size, size)`` in 0..1 to probabilities ``(B,)`` of being a source."""
        return self.last(self.features(image).flatten(1)).squeeze(1).tanh() / 2 + 0.5


def content_loss(fused: Tensor, ir: Tensor, vis: Tensor, w_gradient: float = 1.2) -> Tensor:
    """``sum (f - ir)^2 / 16 + w_gradient sum |g f - g vis|``, averaged over the batch.

    Args:
        fused, ir, vis: ``(B, 1, H, W)`` in 0..1.
        w_gradient: weight as published; g is `fusion.training.filters.ring_difference`.
    """
    difference = (fused - ir).square().sum((1, 2, 3)) / 16
    edges = (ring_difference(fused) - ring_difference(vis)).abs().sum((1, 2, 3))
    return (difference + w_gradient * edges).mean()


class DDcGANTraining(AdversarialTraining):
    """DDcGAN as published, for sources of equal resolution.

        discriminators  L_vis = -mean log D_vis(vis) - mean log(1 - D_vis(f)), L_ir with ir likewise
        adversarial     A = -mean log D_vis(f) - mean log D_ir(f)
        generator       A + w_content [mean sum (f - ir)^2 / 16 + w_gradient mean sum |g f - g vis|]

    Even batches train the discriminators: one step each, then more while its loss is above 1.7. Odd
    batches train the generator: one step, more on A alone while a discriminator's loss is below
    1.4, and more on its whole loss while that is above 200. Each takes at most 20 steps on a batch.

    The generator has RMSProp, with separate mean squares for its two losses, the discriminators
    plain gradient descent. The rate is multiplied by .9 for every N steps of all of them, N the
    number of batches in an epoch. After each step, the weights are limited to -8..8.

    Args:
        network: DDcGAN.
        size: side of the patches in pixels, as ``data.size``.
        w_content, w_gradient: weights as published.
        initial_deviation, initial_deviation_d: of the kernels of the generator and of the
            discriminators, see `fusion.training.initial.draw_truncated_normal`.
        learning_rate: at the beginning.
        decay: factor of the rate for every N steps.
    """

    network: DDcGAN
    calls: Tensor

    #: Names of the discriminators' losses by the numbers of their optimisers.
    judges: Mapping[int, str] = {D_VIS: "discriminator_vis", D_IR: "discriminator_ir"}

    def __init__(
        self,
        network: DDcGAN,
        size: int = 84,
        w_content: float = 0.6,
        w_gradient: float = 1.2,
        initial_deviation: float | None = 0.05,
        initial_deviation_d: float | None = 0.1,
        learning_rate: float = 2e-4,
        decay: float = 0.9,
    ):
        super().__init__(network, learning_rate)
        self.make_discriminators(size)
        draw_truncated_normal(network, initial_deviation)
        for discriminator in self.discriminators():
            draw_truncated_normal(discriminator, initial_deviation_d)
        self.w_content, self.w_gradient, self.decay = w_content, w_gradient, decay
        self.register_buffer("calls", torch.tensor(0))

    def make_discriminators(self, size: int) -> None:
        """Make the discriminators for patches of ``size`` pixels."""
        self.sees_vis, self.sees_ir = Discriminator(size), Discriminator(size)

    def discriminators(self) -> list[nn.Module]:
        """The discriminators, in the order of `judges`."""
        return [self.sees_vis, self.sees_ir]

    def judged(self, fused: Tensor, batch: Mapping[str, Tensor]) -> list[Tensor]:
        """The losses of the discriminators, in the order of `judges`."""
        return self.discriminator_losses(fused, batch["ir"], batch["vis"])

    def content(self, fused: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The weighted content term of the generator."""
        return self.w_content * content_loss(fused, batch["ir"], batch["vis"], self.w_gradient)

    def period(self) -> int:
        """The number of steps after which the rate has been multiplied by ``decay``."""
        return max(1, int(self.trainer.num_training_batches))

    def discriminator_losses(self, fused: Tensor, ir: Tensor, vis: Tensor) -> list[Tensor]:
        """Losses of the discriminators of the visible and of the infrared image."""
        pairs = (self.sees_vis, vis), (self.sees_ir, ir)
        return [-mean_log(d(real)) - mean_log(1 - d(fused)) for d, real in pairs]

    def adversarial_loss(self, fused: Tensor) -> Tensor:
        """What the generator minimises to be taken for both sources."""
        return -mean_log(self.sees_vis(fused)) - mean_log(self.sees_ir(fused))

    def descend(self, number: int, loss: Tensor, counted: bool = False) -> None:
        """A step of one of the optimisers at the current rate, and the limit of the weights."""
        rate = self.learning_rate * self.decay ** (self.calls.item() / self.period())
        optimizer = self.optimizers(use_pl_optimizer=False)[number]  # type: ignore[index]
        for group in optimizer.param_groups:
            group["lr"] = rate
        self.update(number, loss, counted)
        with torch.no_grad():
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.clamp_(-BOUND, BOUND)
        self.calls += 1

    def adversarial_step(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        step = self._discriminate if self.trainer.global_step % 2 == 0 else self._generate
        return step(batch)

    def _discriminate(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        with torch.no_grad():
            fused = self.network(batch["ir"], batch["vis"])
        first = min(self.judges)

        def loss(number: int) -> Tensor:
            return self.judged(fused, batch)[number - first]

        for number in self.judges:
            self.descend(number, loss(number), counted=number == first)
        for number in self.judges:
            for _ in range(MOST - 1):
                weak = loss(number)
                if weak <= WEAK:
                    break
                self.descend(number, weak)
        return self._state(fused, batch)

    def _generate(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        ir, vis = batch["ir"], batch["vis"]
        taken = 0

        def step(number: int) -> None:
            nonlocal taken
            fused = self.network(ir, vis)
            loss = self.adversarial_loss(fused)
            if number == WHOLE:
                loss = loss + self.content(fused, batch)
            self.descend(number, loss, counted=taken == 0)
            taken += 1

        def now() -> tuple[float, float]:
            """The smaller loss of the discriminators, and the generator's."""
            with torch.no_grad():
                fused = self.network(ir, vis)
                state = self.adversarial_loss(fused) + self.content(fused, batch)
                least = min(self.judged(fused, batch))
            return least.item(), state.item()

        with ExitStack() as frozen:
            for discriminator in self.discriminators():
                frozen.enter_context(no_gradients_of(discriminator))
            step(WHOLE)
            while taken < MOST and now()[0] < STRONG:
                step(ADVERSARIAL)
            while taken < MOST and now()[1] > POOR:
                step(WHOLE)
        with torch.no_grad():
            return self._state(self.network(ir, vis), batch)

    @torch.no_grad()
    def _state(self, fused: Tensor, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        for name, loss in zip(self.judges.values(), self.judged(fused, batch), strict=True):
            self.log(f"train/{name}", loss, batch_size=len(fused))
        return {
            "adversarial": self.adversarial_loss(fused),
            "content": self.content(fused, batch),
        }

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        """The content term, and the fused images."""
        fused = self.network(batch["ir"], batch["vis"])
        return {"content": self.content(fused, batch)}, fused

    def configure_optimizers(self) -> OptimizerLRScheduler:
        rate = self.learning_rate
        generator = [TensorFlowRMSProp(self.network.parameters(), rate) for _ in range(2)]
        judges = [torch.optim.SGD(each.parameters(), rate) for each in self.discriminators()]
        return [*generator, *judges]
