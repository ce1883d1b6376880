"""What ``fusion train`` and ``tracker train`` run: LightningCLI with errors of one line, whole
checkpoints and quiet dependencies."""

import io
import logging
import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_module
from torch import Tensor

from fusion.base.errors import UserError
from fusion.base.files import whole_file

__all__ = [
    "WholeCheckpoints",
    "agree_on_version",
    "data_module",
    "log_terms",
    "require_within",
    "run_lightning",
]


def run_lightning(
    program: str,
    module: type[L.LightningModule],
    data: type[L.LightningDataModule],
    argv: list[str],
) -> None:
    """Run LightningCLI on any subclass of ``module``, with errors of one line.

    Configurations may build on others, see `fusion.base.configuration.with_bases`. All loggers of
    a run
    that write below one folder write into the same version of it; a run that ends before its first
    step leaves none.

    Raises:
        UserError: an option or a configuration key is wrong, or the data cannot be used.
    """
    from argparse import ArgumentError

    from lightning.pytorch.cli import LightningCLI
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    from fusion.base.configuration import with_bases

    made: list[LightningCLI] = []

    class OneVersion(LightningCLI):
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
                # The data modules deal draws out to the processes themselves.
                trainer_defaults={"use_distributed_sampler": False},
                args=with_bases(argv, Path(folder)) or ["--help"],
                save_config_kwargs={"overwrite": True},
                parser_kwargs={"prog": program, "exit_on_error": False},
            )
    except (ArgumentError, MisconfigurationException) as error:
        raise UserError(_one_line(str(error))) from error
    except UserError as error:
        # From a reading process it comes with that process's traceback in front.
        last = str(error).strip().splitlines()[-1]
        raise UserError(last.removeprefix("fusion.base.errors.UserError: ")) from error
    except OSError as error:
        if error.filename is None:
            raise
        raise UserError(f"{error.filename}: cannot be used ({error.strerror})") from error
    except Exception as error:
        if made:
            raise
        # Until all is made, what fails is the configuration.
        cause: BaseException = error
        while cause.__cause__ is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        what = f"{type(cause).__name__}: {_one_line(str(cause))}"
        raise UserError(f"the configuration cannot be used ({what})") from error


def _refuse_null(name: str, part: object, settings: Mapping[str, Any]) -> None:
    """Name the first setting that is null and may not be, which jsonargparse lets pass."""
    for key, hint in get_type_hints(type(part).__init__).items():
        allowed = hint is Any or type(None) in get_args(hint)
        if settings.get(key, 0) is None and not allowed:
            raise UserError(f"{name}.{key}: null is no value of it; leave it out for the default")


# Warnings and advice of dependencies that were understood, and say nothing to a user.
_UNDERSTOOD = (
    # It warns of arguments beside a command line; ours are the rest of that very line.
    "LightningCLI's args parameter",
    # It cannot know that our sampler goes on at the draw the next step would have had.
    ".*your dataloader is not resumable",
    # It calls something of PyTorch's by a name that will go: its makers' to mend, not a user's.
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    # A kernel of one channel has the same memory in two layouts; copies of its gradients are small.
    "Grad strides do not match bucket view strides",
    # Where nothing is held out there is no validation, and an empty list is how it is told.
    "Total length of `list` across ranks is zero",
)
_ADVERTISED = "\N{ELECTRIC LIGHT BULB} Tip: For seamless cloud logging"  # of a service


