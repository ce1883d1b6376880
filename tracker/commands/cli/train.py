"""``tracker train`` and ``tracker distill``: their options and output."""

from fusion.base.commandline import Commands
from fusion.base.commandline import add_train as add_train_help

TRAIN_EXAMPLES = """\
A configuration in experiments/tracker names the network, its losses and its data; every key of it
is also an option. A run writes losses, sample images, weights.safetensors and checkpoints below
runs/.

examples:
  tracker train fit --config experiments/tracker/dfat.yaml --data.roots.gtot GTOT \\
      --data.roots.lasher LasHeR/trainingset
  tracker train fit --config experiments/tracker/dfat_llrr.yaml \\
      --data.roots.lasher LasHeR/trainingset
  tracker train fit --help
  tracker train fit --model.help tracker.training.module.TrackerTraining

exit code: 0, or 2 if an option or the data is invalid.
"""


DISTILL_EXAMPLES = """\
The teacher is any file that 'tracker track --weights' reads. Footage: visible videos with masks,
RGBT clips, still pairs and annotated sequences, see docs/train-tracker.md.

examples:
  tracker distill fit --config experiments/tracker/distill.yaml \\
      --model.init_args.teacher nanotrackv3.pth --data.masked_video DAVIS --data.stills ROADSCENE
  tracker distill fit --help
  tracker distill fit --model.help tracker.training.distillation.Distillation

exit code: 0, or 2 if an option or the data is invalid.
"""


def add_train(commands: Commands) -> None:
    """Register the command for its help only: see `run_program`."""
    add_train_help(commands, "train a network", TRAIN_EXAMPLES)


def train(argv: list[str]) -> None:
    """Run LightningCLI with `tracker.training.module.TrackerTraining` on `TargetData`.

    Raises:
        UserError: an option or a configuration key is wrong, or the data cannot be used.
    """
    from fusion.base.lightning import run_lightning
    from tracker.training.module import TargetData, TrackerTraining

    run_lightning("tracker train", TrackerTraining, TargetData, argv)


def add_distill(commands: Commands) -> None:
    """Register the command for its help only: see `run_program`."""
    add_train_help(commands, "train a small network from a large one", DISTILL_EXAMPLES, "distill")


def distill(argv: list[str]) -> None:
    """Run LightningCLI with `tracker.training.distillation.Distillation` on `VideoPairData`.

    Raises:
        UserError: as `train`.
    """
    from fusion.base.lightning import run_lightning
    from tracker.training.distillation import Distillation
    from tracker.training.video_data import VideoPairData

    run_lightning("tracker distill", Distillation, VideoPairData, argv)
