"""Benchmark of a frame: this package's tracker against the structure of the published code.

The published structure (DFAT on PySOT) processes RGB and infrared one after the other, recomputes
the template's correlation kernels in every frame, keeps batch normalisation separate from the
convolutions, records an autograd graph, and computes masks that do not affect boxes. `PlainNetwork`
implements it with the same convolutions as ours. All variants give the same responses, up to
rounding and to the chosen precision, which is measured as well.

CPU seconds are those of the process, the minimum over rounds in which the variants alternate: other
programs then affect all of them alike, and the minimum hardly at all. Frames per second are by the
wall clock and require an otherwise idle machine. On a GPU, all times are times to the result.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fusion.base.errors import UserError
from fusion.base.tables import counted, format_table
from fusion.commands.bench import least_seconds, machine
from tracker.data.frames import MODALITIES
from tracker.model.head import CorrelationHead, Response
from tracker.model.joint import JointTracker
from tracker.model.neck import crop_centre
from tracker.model.network import TrackerNetwork
from tracker.model.presets import ALL_PRESETS, build_network
from tracker.model.pretrained import INCLUDED_TRACKER
from tracker.model.settings import OnlineSettings
from tracker.model.weights import Network, load_tracker
from tracker.online.rgbt_tracker import RGBTTracker
from tracker.online.runtime import PRECISIONS, RUNTIMES, check_runtime

__all__ = ["PlainNetwork", "bench", "format_report"]

MASK_CELLS = 63 * 63  # outputs of the published mask head, a 63 x 63 mask per cell
PUBLISHED = "published structure"
UNFOLDED = "as trained"


class PlainNetwork(nn.Module):
    """The published per-frame computation with the convolutions of a network on both modalities.

    Args:
        network: a network with branches "rgb" and "ir", and optionally one fused after the neck.
    """

    def __init__(self, network: TrackerNetwork):
        super().__init__()
        if network.modalities != MODALITIES:
            raise ValueError(f"needs the branches rgb and ir, got {network.branches}")
        if network.fusions and network.fusion_tap != "after_neck":
            raise ValueError("needs features that are fused after the neck, if they are")
        self.network = network
        channels = network.architecture["channels"]
        levels = network.num_levels
        self.mask_head = CorrelationHead(channels, MASK_CELLS)
        for conv in (self.mask_head.conv_kernel, self.mask_head.conv_search):
            conv[0] = nn.Conv2d(levels * channels, channels, 3, bias=False)

    def features(self, inputs: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        """Neck features, one modality after the other, and the fused ones."""
        features = {}
        for modality, x in inputs.items():
            part = self.network.part_of[modality]
            if self.network.stems:
                x = self.network.stems[modality](x)
            features[modality] = self.network.necks[part](self.network.backbones[part](x))
        if self.network.fusions:
            pairs = zip(self.network.fusions, features["rgb"], features["ir"], strict=True)
            features["fused"] = [fuse(rgb, ir) for fuse, rgb, ir in pairs]
        return features

    def template(self, inputs: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        """Cropped neck features."""
        cells = self.network.template_cells
        return {
            branch: [crop_centre(level, cells) for level in levels]
            for branch, levels in self.features(inputs).items()
        }

    def forward(self, template: dict[str, list[Tensor]], inputs: dict[str, Tensor]) -> Response:
        """The joint response to search images from `prepare`."""
        features = self.features(inputs)
        responses = {}
        for branch, levels in features.items():
            head = self.network.heads[self.network.part_of[branch]]
            responses[branch] = head(head.kernels(template[branch]), levels)
        kernel = self.mask_head.conv_kernel(torch.cat(template["rgb"], dim=1))
        self.mask_head(kernel, torch.cat(features["rgb"], dim=1))
        return self.network.decide(responses)


def bench(
    preset: str = INCLUDED_TRACKER,
    *,
    rounds: int = 5,
    device: torch.device | str = "cpu",
    threads: Sequence[int] = (1, 2),
    frame_size: tuple[int, int] = (640, 512),
    runtimes: Sequence[str] = tuple(RUNTIMES),
) -> dict:
    """Measure a frame of this package's tracker against the published structure.

    Ours is a whole frame of `RGBTTracker`, including crops, decision and box; of the published
    structure, only the network is measured.

    Args:
        preset: "small", the included tracker with its weights, or another of
            `tracker.model.presets.ALL_PRESETS` on both modalities, with untrained weights.
        rounds: number of rounds, of which the minimum counts; one uncounted round precedes them.
        device: the device of all variants.
        threads: numbers of threads of PyTorch, each measured; restored afterwards.
        frame_size: width and height of the frames.
        runtimes: names in `tracker.online.runtime.RUNTIMES`, each measured in all its precisions.

    Returns:
        "machine", "preset", "device", "rounds", "left_out" (runtimes that cannot be used here, with
        the reason), and "threads": by number and by name of the variant, the minimum "seconds" per
        frame, "frames" per second, and the largest "difference" of its responses from those of the
        first variant, relative to their largest value; None where they are not comparable.

    Raises:
        UserError: the preset cannot be compared, or an argument is out of range.
    """
    if preset not in (known := list(filter(_is_comparable, ALL_PRESETS))):
        raise UserError(
            f"--preset {preset}: the networks compared with it read RGB and infrared; give one of "
            f"{', '.join(known)}"
        )
    device = torch.device(device)
    ways, left_out = _usable(runtimes, device)
    threads_before = torch.get_num_threads()
    measured = {}
    try:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = (
                load_tracker() if preset == INCLUDED_TRACKER else build_network(preset)
            ).eval()
            plain = _reference(network).eval().to(device)
            smallest = build_network("nanotrack_rgb").eval()
        for number in threads:
            torch.set_num_threads(number)
            measured[number] = _measure(network, plain, smallest, ways, rounds, device, frame_size)
    finally:
        torch.set_num_threads(threads_before)
    return {
        "machine": machine(),
        "preset": preset,
        "device": str(device),
        "rounds": rounds,
        "left_out": left_out,
        "threads": measured,
    }


def _is_comparable(preset: str) -> bool:
    arguments = ALL_PRESETS[preset]
    modalities = arguments.get("branches", arguments.get("modalities", MODALITIES))
    return len(modalities) == len(MODALITIES) and arguments.get("join") != "pixels"


class UnfoldedNetwork(nn.Module):
    """A joint network as trained, with batch normalisation separate from the convolutions."""

    def __init__(self, network: JointTracker):
        super().__init__()
        self.network = network

    def template(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Features of the template."""
        return self.network.template(inputs)

    def forward(self, template: dict[str, Tensor], inputs: dict[str, Tensor]) -> Response:
        """The joint response; the template's kernels are computed again."""
        kernels = self.network.kernels(template)
        return self.network.joint_response(kernels, self.network.features(inputs))


