"""The LLRR block against its definitions: proximal operator, dense LISTA, finite differences."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from fusion.llrr.block import LLRR, LLRRBlock, conv3x3, soft_threshold, sum_of_taps


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


# --- Soft threshold -----------------------------------------------------------------------------


@pytest.mark.parametrize("t", [0.0, 0.3, 1.7])
def test_soft_threshold_is_the_proximal_operator_of_the_l1_norm(t):
    """h_t(v) minimises t |u| + (u - v)^2 / 2, here over a fine grid of u."""
    v = np.linspace(-3, 3, 41)
    grid = np.linspace(-4, 4, 80_001)
    cost = t * np.abs(grid)[None] + (grid[None] - v[:, None]) ** 2 / 2
    best = grid[cost.argmin(1)]
    ours = soft_threshold(torch.from_numpy(v), t).numpy()
    np.testing.assert_allclose(ours, best, atol=1e-4)


def test_soft_threshold_takes_a_negative_threshold_literally():
    v = torch.tensor([-2.0, -0.001, 0.0, 0.001, 2.0])
    expected = torch.tensor([-2.25, -0.251, 0.0, 0.251, 2.25])
    torch.testing.assert_close(soft_threshold(v, -0.25), expected)
    # The common shortcut is a different function there.
    shortcut = v - v.clamp(0.25, -0.25)
    assert not torch.allclose(shortcut, expected)


def test_soft_threshold_has_one_threshold_a_channel():
    v = torch.randn(2, 3, 4, 5)
    t = torch.tensor([0.1, -0.2, 0.9]).view(3, 1, 1)
    together = soft_threshold(v, t)
    for channel in range(3):
        alone = soft_threshold(v[:, channel], float(t[channel]))
        torch.testing.assert_close(together[:, channel], alone)


def test_soft_threshold_gradients():
    v = torch.tensor([-1.3, -0.4, 0.25, 0.9, 2.0], dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.5, 0.7, -0.3, 0.2, 0.1], dtype=torch.float64, requires_grad=True)
    assert gradcheck(soft_threshold, (v, t))


# --- Stack --------------------------------------------------------------------------------------


def dense_conv(conv: torch.nn.Conv2d, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and offset of a reflecting 3x3 convolution on flattened ``C x H x W`` arrays.

    Built from index arithmetic alone, independently of any convolution routine.
    """
    weight = conv.weight.detach().double().numpy()
    outs, ins = weight.shape[:2]
    rows = np.pad(np.arange(height), 1, mode="reflect")
    columns = np.pad(np.arange(width), 1, mode="reflect")
    matrix = np.zeros((outs, height, width, ins, height, width))
    for y in range(height):
        for x in range(width):
            for i in range(3):
                for j in range(3):
                    matrix[:, y, x, :, rows[y + i], columns[x + j]] += weight[:, :, i, j]
    size = height * width
    offset = np.repeat(conv.bias.detach().double().numpy(), size)
    return matrix.reshape(outs * size, ins * size), offset


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("graph", [True, False])
def test_stack_equals_dense_matrix_lista(in_channels, graph):
    """The unrolled stack is LISTA with matrices: z <- h(W2 (x - W1 z) + lam z)."""
    height, width, filters = 4, 5, 6
    stack = LLRR(in_channels, filters, num_blocks=3).double()
    with torch.no_grad():
        stack.threshold[3] = -0.05
    x = torch.rand(1, in_channels, height, width, dtype=torch.float64)

    with torch.set_grad_enabled(graph):
        low_rank, sparse = stack(x)
    ours = torch.cat([low_rank, sparse], 1).detach().numpy().ravel()

    def h(v):
        t = np.repeat(stack.threshold.detach().numpy().ravel(), height * width)
        return np.sign(v) * np.maximum(np.abs(v) - t, 0)

    signal, lam = x.numpy().ravel(), stack.lam.item()
    matrix, offset = dense_conv(stack.encode, height, width)
    z = h(matrix @ signal + offset)
    for block in stack.blocks:
        w1, b1 = dense_conv(block.synthesis, height, width)
        w2, b2 = dense_conv(block.analysis, height, width)
        z = h(w2 @ (signal - (w1 @ z + b1)) + b2 + lam * z)
    np.testing.assert_allclose(ours, z, rtol=0, atol=1e-12)