def _silence_understood() -> None:
    for message in _UNDERSTOOD:
        warnings.filterwarnings("ignore", message)
    rank_zero_module.log.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_ADVERTISED)


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints on local disks: written whole or not at all, and read without running code.

    Lightning's own are moved in place from the system's folder for temporary files, which is a copy
    where that is another disk, and may be cut short.
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
            UserError: it is missing, damaged, or holds more than tensors and plain values.
        """
        try:
            content = super().load_checkpoint(path, map_location, weights_only=True)
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such file; give a last.ckpt of the run") from error
        except Exception as error:  # of every kind: the file may hold anything
            raise UserError(
                f"{path}: no checkpoint of a training, or a damaged one; give another --ckpt_path"
            ) from error
        if not isinstance(content, dict) or "state_dict" not in content:
            raise UserError(f"{path}: no checkpoint of a training; give a last.ckpt of its run")
        return content


def agree_on_version(loggers: Sequence[Logger]) -> None:
    """Let loggers of one folder write the version the first of them has.

    Each would take the next number that is free when it begins, which is another for the second.
    """
    first: dict[str, Logger] = {}
    for logger in loggers:
        if isinstance(logger, (CSVLogger, TensorBoardLogger)):
            leader = first.setdefault(logger.root_dir, logger)
            logger._version = leader.version  # no public way once it is made


def _remove_unstarted(trainer: L.Trainer) -> None:
    """Remove the folder of a run that took no step: the next run shall have its number."""
    if trainer.global_step or not trainer.is_global_zero:
        return
    for logger in trainer.loggers:
        if not isinstance(logger, (CSVLogger, TensorBoardLogger)):
            continue
        folder = Path(logger.log_dir)
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        if all(name in _NO_RESULTS or name.startswith("events.out.") for name in names):
            shutil.rmtree(folder, ignore_errors=True)


_NO_RESULTS = ("config.yaml", "hparams.yaml")  # what a run writes before it has any


# What a parser's complaint is about, amid all that it tried, and the line that says so.
_COMPLAINTS = (
    (
        r"class_path '([\w.]+)':\s+Option '([\w.]+)' is not accepted",
        r"\2: no argument of \1; fit --model.help \1 lists what it takes",
    ),
    (
        r"class_path '([\w.]+)':\s+((?:No module|module '[\w.]+' has no attribute).*)",
        r"\1: cannot be imported (\2); give a dotted name; PYTHONPATH finds files of yours",
    ),
    (
        r"Import path ([\w.]+) does not correspond to a subclass of (\w+)",
        r"\1: no subclass of \2; give one",
    ),
    (
        r"Expected a dot import path string: (\S+)",
        r"\1: no name of a class; give a dotted one, such as fusion.networks.U2Fusion",
    ),
    (
        r"Parser key \"([\w.]+)\":\s+Expected an? "
        r"(?:<class '(?P<kind>\w+)'>|(?:typing\.)?(?P<other>.+))\. Got value: (?P<value>.*)",
        r"\1: expected \g<kind>\g<other>, got \g<value>",
    ),
)


def _one_line(message: str) -> str:
    """A parser's complaint on one line: what it is about, where that is understood."""
    for pattern, line in _COMPLAINTS:
        if found := re.search(pattern, message):
            return found.expand(line)
    return " ".join(message.split())


def log_terms(
    module: L.LightningModule, stage: str, terms: Mapping[str, Tensor], batch_size: int
) -> Tensor:
    """Log every term as ``stage/name``, and their sum, which is the loss and returned."""
    loss = torch.stack(list(terms.values())).sum()
    values = {f"{stage}/{name}": term.detach() for name, term in terms.items()}
    whole_set = stage == "val"
    module.log_dict(values, batch_size=batch_size, sync_dist=whole_set)
    module.log(
        f"{stage}/loss", loss.detach(), prog_bar=True, batch_size=batch_size, sync_dist=whole_set
    )
    return loss


def data_module(trainer: L.Trainer) -> Any:
    """The data module a trainer was given, or None. Lightning sets this name but declares none."""
    return getattr(trainer, "datamodule", None)


def require_within(low: float, high: float, **values: float) -> None:
    """Check a training's numbers.

    Raises:
        UserError: one is outside, or NaN; names it as in a configuration.
    """
    for name, value in values.items():
        if not low <= value <= high:
            raise UserError(f"model.{name}: from {low:g} to {high:g}, got {value}")
