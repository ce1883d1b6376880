"""What the command lines of both packages share: one-line errors, exit codes, the device option."""

import argparse
import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from fusion.base.errors import UserError

if TYPE_CHECKING:
    import torch

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_NOBODY_READS = 141  # what a shell gives a program whose reader, such as head, has enough

# What a disk, a quota, a mount or an owner says where nothing but the user can help.
_REFUSALS = {
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENAMETOOLONG), "written"
    ),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "used"),
}


class Parser(argparse.ArgumentParser):
    """`argparse.ArgumentParser` whose errors are one line, and whose help keeps its line breaks."""

    def __init__(self, **kwargs: Any):
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(**kwargs)

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message} (see {self.prog} --help)\n")


#: What `argparse.ArgumentParser.add_subparsers` returns: a program's commands.
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def run(program: str, command: Callable[[], int | None]) -> int:
    """Run a command and return its exit code.

    `UserError` becomes one line on stderr and code 2, so does a full disk or a forbidden file
    wherever it is met; Ctrl-C becomes code 130. Any other exception is a defect of ours and keeps
    its traceback.
    """
    try:
        code = command() or 0
        sys.stdout.flush()  # into a file on a full disk, perhaps
        return code
    except UserError as error:
        line = " ".join(str(error).splitlines())  # a file's name may hold anything
        print(f"{program}: {line}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except BrokenPipeError:
        _give_up_stdout()
        return EXIT_NOBODY_READS
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        where = f"{error.filename}: " if error.filename else ""
        what = _REFUSALS[error.errno]
        print(f"{program}: {where}cannot be {what} ({error.strerror})", file=sys.stderr)
        _give_up_stdout()
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print(f"{program}: interrupted; what was finished is kept", file=sys.stderr)
        return EXIT_INTERRUPTED


def _give_up_stdout() -> None:
    """Let what is left for stdout go, which Python would try once more at its end, and complain."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def add_train(commands: Commands, about: str, examples: str, name: str = "train") -> None:
    """Add ``train`` to a program's commands: its help, which answers without loading Lightning.

    All else of it is Lightning's, see `is_lightning`. Another ``name`` is another procedure's.
    """
    parser = commands.add_parser(
        name,
        help=about,
        description="Train a network as a configuration says; 'fit --help' lists all options.",
        epilog=examples,
        usage="%(prog)s [-h] fit --config FILE [options]",
    )
    parser.set_defaults(command=lambda arguments: parser.print_help())


def is_lightning(argv: list[str]) -> bool:
    """Whether what follows ``train`` is for LightningCLI, not a question of what ``train`` is."""
    return argv not in ([], ["-h"], ["--help"])


def positive_int(text: str) -> int:
    """An option's number of 1 or more; for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 1 or more")
    return int(text)


def natural_int(text: str) -> int:
    """An option's number of 0 or more; for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return int(text)


def add_device_option(parser: argparse._ActionsContainer) -> None:
    """Add ``--device``, for `resolve_device`."""
    parser.add_argument(
        "--device",
        default="auto",
        metavar="D",
        help="auto (a GPU where there is one), cpu, cuda or cuda:N (default: auto)",
    )


def resolve_device(name: str) -> "torch.device":
    """The `torch.device` for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UserError: the name is none of these, or the device is not there.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if name != "cpu" and (kind != "cuda" or (name != "cuda" and not index.isdigit())):
        raise UserError(f"--device {name}: give auto, cpu, cuda or cuda:N")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {name}: no CUDA device is available here; give cpu or auto")
    if index and int(index) >= torch.cuda.device_count():
        raise UserError(
            f"--device {name}: there are {torch.cuda.device_count()} CUDA devices, numbered from 0"
        )
    return torch.device(name)
