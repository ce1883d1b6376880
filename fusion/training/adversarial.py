"""What adversarial trainings share: several steps a batch, spectral norms, TensorFlow's RMSProp."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fusion.base.errors import UserError
from fusion.base.lightning import log_terms
from fusion.networks.base import FusionNetwork
from fusion.training.procedures import FusionTraining

__all__ = ["AdversarialTraining", "SpectralNorms", "TensorFlowRMSProp", "mean_log"]


def mean_log(probability: Tensor) -> Tensor:
    """``mean log(p + 1e-8)``."""
    return (probability + 1e-8).log().mean()


class SpectralNorms(nn.Module):
    """Divides the kernels of a module by estimates of their spectral norms (Miyato et al., 2018).

    A kernel as a matrix W of inputs x outputs has a stored row u of its outputs. One iteration is
    ``v = n(u W^T)``, ``u' = n(v W)`` and ``sigma = v W u'^T``, with ``n(a) = a / (|a| + 1e-12)``.
    Unlike in PyTorch's own, gradients pass through v and u' too.

    Args:
        module: the module whose kernels are divided; it is not changed.
    """

    def __init__(self, module: nn.Module):
        super().__init__()
        self.kernels = [name for name, p in module.named_parameters() if p.ndim > 1]
        for name, parameter in module.named_parameters():
            if name in self.kernels:
                self.register_buffer(name.replace(".", "_"), torch.randn(1, parameter.shape[0]))

    def divided(self, module: nn.Module, store: bool) -> dict[str, Tensor]:
        """The divided kernels by their names, for `torch.func.functional_call`.

        Args:
            module: the module of the constructor.
            store: keep u' as the next u.
        """
        made = {}
        for name in self.kernels:
            kernel = module.get_parameter(name)
            matrix = kernel.flatten(1).T
            stored = self.get_buffer(name.replace(".", "_"))
            u = stored.clone()  # the graph keeps it, and the stored one changes
            v = _unit(u @ matrix.T)
            following = _unit(v @ matrix)
            made[name] = kernel / (v @ matrix @ following.T).squeeze()
            if store:
                stored.copy_(following.detach())
        return made


def _unit(row: Tensor) -> Tensor:
    return row / (row.norm() + 1e-12)


class TensorFlowRMSProp(torch.optim.Optimizer):
    """RMSProp as TensorFlow 1 has it: mean squares start at 1, and the epsilon is under the root.

    ``s = decay s + (1 - decay) g^2``, ``m = momentum m + rate g / sqrt(s + eps)``, ``w = w - m``.

    Args:
        parameters: what to optimise.
        lr: the rate.
        decay, momentum, eps: as above.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        decay: float = 0.9,
        momentum: float = 0.0,
        eps: float = 1e-10,
    ):
        settings = {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps}
        super().__init__(parameters, settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["square"] = torch.ones_like(parameter)
                    state["momentum"] = torch.zeros_like(parameter)
                square, move = state["square"], state["momentum"]
                gradient = parameter.grad
                square.mul_(group["decay"]).addcmul_(gradient, gradient, value=1 - group["decay"])
                move.mul_(group["momentum"])
                move.addcdiv_(gradient, (square + group["eps"]).sqrt(), value=group["lr"])
                parameter.sub_(move)
        return loss


class AdversarialTraining(FusionTraining):
    """Base of trainings with discriminators, which take several steps on each batch.

    Exactly one of these steps is counted as a step of the run, so that a run's steps are its
    batches, for ``max_steps``, records, checkpoints and resuming. A resumed run continues as if it
    had not been interrupted: what a batch draws at random depends on the seed and the step alone.

    A subclass defines `adversarial_step`, and `terms`, which validation and samples use.

    Args:
        network: the generator.
        learning_rate: of all optimisers.
        seed: of what is drawn in training.
    """

    def __init__(self, network: FusionNetwork, learning_rate: float, seed: int = 0):
        super().__init__(network, learning_rate)
        self.automatic_optimization = False
        self.seed = seed

    def setup(self, stage: str) -> None:
        super().setup(stage)
        # These steps bypass what synchronises processes and scales half-precision gradients.
        if self.trainer.world_size > 1:
            raise UserError("trainer.devices: adversarial trainings use 1, on one machine")
        if str(self.trainer.precision).startswith("16"):
            raise UserError("trainer.precision: 32-true or bf16-mixed in adversarial trainings")

    def adversarial_step(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Take the steps of one batch and return what to log. Steps are taken by `update`."""
        raise NotImplementedError

    def training_step(self, batch: Mapping[str, Tensor], batch_index: int) -> Tensor:
        values = self.adversarial_step(batch)
        return log_terms(self, "train", values, len(batch["ir"])).detach()

    def generator(self) -> torch.Generator:
        """Random numbers of this step."""
        made = torch.Generator()
        return made.manual_seed(self.seed * 1_000_003 + self.trainer.global_step)

    def update(self, number: int, loss: Tensor, counted: bool = False) -> None:
        """One step of an optimiser on a loss, with the gradients of its own parameters alone.

        Args:
            number: of the optimiser in `configure_optimizers`.
            loss: what to minimise.
            counted: whether this is the batch's step that is counted.
        """
        optimizers = self.optimizers(use_pl_optimizer=counted)
        optimizer = optimizers[number]  # type: ignore[index]
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        for parameter in parameters:
            parameter.grad = None


@contextmanager
def no_gradients_of(module: nn.Module) -> Iterator[None]:
    """Leave a module's parameters out of the graph, which saves their gradients' computation."""
    wanted = [(p, p.requires_grad) for p in module.parameters()]
    module.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, before in wanted:
            parameter.requires_grad_(before)
