"""Export of a tracker's network to ONNX files, for the frame loop of `tracker.online.rgbt_tracker`
in other programs.

The three passes of `tracker.online.passes` are written to one file each. The metadata of each file
contains what the loop needs: sizes of the crops, pixel convention, anchors and online settings. The
loop can be written from the files alone.
"""

import copy
import dataclasses
import json
from pathlib import Path

import torch

from fusion.base.files import check_folder, make_folder
from fusion.base.onnx import check_packages, write_onnx
from tracker.model.anchors import anchor_shapes
from tracker.model.network import TrackerNetwork, fold_batch_norm
from tracker.model.settings import OnlineSettings
from tracker.model.weights import FORMAT, Network
from tracker.online.passes import KernelPass, SearchPass, TemplatePass

#: The files of an export, in the order in which they are run.
FILES = ("template.onnx", "kernels.onnx", "search.onnx")


def export_tracker(network: Network, folder: str | Path) -> dict[str, float]:
    """Write a tracker's template, kernel and search pass as ONNX files with fixed sizes.

        ======================  ========================================  ======================
        file                    inputs                                    outputs
        ======================  ========================================  ======================
        ``template.onnx``       one crop per modality                     ``template_*``
        ``kernels.onnx``        ``template_*``                            ``kernel_*``
        ``search.onnx``         ``kernel_*``, one crop per modality       ``cls``, ``loc``
        ======================  ========================================  ======================

    A crop is "rgb" or "ir", float32 ``(1, 3, S, S)``, as `TrackerNetwork` takes it; `cls` and `loc`
    are those of `tracker.model.head.Response`, combined over all branches.

    Args:
        network: a network with weights; it is not modified.
        folder: output folder; created if missing.

    Returns:
        By file, the largest difference from PyTorch, relative to the largest value of an output.

    Raises:
        UserError: see `fusion.base.onnx.write_onnx`; files written before the failure remain, each
            complete and verified.
    """
    check_packages()
    folder = make_folder(check_folder(Path(folder)))
    network = fold_batch_norm(copy.deepcopy(network).eval().requires_grad_(False).cpu())
    template = TemplatePass(network)
    kernels = KernelPass(network)
    search = SearchPass(network)
    modalities = list(network.modalities)
    generator = torch.Generator().manual_seed(0)

    def crops(size: int) -> tuple[torch.Tensor, ...]:
        shape = (len(modalities), 1, 3, size, size)
        return tuple(torch.randint(0, 256, shape, generator=generator).float())

    # Each pass is compared on the output of the pass before it.
    with torch.inference_mode():
        exemplars = [crops(network.exemplar_size) for _ in range(2)]
        features = [tuple(template(*each)) for each in exemplars]
        searches = [(*kernels(*each), *crops(network.search_size)) for each in features]
    plans = (
        (template, exemplars, modalities, template.feature_names),
        (kernels, features, kernels.feature_names, kernels.kernel_names),
        (search, searches, [*search.kernel_names, *modalities], ["cls", "loc"]),
    )
    metadata = _metadata(network)
    return {
        name: write_onnx(
            module,
            folder / name,
            # Tensors of inference mode cannot be exported.
            [tuple(tensor.clone() for tensor in each) for each in checks],
            inputs=inputs,
            outputs=outputs,
            metadata=metadata,
        )
        for name, (module, checks, inputs, outputs) in zip(FILES, plans, strict=True)
    }


def _metadata(network: Network) -> dict[str, str]:
    arguments = network.architecture
    metadata = {
        "network": FORMAT,
        "architecture": json.dumps(arguments),
        "online": json.dumps(dataclasses.asdict(OnlineSettings(**network.online))),
        "usage": _usage(network),
    }
    cells = {"stride": network.stride, "cells": network.response_size}
    if isinstance(network, TrackerNetwork):
        scale, ratios = arguments["anchor_scale"], arguments["anchor_ratios"]
        shapes = anchor_shapes(network.stride, scale, ratios)
        metadata["anchors"] = json.dumps({"width_height": shapes.tolist(), **cells})
    else:
        metadata["cells"] = json.dumps(cells)
    return metadata


_WITHOUT_ANCHORS = (
    "cls: the logit of the background, then of the target; loc: the logarithms of the distances "
    "from a cell to the left, top, right and bottom side of the box, in pixels of the crop; cells "
    "are 'stride' pixels apart around the crop's centre."
)
_WITH_ANCHORS = (
    "cls: A logits of the background, then A of the target; loc: A shifts in x, A in y, A "
    "logarithms of the scale of width, A of height, relative to the anchors, which are 'stride' "
    "pixels of the crop apart around its centre."
)


def _usage(network: Network) -> str:
    if isinstance(network, TrackerNetwork) and network.pixels == "standardized":
        inside = "the files bring each crop to zero mean and unit deviation"
    else:
        inside = "the files reorder the channels to BGR"
        if isinstance(network, TrackerNetwork) and len(network.modalities) > 1:
            inside += " and bring the infrared to the mean of the RGB"
    outputs = _WITH_ANCHORS if isinstance(network, TrackerNetwork) else _WITHOUT_ANCHORS
    return (
        f"Crops: float32 (1, 3, S, S), 0..255, rgb in RGB order, ir as three equal channels; "
        f"{inside}. S is {network.exemplar_size} for template.onnx and {network.search_size} for "
        "search.onnx. A template crop is a square of area (w + c)(h + c) around a box of w by h, "
        "with c = context * (w + h); a search crop is larger by the ratio of the two S. Run "
        f"template.onnx and kernels.onnx on the first frame, search.onnx on every other frame. "
        f"{outputs} An update blends a new template_* into the old one by update_rate and runs "
        "kernels.onnx again."
    )
