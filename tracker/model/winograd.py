"""3x3 convolutions with fewer multiplications, for inference on a CPU.

Two of ResNet-50's convolutions in the dilated layout, the 3x3 shortcuts of its last two stages,
account for half of the arithmetic per frame. Winograd's minimal filtering F(2x2, 3x3) computes four
outputs with sixteen multiplications instead of thirty-six (Lavin and Gray, Fast Algorithms for
Convolutional Neural Networks, CVPR 2016, Sec. 4.1): with the matrices given there,

    Y = A' [ (G g G') * (B' d B) ] A

for a kernel g, a 4x4 tile d of the input and the 2x2 tile Y of the output. Summed over channels,
the elementwise products become sixteen matrix products. GPU libraries do this themselves.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Module = TypeVar("Module", bound=nn.Module)

__all__ = ["WinogradConv2d", "use_winograd"]

# G; B' and A' are written out as sums in `_to_tiles` and `_from_tiles`.
_G = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))

# With fewer kernels, the transforms cost more than the saved multiplications.
_LEAST_KERNELS = 256 * 256


class WinogradConv2d(nn.Module):
    """A 3x3 convolution of stride 1, with any zero padding and dilation, by F(2x2, 3x3).

    With dilation d, outputs at distance d share inputs. A side is divided into blocks of 2 d, in
    which position ``d s + r`` belongs to the tile of phase r; a tile then takes s = 0, 1 of its
    block and of the next one.

    Args:
        conv: the convolution whose weights are used; it is not modified.

    Raises:
        ValueError: the convolution has a different form.
    """

    kernel: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        if not fits(conv) or isinstance(conv.padding, str):
            raise ValueError(f"needs a 3x3 convolution of stride 1 and zero padding, got {conv}")
        self.padding = conv.padding[0]
        self.dilation = conv.dilation[0]
        with torch.no_grad():
            g = torch.tensor(_G, dtype=torch.float64, device=conv.weight.device)
            kernel = torch.einsum("ik,ockl,jl->ijco", g, conv.weight.double(), g)
        self.register_buffer("kernel", kernel.to(conv.weight.dtype).flatten(0, 1).contiguous())
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, K, H + 2 (p - d), W + 2 (p - d))``, in channels-last memory."""
        block = 2 * self.dilation
        height, width = (side + 2 * (self.padding - self.dilation) for side in x.shape[2:])
        rows, columns = -(-height // block), -(-width // block)
        bottom = block * (rows + 1) - x.shape[2] - self.padding
        right = block * (columns + 1) - x.shape[3] - self.padding
        x = F.pad(x.permute(0, 2, 3, 1), (0, 0, self.padding, right, self.padding, bottom))
        x = x.unflatten(2, (columns + 1, 2, self.dilation))
        x = x.unflatten(1, (rows + 1, 2, self.dilation))

        # Now (B, rows, 2, d, columns, 2, d, C). Transform rows, then columns.
        shape = (x.shape[0], rows, self.dilation, columns, self.dilation)
        tiles = x.new_empty(4, 4, *shape, x.shape[-1])
        for i, row in enumerate(_to_tiles(x, 1)):
            _to_tiles(row, 3, out=tiles[i])
        products = torch.bmm(tiles.view(16, -1, x.shape[-1]), self.kernel)
        # (4, 4, B, rows, d, columns, d, K): undo rows, then columns.
        products = _from_tiles(products.view(4, 4, *shape, -1), 0, 3)
        y = _from_tiles(products, 0, 5)
        y = y.flatten(4, 6).flatten(1, 3)[:, :height, :width]
        if self.bias is not None:
            y = y + self.bias
        return y.permute(0, 3, 1, 2)


def _to_tiles(x: Tensor, dim: int, out: Tensor | None = None) -> Tensor:
    """``B' d`` along a dimension of blocks; the next dimension is the position within a block."""
    first, second = x.unbind(dim + 1)
    count = first.shape[dim] - 1
    a, c = first.narrow(dim, 0, count), first.narrow(dim, 1, count)
    b, d = second.narrow(dim, 0, count), second.narrow(dim, 1, count)
    if out is None:
        out = a.new_empty(4, *a.shape)
    torch.sub(a, c, out=out[0])
    torch.add(b, c, out=out[1])
    torch.sub(c, b, out=out[2])
    torch.sub(b, d, out=out[3])
    return out


def _from_tiles(m: Tensor, dim: int, place: int) -> Tensor:
    """``A' m`` along a dimension of size four; its two results form a new dimension ``place``."""
    m0, m1, m2, m3 = m.unbind(dim)
    out = m0.new_empty(*m0.shape[:place], 2, *m0.shape[place:])
    first, second = out.unbind(place)
    torch.add(m0, m1, out=first).add_(m2)
    torch.sub(m1, m2, out=second).sub_(m3)
    return out


def fits(conv: nn.Module) -> bool:
    """Whether a module is a convolution that `WinogradConv2d` can compute."""
    return (
        isinstance(conv, nn.Conv2d)
        and conv.kernel_size == (3, 3)
        and conv.stride == (1, 1)
        and conv.groups == 1
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
        and conv.padding[0] == conv.padding[1]
        and conv.dilation[0] == conv.dilation[1]
    )


def use_winograd(network: Module) -> Module:
    """Replace the convolutions for which `WinogradConv2d` is faster, in place."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if not isinstance(child, nn.Conv2d) or not fits(child):
                continue
            if child.in_channels * child.out_channels >= _LEAST_KERNELS:
                setattr(module, name, WinogradConv2d(child))
    return network
