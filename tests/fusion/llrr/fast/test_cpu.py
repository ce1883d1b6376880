"""The compiled kernel against LRRNet's modules: values, gradients, and when it is not used."""

import copy
import pickle
import shutil

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import fusion.llrr.fast.branches
from fusion.base.errors import UserError
from fusion.llrr.block import LLRR
from fusion.llrr.fast import cpu
from fusion.llrr.fast.branches import Branch, branch_maps
from fusion.networks.lrrnet import LRRNet

needs_kernel = pytest.mark.skipif(not cpu.levels(), reason="the kernel was not built")
each_level = pytest.mark.parametrize("level", cpu.levels())


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def use(monkeypatch):
    """Makes networks use one level, or "0" for none."""
    return lambda level: monkeypatch.setenv("RGBT_FAST", level)


def make(num_filters=8, num_blocks=3, **options):
    """A network with thresholds around zero, so that all cases of the threshold occur."""
    network = LRRNet(num_filters, num_blocks, **options)
    with torch.no_grad():
        for stack in filter(lambda s: isinstance(s, LLRR), (network.infrared, network.visible)):
            stack.threshold.copy_(0.1 * stack.threshold - 0.03)
            stack.threshold[0] = 0
            stack.lam.uniform_(0.3, 0.9)
    return network


def pair(*size, dtype=torch.float32):
    return torch.rand(*size, dtype=dtype), torch.rand(*size, dtype=dtype)


def branches(network):
    decoder = network.decoder
    return (
        Branch(network.infrared, decoder.low_rank_ir, decoder.sparse_ir),
        Branch(network.visible, decoder.low_rank_vis, decoder.sparse_vis),
    )


def gradients(network, ir, vis, weight):
    """Gradients of a weighted sum of the output: the pictures' and the parameters'."""
    ir, vis = ir.detach().requires_grad_(), vis.detach().requires_grad_()
    network.zero_grad()
    (network(ir, vis) * weight).sum().backward()
    return [ir.grad, vis.grad] + [
        torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in network.parameters()
    ]


def relative(ours, exact):
    """Distance of two lists of gradients, relative to the length of the second."""
    difference = sum((a.double() - b).square().sum() for a, b in zip(ours, exact, strict=True))
    return float((difference / sum(b.square().sum() for b in exact)).sqrt())


def test_kernel_is_built_where_there_is_a_compiler():
    assert cpu.levels() or not (shutil.which("c++") or shutil.which("g++"))


# --- Values -------------------------------------------------------------------------------------


@each_level
@pytest.mark.parametrize("combine", ["concat", "add"])
@pytest.mark.parametrize(
    ("size", "num_filters", "num_blocks"),
    [
        ((1, 1, 2, 2), 4, 4),
        ((2, 1, 2, 37), 3, 1),
        ((1, 1, 41, 2), 3, 3),
        ((3, 1, 8, 8), 8, 4),
        ((1, 1, 3, 16), 1, 0),
        ((1, 1, 17, 33), 5, 8),
        ((1, 1, 9, 700), 4, 4),  # two chunks of columns
    ],
)
def test_values(use, level, combine, size, num_filters, num_blocks):
    network = make(num_filters, num_blocks, combine=combine)
    ir, vis = pair(*size)
    use(level)
    with torch.inference_mode():
        ours = network(ir, vis)
    exact = copy.deepcopy(network).double()(ir.double(), vis.double())
    torch.testing.assert_close(ours.double(), exact, rtol=0, atol=2e-6)


@each_level
def test_published_size(use, level):
    network = LRRNet()
    ir, vis = pair(1, 1, 40, 60)
    use(level)
    with torch.inference_mode():
        ours = network(ir, vis)
        exact = network.double()(ir.double(), vis.double())
    torch.testing.assert_close(ours.double(), exact, rtol=0, atol=1e-6)


@each_level
def test_chunks_of_columns_join_without_a_trace(use, level):
    network = make()
    ir, vis = pair(1, 1, 9, 700)
    use(level)
    before = torch.get_num_threads()
    fused = []
    try:
        with torch.inference_mode():
            for threads in (1, 4, 8):  # two chunks, two others, four
                torch.set_num_threads(threads)
                fused.append(network(ir, vis))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(fused[0], fused[1]) and torch.equal(fused[0], fused[2])


