"""Backbone features of training pairs, computed once for all trainings that keep the backbone.

A comparison of joins trains many networks that differ after the backbone alone, on the same pairs.
What the backbone makes of a pair is then a constant: template and search features of both
modalities, half a megabyte instead of seconds of convolutions.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from fusion.base.errors import UserError
from fusion.base.files import whole_file
from tracker.training.video_pairs import VideoPairs

#: What of a pair is kept beside its features.
KEPT = ("box", "positive", "labelled")
_BATCH = 16


@torch.no_grad()
def cache_features(network: Any, pairs: VideoPairs, path: Path, about: str = "") -> None:
    """Compute the features of all pairs and write them to a file.

    Features are stored in float16, rounded to eleven significant bits.

    Args:
        network: a `tracker.model.joint.JointTracker`; its backbone is used as for inference.
        pairs: as many as their length.
        path: a safetensors file.
        about: shown before the progress bar.

    Raises:
        UserError: a feature exceeds the range of float16, or the file cannot be written.
    """
    network = network.for_inference()
    whole: dict[str, Tensor] = {}
    for start in tqdm(range(0, len(pairs), _BATCH), desc=about, unit="batch", disable=None):
        items = [pairs[i, i] for i in range(start, min(start + _BATCH, len(pairs)))]
        batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
        for name, values in _features_of(network, batch).items():
            if name not in whole:
                whole[name] = values.new_empty((len(pairs), *values.shape[1:]))
            whole[name][start : start + len(values)] = values
    for name, values in whole.items():
        if not values.isfinite().all():
            raise UserError(f"{name}: features exceed the range of float16; train with crops")
    with whole_file(path) as temporary:
        save_file(whole, temporary)


def _features_of(network: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {name: batch[name] for name in KEPT}
    for crop in ("template", "search"):
        images = {m: batch[f"{crop}_{m}"] for m in network.modalities}
        compute = network.template if crop == "template" else network.features
        for m, values in compute(network.prepare(images)).items():
            found[f"{crop}_{m}"] = values.half().contiguous()
    return found | {f"usable_{m}": batch[f"usable_{m}"] for m in network.modalities}


class CachedPairs(Dataset):
    """Pairs of a file of `cache_features`, by ``(index, draw)`` like `VideoPairs`.

    An item has ``template_rgb``, ``search_rgb`` and so on, features ``(C, H, W)`` float32, and
    ``box``, ``positive``, ``labelled`` and ``usable_rgb``, ``usable_ir`` of the pair.

    Raises:
        UserError: the file is damaged.
    """

    def __init__(self, path: Path):
        try:
            self.tensors = load_file(path)
        except Exception as error:  # safetensors has no public class of errors
            raise UserError(
                f"{path}: cannot be read ({error}); remove it to compute it again"
            ) from error

    def __len__(self) -> int:
        return len(self.tensors["box"])

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        item = {name: values[key[0]] for name, values in self.tensors.items()}
        return {n: v.float() if v.dtype == torch.float16 else v for n, v in item.items()}
