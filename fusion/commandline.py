"""What the command lines of both packages share: one-line errors, exit codes, the device option."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from fusion.errors import UserError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """`argparse.ArgumentParser` whose errors are one line, and whose help keeps its line breaks."""

    def __init__(self, **kwargs):
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(**kwargs)

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message} (see {self.prog} --help)\n")


def run(program: str, command: Callable[[], int | None]) -> int:
    """Run a command and return its exit code.

    `UserError` becomes one line on stderr and code 2, Ctrl-C becomes code 130. Any other exception
    is a defect of ours and keeps its traceback.
    """
    try:
        return command() or 0
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print(f"{program}: interrupted; what was finished is kept", file=sys.stderr)
        return EXIT_INTERRUPTED


def add_train(commands, about: str, examples: str) -> None:
    """Add ``train`` to a program's commands: its help, which answers without loading Lightning.

    All else of it is Lightning's, see `is_lightning`.
    """
    parser = commands.add_parser(
        "train",
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


def add_device_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        default="auto",
        metavar="D",
        help="auto (a GPU where there is one), cpu, cuda or cuda:N (default: auto)",
    )


def resolve_device(name: str):
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