@needs_kernel
def test_result_does_not_depend_on_threads_or_batch():
    network = make()
    ir, vis = pair(3, 1, 12, 400)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            maps = torch.stack(sum(branch_maps((ir, vis), branches(network)), ()))
            results.append([maps, *torch.autograd.grad(maps.sum(), network.infrared.parameters())])
    finally:
        torch.set_num_threads(before)
    for one, three in zip(*results, strict=True):
        assert torch.equal(one, three)
    alone = branch_maps((ir[1:2], vis[1:2]), branches(network))
    assert torch.equal(torch.stack(sum(alone, ())), maps[:, 1:2])


@needs_kernel
def test_views_are_taken_as_they_are():
    network = make()
    ir, vis = pair(2, 1, 20, 30)
    transposed = network(ir.mT, vis.mT)
    assert torch.equal(transposed, network(ir.mT.contiguous(), vis.mT.contiguous()))
    strided = network(ir[..., ::2, ::3], vis[..., ::2, ::3])
    assert torch.equal(strided, network(ir[..., ::2, ::3].clone(), vis[..., ::2, ::3].clone()))


@each_level
def test_not_a_number_is_not_hidden(use, level):
    use(level)
    network = make().requires_grad_(False)
    ir, vis = pair(1, 1, 40, 40)
    ir[..., 20, 20] = float("nan")
    assert network(ir, vis)[..., 20, 20].isnan().all()


@needs_kernel
def test_no_pictures():
    network = make()
    out = network(*pair(0, 1, 5, 6))
    assert out.shape == (0, 1, 5, 6)
    out.sum().backward()
    assert not network.infrared.lam.grad


# --- Gradients ----------------------------------------------------------------------------------


@each_level
@pytest.mark.parametrize(
    ("size", "num_filters", "num_blocks"),
    [
        ((1, 1, 2, 2), 4, 4),
        ((2, 1, 2, 37), 3, 1),
        ((1, 1, 41, 2), 3, 3),
        ((1, 1, 3, 3), 3, 2),
        ((2, 1, 8, 8), 8, 4),
        ((2, 1, 5, 16), 1, 0),
        ((1, 1, 70, 65), 6, 8),
    ],
)
def test_gradients_are_those_of_float64(use, level, size, num_filters, num_blocks):
    network = make(num_filters, num_blocks)
    ir, vis = pair(*size)
    weight = torch.randn(size)
    use(level)
    ours = gradients(network, ir, vis, weight)
    exact = gradients(network.double(), ir.double(), vis.double(), weight.double())
    assert relative(ours, exact) < 2e-6
    # Each alone is a sum that may cancel; none may be wrong altogether.
    for a, b in zip(ours, exact, strict=True):
        torch.testing.assert_close(
            a.double(), b, rtol=1e-3, atol=1e-4 * float(b.abs().max()) + 1e-5
        )


@needs_kernel
def test_gradient_predicts_the_change():
    """A property that needs no second implementation: f(p + e d) - f(p - e d) = 2 e <grad, d>."""
    network = make(4, 2)
    with torch.no_grad():
        for stack in (network.infrared, network.visible):
            stack.threshold.clamp_(min=1e-3)  # no jump, at which no gradient tells the change
    ir, vis = pair(1, 1, 12, 19)
    gradients(network, ir, vis, torch.ones(()))
    slope, parameters = 0.0, list(network.parameters())
    directions = [torch.randn_like(p) for p in parameters]
    slope = sum(float((p.grad * d).sum()) for p, d in zip(parameters, directions, strict=True))

    def moved(step):
        with torch.no_grad():
            for p, d in zip(parameters, directions, strict=True):
                p += step * d
            value = network(ir, vis).double().sum()
            for p, d in zip(parameters, directions, strict=True):
                p -= step * d
        return float(value)

    assert (moved(1e-3) - moved(-1e-3)) / 2e-3 == pytest.approx(slope, rel=1e-2)


