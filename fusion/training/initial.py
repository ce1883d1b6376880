"""How trainings start: random weights as TensorFlow draws them, or weights of a stage before."""

from pathlib import Path

import torch
from torch import nn

from fusion.base.checkpoints import read_tensors, require_match
from fusion.base.errors import UserError


def draw_truncated_normal(network: nn.Module, deviation: float | None) -> None:
    """Draw all kernels from a normal distribution without what exceeds two deviations, and set the
    biases of these layers to 0; None leaves PyTorch's initial values."""
    if deviation is None:
        return
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(layer.weight, 0, deviation, -2 * deviation, 2 * deviation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def require_start(path: str | Path | None, what: str) -> dict[str, torch.Tensor]:
    """Read the weights of the stage before this one.

    Args:
        path: a weights file; None if none was given.
        what: what the file contains, for the message.

    Raises:
        UserError: it is missing, or cannot be read.
    """
    if path is None or not Path(path).exists():
        missing = "no file" if path is None else f"{path}: no such file"
        raise UserError(
            f"{missing} with {what}; train the stage before this one, or name its weights by "
            "model.init_args.start"
        )
    return read_tensors(path)[0]


def load_start(network: nn.Module, path: str | Path | None) -> None:
    """Load the weights of the stage before this one, of the same network; None loads nothing.

    Raises:
        UserError: the file is missing, cannot be read, or has a different architecture.
    """
    if path is not None:
        tensors = require_start(path, "the network's weights")
        network.load_state_dict(require_match(str(path), tensors, network))
