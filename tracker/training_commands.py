"""``tracker train``: LightningCLI on `tracker.training`."""

from fusion.training_commands import run_lightning


def main(argv: list[str]) -> None:
    """Train as the arguments say.

    Raises:
        UserError: an option or a configuration key is wrong, or the data cannot be used.
    """
    from tracker.training import TargetData, TrackerTraining

    run_lightning("tracker train", TrackerTraining, TargetData, argv)
