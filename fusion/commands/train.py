"""The `fusion train` command."""

from fusion.base.lightning import run_lightning

__all__ = ["main"]


def main(argv: list[str]) -> None:
    """``fusion train``: the modules of `fusion.training.procedures` on
    `fusion.training.pairs.PairData`.

    Raises:
        UserError: an option or a configuration key is wrong, or the data cannot be used.
    """
    from fusion.training.pairs import PairData
    from fusion.training.procedures import FusionTraining

    run_lightning("fusion train", FusionTraining, PairData, argv)