@needs_kernel
@pytest.mark.parametrize("frozen", ["pictures", "parameters", "one branch"])
def test_gradients_that_are_asked_for_alone(frozen):
    network = make()
    ir, vis = pair(1, 1, 9, 11)
    every = gradients(network, ir, vis, 1.0)
    network.zero_grad()
    if frozen == "parameters":
        network.requires_grad_(False)
    if frozen == "one branch":
        network.infrared.requires_grad_(False)
    if frozen != "pictures":
        ir, vis = ir.requires_grad_(), vis.requires_grad_()
    network(ir, vis).sum().backward()
    for tensor, full in zip([ir, vis, *network.parameters()], every, strict=True):
        assert (tensor.grad is not None) == tensor.requires_grad
        if tensor.grad is not None:
            assert torch.equal(tensor.grad, full)


@needs_kernel
def test_second_derivative_is_refused_with_the_mend():
    network = make()
    ir, vis = pair(1, 1, 8, 8)
    ir.requires_grad_()
    (slope,) = torch.autograd.grad(network(ir, vis).square().sum(), ir, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative; set the network's `fast`"):
        slope.square().sum().backward()
    network.fast = False
    (slope,) = torch.autograd.grad(network(ir, vis).square().sum(), ir, create_graph=True)
    slope.square().sum().backward()


@needs_kernel
def test_training_goes_as_without():
    start, (ir, vis) = make(16, 4), pair(2, 1, 24, 24)
    losses = []
    for fast in (True, False):
        network = copy.deepcopy(start)
        network.fast = fast
        optimizer = torch.optim.Adam(network.parameters(), 1e-3)
        losses.append([])
        for _ in range(10):
            loss = (network(ir, vis) - torch.maximum(ir, vis)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0][-1] < 0.9 * losses[0][0]


@needs_kernel
def test_autocast_keeps_the_kernel_in_float32(applies):
    network = make()
    ir, vis = pair(1, 1, 20, 20)
    exact = network(ir, vis)
    with torch.autocast("cpu", torch.bfloat16):
        assert applies(network, (ir.bfloat16(), vis))
        out = network(ir, vis)
    torch.testing.assert_close(out.float(), exact, rtol=0.02, atol=0.02)
    out.float().sum().backward()
    for parameter in network.parameters():
        assert parameter.grad.dtype == torch.float32 and parameter.grad.isfinite().all()


# --- When it keeps out ----------------------------------------------------------------------------


@pytest.fixture
def applies(monkeypatch):
    """Whether the kernel would be used for a network and images."""

    def applies(network, pictures):
        with monkeypatch.context() as patch:
            patch.setattr(fusion.llrr.fast.branches, "_by_kernel", lambda *_: "kernel")
            return branch_maps(pictures, branches(network)) == "kernel"

    return applies


@needs_kernel
def test_where_it_applies(applies):
    network, pictures = make(), pair(2, 1, 9, 8)
    assert applies(network, pictures)
    assert not applies(make().double(), pair(2, 1, 9, 8, dtype=torch.float64))
    assert not applies(make().double(), pictures)
    assert not applies(network, pair(2, 1, 9, 8, dtype=torch.float64))
    assert not applies(network, (pictures[0], pictures[1][:1]))
    assert not applies(network, pair(2, 3, 9, 8))
    assert not applies(make().to("meta"), pictures)
    assert not applies(make(8, 1, extractor="conv"), pictures)
    assert not applies(make(8, 1, extractor="dense"), pictures)


@needs_kernel
def test_hooks_are_called(applies):
    network, (ir, vis) = make(), pair(1, 1, 9, 8)
    block = network.visible.blocks[0]
    seen = []
    handle = block.synthesis.register_full_backward_pre_hook(lambda *_: seen.append(1))
    network(ir, vis).sum().backward()
    handle.remove()
    assert seen
    prune.random_unstructured(network.infrared.encode, "weight", 0.5)
    assert not applies(network, (ir, vis))


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("fast", [True, False])
def test_hooks_and_replaced_parts_are_called(graph, fast):
    class Doubled(nn.Conv2d):
        def forward(self, x):
            return 2 * super().forward(x)

    network, (ir, vis) = make(), pair(1, 1, 9, 8)
    network.fast = fast
    with torch.set_grad_enabled(graph):
        expected = network(ir, vis)
        seen = []
        handle = network.visible.blocks[0].register_forward_hook(lambda *_: seen.append(1))
        torch.testing.assert_close(network(ir, vis), expected)
        assert seen
        handle.remove()
        encode = network.infrared.encode
        doubled = Doubled(1, encode.out_channels, 3, padding=1, padding_mode="reflect")
        doubled.load_state_dict(encode.state_dict())
        network.infrared.encode = doubled
        replaced = network(ir, vis)
        encode.weight.data *= 2
        encode.bias.data *= 2
        network.infrared.encode = encode
        torch.testing.assert_close(replaced, network(ir, vis))
        assert not torch.allclose(replaced, expected)


@needs_kernel
@pytest.mark.filterwarnings("ignore")  # that tracing is deprecated
def test_transforms_and_recordings_see_the_modules():
    network, (ir, vis) = make(2, 1).requires_grad_(False), pair(3, 1, 1, 6, 7)
    mapped = torch.func.vmap(network)(ir, vis)
    torch.testing.assert_close(mapped[1], network(ir[1], vis[1]))
    slope = torch.func.grad(lambda x: network(x, vis[0]).sum())(ir[0])
    x = ir[0].clone().requires_grad_()
    network(x, vis[0]).sum().backward()
    torch.testing.assert_close(slope, x.grad)
    traced = torch.jit.trace(network, (ir[0], vis[0]), check_trace=False)
    assert "conv" in str(traced.inlined_graph)
    program = torch.export.export(network, (ir[0], vis[0]))
    torch.testing.assert_close(program.module()(ir[1], vis[1]), network(ir[1], vis[1]))


def test_switches(use, monkeypatch):
    network, (ir, vis) = make(), pair(1, 1, 9, 8)
    expected = network(ir, vis)
    calls = []
    monkeypatch.setattr(cpu, "branch_maps", lambda *_: calls.append(1))
    use("0")
    torch.testing.assert_close(network(ir, vis), expected)
    monkeypatch.delenv("RGBT_FAST")
    network.fast = False
    torch.testing.assert_close(network(ir, vis), expected)
    assert not calls


@needs_kernel
def test_unknown_level_is_named(use):
    use("mmx")
    with pytest.raises(UserError, match=r"RGBT_FAST=mmx: set it to 0 or to one of .*baseline"):
        make()(*pair(1, 1, 9, 8))


def test_without_the_library(monkeypatch):
    network, (ir, vis) = make(), pair(1, 1, 9, 8)
    expected = network(ir, vis)
    monkeypatch.setattr(cpu, "levels", tuple)
    torch.testing.assert_close(network(ir, vis), expected)
    with pytest.raises(RuntimeError, match="not available"):
        cpu.branch_maps(torch.rand(1, 1, 4, 4), torch.rand(1, 43), 1, 0)


@needs_kernel
def test_wrong_arguments_are_refused_before_memory_is_touched():
    x, packed = torch.rand(1, 1, 4, 4), torch.rand(1, 43)
    cpu.branch_maps(x, packed, 1, 0)
    for bad in ((x, packed[:, :-1]), (x[0], packed), (x[..., :1], packed), (x, packed[[0, 0]])):
        with pytest.raises(ValueError, match="are needed, got"):
            cpu.branch_maps(*bad, 1, 0)
    with pytest.raises(ValueError, match="float32 on the CPU"):
        cpu.branch_maps(x.double(), packed.double(), 1, 0)
    with pytest.raises(RuntimeError, match="no level 'mmx'"):
        cpu.branch_maps(x, packed, 1, 0, level="mmx")


def test_state_copies_and_pickles_are_unaffected():
    network = make()
    names = list(network.state_dict())
    network(*pair(1, 1, 9, 8)).sum().backward()
    assert list(network.state_dict()) == names and not any("fast" in name for name in names)
    network.fast = False
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert twin.fast is False and "fast" not in twin.architecture
        assert all(map(torch.equal, twin.state_dict().values(), network.state_dict().values()))


@needs_kernel
def test_distributed_training(tmp_path):
    network, (ir, vis) = make(), pair(2, 1, 9, 8)
    expected = gradients(network, ir, vis, 1.0)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        parallel = torch.nn.parallel.DistributedDataParallel(network)
        for ours, alone in zip(gradients(parallel, ir, vis, 1.0), expected, strict=True):
            assert torch.equal(ours, alone)
    finally:
        torch.distributed.destroy_process_group()