def test_block_with_an_adjoint_dictionary_solves_the_lasso():
    """With C1 = D, C2 = s D^T, lam = 1 and t = s a, repeated steps are ISTA.

    Its fixed point satisfies the optimality conditions of |x - D z|^2 / 2 + a |z|_1. The kernels
    have only a centre, so that reflection has no effect and the adjoint is exact.
    """
    channels, coefficients, step, penalty = 4, 10, 0.05, 0.3
    block = LLRRBlock(channels, coefficients).double()
    dictionary = torch.randn(channels, coefficients, dtype=torch.float64)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
        block.synthesis.weight[:, :, 1, 1] = dictionary
        block.analysis.weight[:, :, 1, 1] = step * dictionary.T
    x = torch.randn(1, channels, 3, 3, dtype=torch.float64)
    z = torch.zeros(1, coefficients, 3, 3, dtype=torch.float64)
    threshold = torch.full((coefficients, 1, 1), step * penalty, dtype=torch.float64)
    one = torch.tensor(1.0, dtype=torch.float64)
    with torch.no_grad():
        for _ in range(20_000):
            z = block(x, z, threshold, one)
    correlation = torch.einsum(
        "ck,bchw->bkhw", dictionary, x - torch.einsum("ck,bkhw->bchw", dictionary, z)
    )
    active = z != 0
    assert active.any() and (~active).any()
    torch.testing.assert_close(correlation[active], penalty * z[active].sign(), rtol=0, atol=1e-6)
    assert (correlation[~active].abs() <= penalty + 1e-6).all()


def test_stack_gradients():
    stack = LLRR(2, 3, num_blocks=2).double()
    x = torch.rand(1, 2, 4, 3, dtype=torch.float64, requires_grad=True)
    names, parameters = zip(*stack.named_parameters(), strict=True)

    def run(x, *values):
        return torch.func.functional_call(stack, dict(zip(names, values, strict=True)), (x,))

    assert gradcheck(run, (x, *parameters))


@pytest.mark.parametrize("size", [(2, 2), (31, 17)])
@pytest.mark.parametrize("num_blocks", [0, 4])
def test_stack_without_a_graph_equals_stack_with_one(size, num_blocks):
    stack = LLRR(1, 48, num_blocks).double()
    with torch.no_grad():  # all cases: negative, zero, next to zero, ordinary
        stack.threshold[:4, 0, 0] = torch.tensor([-0.05, 0.0, 1e-9, 2e-6])
    x = torch.rand(2, 1, *size, dtype=torch.float64)
    kept = x.clone()
    with torch.no_grad():
        lean = stack(x)
    plain = stack(x)
    for a, b in zip(lean, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
    assert torch.equal(x, kept)


def test_stack_treats_batch_items_alone():
    stack = LLRR(5, 4, num_blocks=2)
    x = torch.randn(3, 5, 9, 8)
    with torch.inference_mode():
        together = torch.cat(stack(x), 1)
        for i in range(3):
            alone = torch.cat(stack(x[i : i + 1]), 1)
            torch.testing.assert_close(together[i : i + 1], alone)


@pytest.mark.parametrize("size", [(2, 2), (6, 7)])
def test_sum_of_taps_is_the_convolution(size):
    conv = conv3x3(21, 1)
    z = torch.randn(2, 21, *size)
    ours = sum_of_taps(conv.weight, z.flatten(2), size) + conv.bias
    torch.testing.assert_close(ours, conv(z), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("arguments", [(0, 4, 1), (1, 0, 1), (1, 4, -1)])
def test_stack_names_impossible_arguments(arguments):
    with pytest.raises(ValueError, match="in_channels >= 1"):
        LLRR(*arguments)