def _reference(network: Network) -> PlainNetwork | UnfoldedNetwork:
    if isinstance(network, TrackerNetwork):
        return PlainNetwork(network)
    return UnfoldedNetwork(network)


def _usable(
    runtimes: Sequence[str], device: torch.device
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Runtimes and precisions that can be measured, and the reasons why other runtimes cannot."""
    usable, left_out = [], {}
    for runtime in runtimes:
        try:
            check_runtime(runtime, PRECISIONS[0], device)
        except UserError as error:
            left_out[runtime] = str(error)
        else:
            usable.append(runtime)
    ways = [
        (runtime, precision)
        for precision in PRECISIONS
        for runtime in usable
        if precision in RUNTIMES[runtime].precisions
    ]
    return ways, left_out


def _name(runtime: str, precision: str) -> str:
    return runtime if precision == PRECISIONS[0] else f"{runtime}, {precision}"


def _measure(
    network: Network,
    plain: PlainNetwork | UnfoldedNetwork,
    smallest: Network,
    ways: Sequence[tuple[str, str]],
    rounds: int,
    device: torch.device,
    frame_size: tuple[int, int],
) -> dict[str, dict[str, float | None]]:
    width, height = frame_size
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (height, width, 3), np.uint8)
    ir = rng.integers(0, 256, (height, width), np.uint8)
    box = (width / 2 - 40, height / 2 - 30, 80, 60)
    generator = torch.Generator().manual_seed(0)

    def crops(size: int) -> dict[str, Tensor]:
        images = torch.randint(0, 256, (2, 1, 3, size, size), generator=generator).float()
        return network.prepare({"rgb": images[0].to(device), "ir": images[1].to(device)})

    small, large = crops(network.exemplar_size), crops(network.search_size)
    with torch.no_grad():
        template = plain.template(small)
        expected = plain(template, large)
    reference = PUBLISHED if isinstance(plain, PlainNetwork) else UNFOLDED
    contestants: dict[str, Callable[[], object]] = {
        reference: lambda: plain(template, large).cls.detach().cpu()
    }
    differences: dict[str, float | None] = {reference: None}
    for runtime, precision in ways:
        name = _name(runtime, precision)
        # Without template updates: the published ones occur at the same frames and cost the same.
        settings = OnlineSettings(update_interval=0)
        threads = torch.get_num_threads()
        tracker = RGBTTracker(network, device, settings, runtime, precision, threads)
        with torch.inference_mode():
            ours: Any = tracker.network
            tracker.search.learn(ours.kernels(ours.template(small)))
            _, response = tracker.search(large)
        differences[name] = max(
            float((a - b).abs().max() / b.abs().max())
            for a, b in zip(response, expected, strict=True)
        )
        tracker.init(rgb, ir, box)
        contestants[name] = partial(tracker.track, rgb, ir)
    if isinstance(network, JointTracker):
        for runtime, precision in ways:
            if precision == PRECISIONS[0]:
                one = RGBTTracker(smallest, device, settings, runtime, precision, threads)
                one.init(rgb, None, box)
                name = f"NanoTrack v3 on RGB, {runtime}"
                contestants[name], differences[name] = partial(one.track, rgb, None), None
    wall = least_seconds(contestants, rounds, time.perf_counter)
    seconds = least_seconds(contestants, rounds) if device.type == "cpu" else wall
    return {
        name: {
            "seconds": seconds[name],
            "frames": 1 / wall[name],
            "difference": differences[name],
        }
        for name in contestants
    }


def format_report(result: dict) -> str:
    """`bench`'s result as readable tables."""
    kind = "CPU seconds" if result["device"] == "cpu" else "seconds"
    rounds = counted(result["rounds"], "round")
    lines = [
        f"{result['preset']} on {result['machine']}, {result['device']}: "
        f"per frame, minimum of {rounds}"
    ]
    header = ["", kind, "x", "frames/s", "difference"]
    for number, ways in result["threads"].items():
        first = next(iter(ways))
        rows = [
            [
                name,
                f"{way['seconds']:.4f}",
                f"{ways[first]['seconds'] / way['seconds']:.2f}",
                f"{way['frames']:.1f}",
                None if way["difference"] is None else f"{way['difference']:.0e}",
            ]
            for name, way in ways.items()
        ]
        title = "1 thread" if number == 1 else f"{number} threads"
        lines += ["", title, "", format_table(header, rows)]
    lines += [
        "",
        f"x: times less {kind} than the first. Frames/s: by the wall clock.",
        "Difference: from the first variant's responses, at most, relative to their largest value.",
    ]
    lines += [f"Left out: {name} ({reason})." for name, reason in result["left_out"].items()]
    return "\n".join(lines)
