"""``tracker train``: LightningCLI on `tracker.training.module`."""

from fusion.base.lightning import run_lightning


def main(argv: list[str]) -> None:
    """Train as the arguments say.

    Raises:
        UserError: an option or a configuration key is wrong, or the data cannot be used.
    """
    from tracker.training.module import TargetData, TrackerTraining

    run_lightning("tracker train", TrackerTraining, TargetData, argv)
