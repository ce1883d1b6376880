"""The training command of both packages: LightningCLI with one-line errors, complete checkpoints
and quiet dependencies; and what the Lightning modules of both share."""

import io
import logging
import math
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_module
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from fusion.base.errors import UserError
from fusion.base.files import whole_file
from fusion.base.registry import import_modules


def run_lightning(
    program: str,
    module: type[L.LightningModule],
    data: type[L.LightningDataModule],
    argv: list[str],
) -> None:
    """Run LightningCLI for any subclass of ``module``, with one-line errors.

    Configurations may extend others, see `fusion.base.configuration.with_bases`, and name modules
    that register a user's own parts (``import: [my_parts]``, or ``--import my_parts``). All loggers
    of a run that write below one folder use the same version number. A run that ends before its
    first step leaves no folder.

    Raises:
        UserError: an option or a configuration key is wrong, or the data cannot be used.
    """
    from argparse import ArgumentError

    from lightning.pytorch.cli import LightningCLI
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    from fusion.base.configuration import with_bases

    made: list[LightningCLI] = []

    class OneVersion(LightningCLI):
        def add_arguments_to_parser(self, parser: Any) -> None:
            parser.add_argument(
                "--import",
                type=list[str] | str,
                default=[],
                metavar="MODULE",
                help="modules of your own that register parts, see docs/extending.md",
            )

        def before_instantiate_classes(self) -> None:
            settings = self.config[self.subcommand] if self.subcommand else self.config
            modules = settings["import"]
            import_modules(modules.split(",") if isinstance(modules, str) else modules)

        def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
            trainer = super().instantiate_trainer(**kwargs)
            agree_on_version(trainer.loggers)
            if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
                trainer.strategy.checkpoint_io = WholeCheckpoints()
            return trainer

        def instantiate_classes(self) -> None:
            super().instantiate_classes()
            settings = self.config[self.subcommand] if self.subcommand else self.config
            for name, part in (("model", self.model), ("data", self.datamodule)):
                _refuse_null(name, part, settings[name].get("init_args", settings[name]))
            made.append(self)

        def _run_subcommand(self, subcommand: str) -> None:
            try:
                super()._run_subcommand(subcommand)
            except BaseException:
                _remove_unstarted(self.trainer)
                raise

    _silence_understood()
    try:
        with tempfile.TemporaryDirectory() as folder:
            OneVersion(
                module,
                data,
                subclass_mode_model=True,
                seed_everything_default=0,
                # The data modules shard the draws over the processes themselves.
                trainer_defaults={"use_distributed_sampler": False},
                args=with_bases(argv, Path(folder)) or ["--help"],
                save_config_kwargs={"overwrite": True},
                parser_kwargs={"prog": program, "exit_on_error": False},
            )
    except (ArgumentError, MisconfigurationException) as error:
        raise UserError(_one_line(str(error))) from error
    except UserError as error:
        # An error from a worker process is preceded by the worker's traceback.
        last = str(error).strip().splitlines()[-1]
        raise UserError(last.removeprefix("fusion.base.errors.UserError: ")) from error
    except OSError as error:
        if error.filename is None:
            raise
        raise UserError(f"{error.filename}: cannot be used ({error.strerror})") from error
    except Exception as error:
        if made:
            raise
        # Before everything is instantiated, an exception is caused by the configuration.
        cause: BaseException = error
        while cause.__cause__ is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        what = f"{type(cause).__name__}: {_one_line(str(cause))}"
        raise UserError(f"the configuration cannot be used ({what})") from error


def _refuse_null(name: str, part: object, settings: Mapping[str, Any]) -> None:
    """Report the first setting that is null but must not be, which jsonargparse accepts."""
    for key, hint in get_type_hints(type(part).__init__).items():
        allowed = hint is Any or type(None) in get_args(hint)
        if settings.get(key, 0) is None and not allowed:
            raise UserError(f"{name}.{key}: null is not a valid value; omit it for the default")


# Warnings and hints of dependencies that are understood and not useful to users.
_UNDERSTOOD = (
    # Warns about arguments beside the command line; ours are the rest of that command line.
    "LightningCLI's args parameter",
    # Lightning cannot know that our sampler resumes at the draw of the next step.
    ".*your dataloader is not resumable",
    # A dependency uses a deprecated name of PyTorch's, which users cannot change.
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    # A one-channel kernel has the same memory in two layouts; copying its gradient is cheap.
    "Grad strides do not match bucket view strides",
    # Without held-out data there is no validation, which is expressed by an empty list.
    "Total length of `list` across ranks is zero",
)
_ADVERTISED = "\N{ELECTRIC LIGHT BULB} Tip: For seamless cloud logging"  # advertisement


