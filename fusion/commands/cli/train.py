"""``fusion train``: its options and its output."""

from fusion.base.commandline import Commands
from fusion.base.commandline import add_train as add_train_help

TRAIN_EXAMPLES = """\
A configuration in experiments/fusion names the network, its losses and its data; every key of it is
also an option. A run writes losses, sample images, weights.safetensors and checkpoints below runs/.

examples:
  fusion train fit --config experiments/fusion/saliency.yaml --data.root PAIRS
  fusion train fit --config experiments/fusion/saliency.yaml --data.root PAIRS \\
      --ckpt_path runs/saliency/version_0/checkpoints/last.ckpt
  fusion train fit --help
  fusion train fit --model.help fusion.training.procedures.SaliencyTraining

exit code: 0, or 2 if an option or the data is invalid.
"""


def add_train(commands: Commands) -> None:
    """Register the command for its help only: see `run_program`."""
    add_train_help(commands, "train a network", TRAIN_EXAMPLES)


def train(argv: list[str]) -> None:
    """Run LightningCLI with the modules of `fusion.training.procedures` on `PairData`.

    Raises:
        UserError: an option or a configuration key is wrong, or the data cannot be used.
    """
    from fusion.base.lightning import run_lightning
    from fusion.training.pairs import PairData
    from fusion.training.procedures import FusionTraining

    run_lightning("fusion train", FusionTraining, PairData, argv)
