"""What a frame costs: this package's tracker against the structure of the published code.

The published structure (DFAT on PySOT) runs RGB and infrared one after the other, recomputes the
correlation kernels of the template in every frame, keeps batch normalisation apart from the
convolutions, records an autograd graph, and computes masks no box depends on. `PlainNetwork` is
that, with the same convolutions as ours. Both give the same responses, which is checked.

Times are CPU seconds of the process, the least over rounds in which both take turns: what another
program does on the machine disturbs both alike and the least hardly at all. On a GPU they are
seconds of waiting for the result.
"""

import json
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from fusion.bench import least_seconds
from fusion.errors import UserError
from tracker.head import CorrelationHead, Response
from tracker.neck import crop_centre
from tracker.network import PRESETS, TrackerNetwork, build, fuse_decisions
from tracker.online import OnlineSettings, RGBTTracker

__all__ = ["PlainNetwork", "bench", "report"]

MASK_CELLS = 63 * 63  # outputs of the published mask head, a 63 x 63 mask a cell


class PlainNetwork(nn.Module):
    """The published per-frame computation on a two-branch network's convolutions.

    Args:
        network: with the branches "rgb" and "ir".
    """

    def __init__(self, network: TrackerNetwork):
        super().__init__()
        if network.branches != ("rgb", "ir"):
            raise ValueError(f"needs the branches rgb and ir, got {network.branches}")
        self.network = network
        channels = network.architecture["channels"]
        levels = len(network.heads[network.part_of["rgb"]].rpns)
        self.mask_head = CorrelationHead(channels, MASK_CELLS)
        for conv in (self.mask_head.conv_kernel, self.mask_head.conv_search):
            conv[0] = nn.Conv2d(levels * channels, channels, 3, bias=False)

    def features(self, inputs: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        """Neck features, one modality after the other."""
        features = {}
        for modality, x in inputs.items():
            part = self.network.part_of[modality]
            if self.network.stems:
                x = self.network.stems[modality](x)
            features[modality] = self.network.necks[part](self.network.backbones[part](x))
        return features

    def template(self, inputs: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        """Cropped neck features."""
        cells = self.network.template_cells
        return {
            modality: [crop_centre(level, cells) for level in levels]
            for modality, levels in self.features(inputs).items()
        }

    def forward(self, template: dict[str, list[Tensor]], inputs: dict[str, Tensor]) -> Response:
        """The joint response to `prepare`'d search images."""
        features = self.features(inputs)
        responses = []
        for modality, levels in features.items():
            head = self.network.heads[self.network.part_of[modality]]
            responses.append(head(head.kernels(template[modality]), levels))
        kernel = self.mask_head.conv_kernel(torch.cat(template["rgb"], dim=1))
        self.mask_head(kernel, torch.cat(features["rgb"], dim=1))
        if self.network.gates:
            names = dict(zip(features, responses, strict=True))
            return self.network.decide(names)
        return fuse_decisions(responses)


def bench(
    preset: str = "dfat",
    *,
    rounds: int = 5,
    device: torch.device | str = "cpu",
    threads: int | None = 1,
    frame_size: tuple[int, int] = (640, 512),
) -> dict[str, float | str | int]:
    """Measure a frame of ours against the published structure.

    Ours is a whole frame of `RGBTTracker`, crops, decision and box included; of the published
    structure only the network is counted.

    Args:
        preset: of `tracker.network.PRESETS`, with the branches rgb and ir: "dfat" or
            "compact_dfat".
        rounds: of which the least counts; before them each runs once uncounted.
        device: where both run.
        threads: of PyTorch; its own choice where None. Restored afterwards.
        frame_size: width and height of the frames.

    Returns:
        "preset", "device", "threads", "rounds", seconds a frame ("published", "ours"), their
        "ratio", and the largest "difference" of the responses relative to their largest value.

    Raises:
        UserError: the preset cannot be compared.
    """
    comparable = [name for name in PRESETS if PRESETS[name].get("fusion") is None]
    comparable = [name for name in comparable if len(PRESETS[name].get("branches", "12")) == 2]
    if preset not in comparable:
        raise UserError(
            f"preset {preset}: the published structure has an RGB and an infrared branch; name one "
            f"of {', '.join(comparable)}"
        )
    if rounds < 1:
        raise UserError(f"--rounds {rounds}: at least 1 is needed")
    device = torch.device(device)
    threads_before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = build(preset).eval()
            plain = PlainNetwork(network).eval().to(device)
        return _measure(preset, network, plain, rounds, device, frame_size)
    finally:
        torch.set_num_threads(threads_before)


def _measure(
    preset: str,
    network: TrackerNetwork,
    plain: PlainNetwork,
    rounds: int,
    device: torch.device,
    frame_size: tuple[int, int],
) -> dict[str, float | str | int]:
    width, height = frame_size
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (height, width, 3), np.uint8)
    ir = rng.integers(0, 256, (height, width), np.uint8)
    box = (width / 2 - 40, height / 2 - 30, 80, 60)
    # Without update: the published code's falls on the same frames, and costs both the same.
    tracker = RGBTTracker(network, device, OnlineSettings(update_interval=0))
    tracker.init(rgb, ir, box)

    generator = torch.Generator().manual_seed(0)

    def crops(size: int) -> dict[str, Tensor]:
        images = torch.randint(0, 256, (2, 1, 3, size, size), generator=generator).float()
        return network.prepare({"rgb": images[0].to(device), "ir": images[1].to(device)})

    small, large = crops(network.exemplar_size), crops(network.search_size)
    with torch.no_grad():
        template = plain.template(small)
        expected = plain(template, large)
        ours = tracker.network
        response = ours.decide(
            ours.respond(ours.kernels(ours.template(small)), ours.features(large))
        )
    difference = max(
        float((a - b).abs().max() / b.abs().max()) for a, b in zip(response, expected, strict=True)
    )
    contestants: dict[str, Callable] = {
        "published": lambda: plain(template, large).cls.detach().cpu(),
        "ours": lambda: tracker.track(rgb, ir),
    }
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    least = least_seconds(contestants, rounds, clock)
    return {
        "preset": preset,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        **least,
        "ratio": least["ours"] / least["published"],
        "difference": difference,
    }


def report(result: dict[str, float | str | int]) -> str:
    """`bench`'s result as lines to read."""
    kind = "CPU seconds" if result["device"] == "cpu" else "seconds"
    lines = [
        f"{result['preset']} on {result['device']}, {result['threads']} threads: {kind} a frame, "
        f"least of {result['rounds']} rounds in turn",
        f"  published structure  {result['published']:.4f}",
        f"  this package         {result['ours']:.4f}   ({result['ratio']:.2f} of it)",
        f"  responses differ by  {result['difference']:.1e} of their largest value",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    measured = bench()
    print(report(measured))
    print(json.dumps(measured))