def _silence_understood() -> None:
    for message in _UNDERSTOOD:
        warnings.filterwarnings("ignore", message)
    rank_zero_module.log.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_ADVERTISED)


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints on local disks: written completely or not at all, and read without running code.

    Lightning writes checkpoints to the system's temporary folder and moves them. If that folder is
    on another disk, moving is a copy, which an interruption can truncate.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with whole_file(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            UserError: it is missing, damaged, or contains more than tensors and plain values.
        """
        try:
            content = super().load_checkpoint(path, map_location, weights_only=True)
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such file; give a last.ckpt of the run") from error
        except Exception as error:  # of any kind: the file's contents are arbitrary
            raise UserError(
                f"{path}: not a training checkpoint, or damaged; give another --ckpt_path"
            ) from error
        if not isinstance(content, dict) or "state_dict" not in content:
            raise UserError(f"{path}: not a training checkpoint; give a last.ckpt of its run")
        return content


def agree_on_version(loggers: Sequence[Logger]) -> None:
    """Make loggers of one folder use the version number of the first.

    Each logger would otherwise take the next free number when it starts, so they would differ.
    """
    first: dict[str, Logger] = {}
    for logger in loggers:
        if isinstance(logger, (CSVLogger, TensorBoardLogger)):
            leader = first.setdefault(logger.root_dir, logger)
            logger._version = leader.version  # there is no public way after construction


def _remove_unstarted(trainer: L.Trainer) -> None:
    """Remove the folder of a run that took no step, so that the next run gets its number."""
    if trainer.global_step or not trainer.is_global_zero:
        return
    for logger in trainer.loggers:
        if not isinstance(logger, (CSVLogger, TensorBoardLogger)):
            continue
        folder = Path(logger.log_dir)
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        if all(name in _NO_RESULTS or name.startswith("events.out.") for name in names):
            shutil.rmtree(folder, ignore_errors=True)


_NO_RESULTS = ("config.yaml", "hparams.yaml")  # written before a run has results


# Patterns that extract the cause from a parser's long error message, and the line to print.
_COMPLAINTS = (
    (
        r"class_path '([\w.]+)':\s+Option '([\w.]+)' is not accepted",
        r"\2: not an argument of \1; fit --model.help \1 lists its arguments",
    ),
    (
        r"class_path '([\w.]+)':\s+((?:No module|module '[\w.]+' has no attribute).*)",
        r"\1: cannot be imported (\2); give a dotted name; PYTHONPATH finds your own files",
    ),
    (
        r"Import path ([\w.]+) does not correspond to a subclass of (\w+)",
        r"\1: not a subclass of \2; give one",
    ),
    (
        r"Expected a dot import path string: (\S+)",
        r"\1: not the name of a class; give a dotted name, such as fusion.networks.U2Fusion",
    ),
    (
        r"Parser key \"([\w.]+)\":\s+Expected an? "
        r"(?:<class '(?P<kind>\w+)'>|(?:typing\.)?(?P<other>.+))\. Got value: (?P<value>.*)",
        r"\1: expected \g<kind>\g<other>, got \g<value>",
    ),
)


def _one_line(message: str) -> str:
    """A parser's error message as one line, reduced to its cause where a pattern matches."""
    for pattern, line in _COMPLAINTS:
        if found := re.search(pattern, message):
            return found.expand(line)
    return " ".join(message.split())


def log_terms(
    module: L.LightningModule, stage: str, terms: Mapping[str, Tensor], batch_size: int
) -> Tensor:
    """Log every term as ``stage/name`` and their sum as the loss, and return the sum."""
    loss = torch.stack(list(terms.values())).sum()
    values = {f"{stage}/{name}": term.detach() for name, term in terms.items()}
    whole_set = stage == "val"
    module.log_dict(values, batch_size=batch_size, sync_dist=whole_set)
    module.log(
        f"{stage}/loss", loss.detach(), prog_bar=True, batch_size=batch_size, sync_dist=whole_set
    )
    return loss


def scheduled(optimizer: Optimizer, factor: Callable[[int], float]) -> OptimizerLRScheduler:
    """An optimizer whose learning rates are multiplied by ``factor(step)``, for Lightning."""
    schedule = LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def cosine_decay(done: float, end: float = 0.0) -> float:
    """Decay from 1 to ``end`` along half a cosine; ``done`` is the completed share, at most 1."""
    return end + (1 - end) * (1 + math.cos(math.pi * min(1.0, done))) / 2


def keep_frozen_statistics(network: nn.Module, all_statistics: bool = False) -> None:
    """Set modules without trained parameters to evaluation mode, so that the statistics of their
    batch normalisation do not change; with ``all_statistics`` all batch normalisation."""
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        frozen = own and not any(parameter.requires_grad for parameter in own)
        if frozen or (all_statistics and isinstance(module, nn.BatchNorm2d)):
            module.eval()


def data_module(trainer: L.Trainer) -> Any:
    """The trainer's data module, or None. Lightning sets this attribute without declaring it."""
    return getattr(trainer, "datamodule", None)


def require_within(low: float, high: float, **values: float) -> None:
    """Check that training parameters are within a range.

    Raises:
        UserError: a value is outside the range, or NaN; names the configuration key.
    """
    for name, value in values.items():
        if not low <= value <= high:
            raise UserError(f"model.{name}: from {low:g} to {high:g}, got {value}")
