"""Bounded memory: windows of an image, concurrent reading and writing."""

import threading

import numpy as np
import pytest
import torch

import fusion.networks.base
from fusion.base.errors import UserError
from fusion.commands.pipeline import overlapped
from fusion.images.pixels import PixelScaling
from fusion.networks.lrrnet import LRRNet

WAIT = 30  # timeout in seconds for a thread that should arrive


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


# --- Windows of a picture -------------------------------------------------------------------------


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(LRRNet, "WHOLE_PIXELS", 100)
    monkeypatch.setattr(LRRNet, "WINDOW", 23)
    monkeypatch.setattr(LRRNet, "RAW_BYTES", 1000)  # the rest goes to a file


@pytest.mark.parametrize("depth", ["grey", "colour", "float"])
@pytest.mark.parametrize(
    "scaling", [PixelScaling(), PixelScaling("unit", "clamp", 9.0, rounding="round")]
)
@pytest.mark.parametrize("extractor", ["llrr", "dense", "conv"])
def test_windows_give_the_picture_of_the_whole(rng, small_windows, depth, scaling, extractor):
    network = LRRNet(4, 2, extractor=extractor, scaling=scaling).eval().requires_grad_(False)
    mean = network(*torch.rand(2, 1, 1, 70, 60)).mean()
    network.decoder.sparse.bias += 0.5 / scaling.gain - mean  # between the ends of a clamp
    ir = rng.integers(0, 256, (70, 60), np.uint8)
    vis = rng.integers(0, 256, (70, 60, 3) if depth == "colour" else (70, 60), np.uint8)
    if depth == "float":
        ir = ir.astype(np.float32) * 0.7
    ours = network.fuse(ir, vis)
    network.WHOLE_PIXELS = 1 << 20
    whole = network.fuse(ir, vis)
    assert ours.shape == whole.shape and ours.dtype == np.uint8
    difference = np.abs(ours.astype(int) - whole)
    assert difference.max() <= 1 and (difference > 0).mean() < 0.01
    assert whole.std() > 2


def test_no_more_than_a_window_is_computed_at_a_time(rng, small_windows, monkeypatch):
    network = LRRNet(2, 1).eval().requires_grad_(False)
    sizes, forward = [], LRRNet.forward
    monkeypatch.setattr(
        LRRNet, "forward", lambda *a: (sizes.append(a[1].shape[2:]), forward(*a))[1]
    )
    network.fuse(*rng.integers(0, 256, (2, 100, 300), np.uint8))
    assert len(sizes) == 5 * 14
    assert max(max(size) for size in sizes) == 23 + 2 * network.reach


@pytest.mark.parametrize("extractor", ["llrr", "dense", "conv"])
def test_reach_is_how_far_a_pixel_acts(extractor):
    network = LRRNet(4, 1, extractor=extractor).double()
    with torch.no_grad():  # nothing below a threshold or a ReLU
        for name, parameter in network.named_parameters():
            parameter.abs_() if "threshold" not in name else parameter.zero_()
    x = torch.rand(1, 1, 31, 31, dtype=torch.float64, requires_grad=True)
    network(x, torch.rand_like(x))[0, 0, 15, 15].backward()
    rows = x.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert (15 - int(rows[0]), int(rows[-1]) - 15) == (network.reach, network.reach)


def test_no_room_for_the_raw_output(rng, small_windows, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fusion.networks.base, "SpooledTemporaryFile", full)
    network = LRRNet(2, 1).eval()
    with pytest.raises(UserError, match=r"no room for .* TMPDIR"):
        network.fuse(*rng.integers(0, 256, (2, 50, 50), np.uint8))


def test_output_that_is_not_finite_is_refused_in_windows_too(rng, small_windows):
    network = LRRNet(2, 1).eval().requires_grad_(False)
    network.decoder.low_rank.bias.fill_(float("nan"))
    with pytest.raises(UserError, match="not finite"):
        network.fuse(*rng.integers(0, 256, (2, 50, 50), np.uint8))


# --- Reading, working and writing at once ---------------------------------------------------------


def arrays_of(item):
    return (np.full(3, item),)


def test_results_and_errors_come_in_order():
    written = []

    def read(item):
        if item == 2:
            raise UserError("unreadable 2")
        return arrays_of(item)

    def work(item, arrays):
        if item == 4:
            raise UserError("unusable 4")
        return int(arrays[0][0]) * 10

    def write(item, result):
        if item == 6:
            raise UserError("unwritable 6")
        written.append((item, result))

    seen = [(i, error and str(error)) for i, error in overlapped(range(8), read, work, write)]
    assert seen == [
        (0, None),
        (1, None),
        (2, "unreadable 2"),
        (3, None),
        (4, "unusable 4"),
        (5, None),
        (6, "unwritable 6"),
        (7, None),
    ]
    assert written == [(i, 10 * i) for i in (0, 1, 3, 5, 7)]
    assert list(overlapped([], read, work, write)) == []


def test_reading_and_writing_happen_beside_work():
    """Each step waits for one that can only have started if the three run concurrently."""
    begun = {name: threading.Event() for name in ("read 2", "write 0")}

    def read(item):
        if item == 2:
            begun["read 2"].set()
        return arrays_of(item)

    def work(item, arrays):
        if item == 1:
            assert begun["read 2"].wait(WAIT) and begun["write 0"].wait(WAIT)

    def write(item, _):
        if item == 0:
            begun["write 0"].set()

    assert all(error is None for _, error in overlapped(range(4), read, work, write))


def test_what_is_in_memory_does_not_grow():
    """At most one item is read, one processed and one written at a time; one if large."""
    for size, most in ((10, 4), (1 << 27, 1)):
        alive, peak, lock = set(), [0], threading.Lock()

        def read(item, size=size, alive=alive, peak=peak, lock=lock):
            with lock:
                alive.add(item)
                peak[0] = max(peak[0], len(alive))
            return (np.empty(size, np.uint8),)

        def write(item, _, alive=alive, lock=lock):
            with lock:
                alive.discard(item)

        for _ in overlapped(range(40), read, lambda *_: None, write):
            pass
        assert not alive and peak[0] <= most


def test_defects_are_raised_and_end_the_threads():
    def work(item, _):
        raise ZeroDivisionError

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(overlapped(range(3), arrays_of, work, lambda *_: None))
    with pytest.raises(ZeroDivisionError):
        list(overlapped(range(3), arrays_of, lambda *_: None, work))
    assert threading.active_count() == before
