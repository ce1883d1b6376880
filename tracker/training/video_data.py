"""The Lightning data module of pairs of real video."""

from functools import partial
from typing import Any

from fusion.base.errors import UserError
from tracker.training.footage import Source
from tracker.training.pair_data import PairDataModule
from tracker.training.real_video import (
    load_clips,
    load_masked_video,
    load_sequences,
    load_stills,
)
from tracker.training.recipe import Recipe
from tracker.training.sources import load_calibrations
from tracker.training.video_pairs import VideoPairs

DEFAULT_RECIPE = Recipe()


class VideoPairData(PairDataModule):
    """Template/search pairs of real video for the trained network, clean and degraded.

    `VideoPairs` describes the items.

    Args:
        masked_video: folder of visible videos with masks, see `load_masked_video`.
        clips: folder of RGBT videos without boxes, see `load_clips`.
        stills: folder of still pairs, see `load_stills`.
        sequences: folders of annotated sequences by layout, see `load_sequences`, also "synthetic".
        weights: relative probability of the sources by the names above; 1 by default.
        align: calibration files from ``fusion align`` by the names above, for sources whose
            infrared is not registered: ``--data.align.clips calibration.yaml``.
        reach: maximum distance in frames between template and search.
        cache: folder for decoded frames, shared by all processes and later runs; None keeps them in
            memory.
        holdout: fraction of every source's footage that is held out for validation, from the end of
            its list.
        recipe: how pairs vary, see `Recipe`.
        pairs: number of pairs per epoch.
        val_pairs: number of pairs of the held-out footage, the same in every validation.
        batch_size: pairs per step and device.
        workers: number of loader processes.
        seed: seed of the draws.
    """

    def __init__(
        self,
        masked_video: str | None = None,
        clips: str | None = None,
        stills: str | None = None,
        sequences: dict[str, str] | None = None,
        weights: dict[str, float] | None = None,
        align: dict[str, str] | None = None,
        reach: int = 40,
        cache: str | None = None,
        holdout: float = 0.0,
        recipe: Recipe = DEFAULT_RECIPE,
        pairs: int = 50_000,
        val_pairs: int = 256,
        batch_size: int = 32,
        workers: int = 1,
        seed: int = 0,
    ):
        super().__init__()
        # Checkpoints contain only plain numbers and names.
        self.save_hyperparameters(ignore=["recipe"])
        self.recipe = recipe

    def setup(self, stage: str | None = None) -> None:
        """Find the footage; the sizes of the crops are those of the trained network."""
        assert self.trainer is not None
        module: Any = self.trainer.lightning_module
        self.prepare_pairs(module.network.exemplar_size, module.network.search_size)

    def prepare_pairs(self, exemplar_size: int, search_size: int) -> None:
        """Find the footage and create the pairs for training and validation.

        Raises:
            UserError: no folder is given, or one cannot be used.
        """
        self.require_valid()
        sources = self.load_sources()
        self.split(partial(VideoPairs, sources, exemplar_size, search_size, self.recipe))

    def load_sources(self) -> list[Source]:
        """The sources of the given folders.

        Raises:
            UserError: no folder is given, one cannot be used, or a weight has an unknown name.
        """
        h: Any = self.hparams
        weights, sources = dict(h.weights or {}), []
        paired = {"clips": h.clips, "stills": h.stills, **(h.sequences or {})}
        calibrations = load_calibrations(h.align, [name for name, root in paired.items() if root])
        loaders = {
            "masked_video": (h.masked_video, partial(load_masked_video, reach=h.reach)),
            "clips": (h.clips, partial(load_clips, reach=h.reach)),
            "stills": (h.stills, load_stills),
        }
        for name, (root, load) in loaders.items():
            arguments = {"weight": weights.pop(name, 1.0), "cache": h.cache}
            if name in calibrations:
                arguments["calibration"] = calibrations[name]
            if root:
                sources.append(_said(name, load, root, **arguments))
        for layout, root in (h.sequences or {}).items():
            load = partial(
                load_sequences,
                layout,
                reach=h.reach,
                cache=h.cache,
                calibration=calibrations.get(layout),
            )
            sources.append(
                _said(f"sequences.{layout}", load, root, weight=weights.pop(layout, 1.0))
            )
        if weights:
            known = ", ".join([*loaders, *(h.sequences or {})])
            raise UserError(f"data.weights.{next(iter(weights))}: unknown source; give {known}")
        if not sources:
            raise UserError(
                "data: no folder; give --data.masked_video DIR, --data.clips DIR, "
                "--data.stills DIR or --data.sequences.NAME DIR"
            )
        return sources


def _said(name: str, load: Any, root: str, **arguments: Any) -> Source:
    """Load a source; an error names its option."""
    try:
        return load(root, **arguments)
    except UserError as error:
        raise UserError(f"data.{name}: {error}") from error
