"""``tracker train`` and ``tracker distill``: LightningCLI on the training procedures."""

from fusion.base.lightning import run_lightning


def main(argv: list[str]) -> None:
    """Train as the arguments say.

    Raises:
        UserError: an option or a configuration key is wrong, or the data cannot be used.
    """
    from tracker.training.module import TargetData, TrackerTraining

    run_lightning("tracker train", TrackerTraining, TargetData, argv)


def distill(argv: list[str]) -> None:
    """Let a trained tracker teach another, as the arguments say.

    Raises:
        UserError: as `main`.
    """
    from tracker.training.distillation import Distillation
    from tracker.training.video_data import VideoPairData

    run_lightning("tracker distill", Distillation, VideoPairData, argv)
