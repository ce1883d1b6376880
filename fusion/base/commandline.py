"""Shared by both command lines: one-line errors, exit codes, the device option."""

import argparse
import errno
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from fusion.base.errors import UserError
from fusion.base.files import require_no_stream
from fusion.base.registry import import_modules

if TYPE_CHECKING:
    import torch

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_NOBODY_READS = 141  # a shell's code for a program whose reader, such as head, has exited

# Errors of disks, quotas, mounts and permissions, which only the user can fix.
_REFUSALS = {
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENAMETOOLONG), "written"
    ),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "used"),
}


class Parser(argparse.ArgumentParser):
    """`argparse.ArgumentParser` with one-line errors and help texts that keep their line breaks."""

    def __init__(self, **kwargs: Any):
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(**kwargs)

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message} (see {self.prog} --help)\n")


#: The return type of `argparse.ArgumentParser.add_subparsers`.
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def run(program: str, command: Callable[[], int | None]) -> int:
    """Run a command and return its exit code.

    `UserError` becomes one line on stderr and exit code 2, as does a full disk or a lack of
    permission anywhere; Ctrl-C becomes exit code 130. Any other exception is a defect of this
    package and keeps its traceback.
    """
    try:
        code = command() or 0
        sys.stdout.flush()  # may fail, for example on a full disk
        return code
    except UserError as error:
        line = " ".join(str(error).splitlines())  # file names may contain line breaks
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
    """Discard buffered stdout, which Python would otherwise flush again, and fail, at exit."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


IMPORTS = "RGBT_IMPORT"
"""Environment variable with modules to import, separated by commas, like ``--import``."""
SEARCHED = "RGBT_PATH"
"""Environment variable with folders in which to find them, see `share_search_path`."""


def import_inherited(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Import the modules named in an environment's `IMPORTS`, and return their names. Folders in
    its `SEARCHED` are searched last.

    Raises:
        UserError: a module is missing or its import fails.
    """
    folders = [path for path in environment.get(SEARCHED, "").split(os.pathsep) if path]
    sys.path += [path for path in folders if path not in sys.path]
    modules = [name for name in environment.get(IMPORTS, "").split(",") if name]
    import_modules(modules)
    return modules


def add_import_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--import`` to the help; `import_parts` removes it from a command line beforehand."""
    parser.add_argument(
        "--import",
        metavar="MODULE",
        help="your own module that registers parts (networks, layouts, trackers, ...), found on "
        "PYTHONPATH or in the current folder; can be repeated and can follow the command; the "
        f"environment variable {IMPORTS} has the same effect",
    )


def import_parts(argv: list[str]) -> list[str]:
    """Remove ``--import MODULE`` from a command line and import the modules.

    Programs started by the command import them too, see `import_inherited`.

    Args:
        argv: modified in place.

    Returns:
        The modules of the command line.

    Raises:
        UserError: a module is missing or its import fails, or the option has no value.
    """
    modules: list[str] = []
    for place in reversed([i for i, a in enumerate(argv) if a.split("=")[0] == "--import"]):
        option, joined, value = argv.pop(place).partition("=")
        if not joined:
            if place == len(argv):
                raise UserError(f"{option}: names no module; give one, such as my_parts")
            value = argv.pop(place)
        modules[:0] = value.split(",")
    inherited = import_inherited()
    import_modules(modules)
    if modules:
        os.environ[IMPORTS] = ",".join(dict.fromkeys([*inherited, *modules]))
        share_search_path()
    return modules


def share_search_path() -> None:
    """Make started programs find modules where this one does: on PYTHONPATH, which the VOT toolkit
    replaces for its trackers, and in the current folder."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    os.environ[SEARCHED] = os.pathsep.join(map(os.path.abspath, [*paths, os.getcwd()]))


def add_train(commands: Commands, about: str, examples: str, name: str = "train") -> None:
    """Add a command such as ``train`` with its help, which is printed without importing Lightning.

    All other arguments are passed to Lightning, see `run_program`.
    """
    parser = commands.add_parser(
        name,
        help=about,
        description="Train a network from a configuration; 'fit --help' lists all options.",
        epilog=examples,
        usage="%(prog)s [-h] fit --config FILE [options]",
    )
    parser.set_defaults(command=lambda arguments: parser.print_help())


def run_program(
    program: str,
    argv: list[str] | None,
    make_parser: Callable[[list[str]], Parser],
    trainings: Mapping[str, Callable[[list[str]], None]],
) -> int:
    """Run a program with arguments and return its exit code.

    Args:
        program: its name.
        argv: the arguments; None for those of the process.
        make_parser: makes the parser for these arguments.
        trainings: commands whose arguments Lightning's parser handles, see `add_train`.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    modules: list[str] = []
    if code := run(program, lambda: modules.extend(import_parts(argv))):
        return code
    if argv and argv[0] in trainings and argv[1:] not in ([], ["-h"], ["--help"]):
        train = trainings[argv[0]]
        kept = [f"--import+={module}" for module in modules]  # in the run's configuration
        return run(f"{program} {argv[0]}", lambda: train([*argv[1:], *kept]))
    parsers: list[Parser] = []
    if code := run(program, lambda: parsers.append(make_parser(argv))):
        return code
    (parser,) = parsers
    arguments, rest = parser.parse_known_args(argv)
    if "training" in arguments:  # options unknown to the command are for the training it starts
        arguments.training = rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return run(program, lambda: arguments.command(arguments))


def positive_int(text: str) -> int:
    """Type of an option that is an integer of at least 1; for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of 1 or more")
    return int(text)


def natural_int(text: str) -> int:
    """Type of an option that is an integer of at least 0; for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of 0 or more")
    return int(text)


def add_number_option(
    parser: argparse._ActionsContainer,
    name: str,
    help: str,
    *,
    default: int | None = None,
    least: int = 1,
) -> None:
    """Add an option ``name N`` with an integer of at least ``least``, which is 0 or 1."""
    shown = "" if default is None else f" (default: {default})"
    kind = positive_int if least else natural_int
    parser.add_argument(name, metavar="N", type=kind, default=default, help=help + shown)


def add_output_option(
    parser: argparse._ActionsContainer,
    metavar: str,
    help: str,
    *,
    required: bool = False,
    default: str | None = None,
) -> None:
    """Add ``-o``, ``--output`` with the path of a file or folder to write."""
    shown = "" if default is None else f" (default: {default})"
    path = None if default is None else Path(default)
    parser.add_argument(
        *("-o", "--output"),
        metavar=metavar,
        type=Path,
        required=required,
        default=path,
        help=help + shown,
    )


def input_path(text: str) -> Path:
    """An option's file or folder to read; for argparse. An address of a stream is refused."""
    try:
        require_no_stream(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Path(text)


def percentiles(text: str) -> tuple[float, float]:
    """``LOW,HIGH`` in 0..100; for argparse."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low, high = 1.0, 0.0
    if not 0 <= low < high <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not LOW,HIGH with 0 <= LOW < HIGH <= 100")
    return low, high


def add_size_options(parser: argparse._ActionsContainer) -> None:
    """Add what decides how an infrared picture is brought to the visible one: size, grey levels."""
    parser.add_argument(
        "--resize",
        action="store_true",
        help="bring the infrared to the visible's size instead of refusing sizes that differ",
    )
    parser.add_argument(
        "--stretch",
        action="store_true",
        help="--resize also where that changes the infrared's aspect ratio",
    )
    add_align_option(parser)
    add_percentiles_option(parser)


def add_percentiles_option(parser: argparse._ActionsContainer) -> None:
    """Add ``--percentiles``."""
    parser.add_argument(
        "--percentiles",
        metavar="LOW,HIGH",
        type=percentiles,
        help="stretch the infrared from these percentiles, such as 1,99 (default: 8-bit pictures "
        "as they are, deeper ones from their smallest to their largest value without dead pixels)",
    )


def add_input_options(parser: argparse._ActionsContainer) -> None:
    """Add what decides how two modalities are brought together: sizes, grey levels, partners."""
    add_size_options(parser)
    add_pair_option(parser)


def add_pair_option(parser: argparse._ActionsContainer) -> None:
    """Add ``--pair``."""
    parser.add_argument(
        "--pair",
        metavar="HOW",
        choices=("time", "name", "index"),
        help="which frames belong together: time or index (the k-th with the k-th) for videos, "
        "name or index for folders (default: videos by time where both have times, folders by the "
        "numbers or names of their files)",
    )


def add_align_option(parser: argparse._ActionsContainer) -> None:
    """Add ``--align``, to be loaded by `fusion.images.alignment.Calibration.load`."""
    parser.add_argument(
        "--align",
        metavar="FILE",
        type=Path,
        help="calibration of the two cameras, from 'fusion align': brings the infrared onto the "
        "visible picture, whatever their sizes",
    )


def add_json_option(parser: argparse._ActionsContainer) -> None:
    """Add ``--json``, for `fusion.base.tables.show_or_write`."""
    parser.add_argument(
        "--json", metavar="FILE", help="also write all figures; - for stdout, without tables"
    )


def add_device_option(parser: argparse._ActionsContainer) -> None:
    """Add ``--device``, to be resolved by `resolve_device`."""
    parser.add_argument(
        "--device",
        default="auto",
        metavar="D",
        help="auto (a GPU if there is one), cpu, cuda or cuda:N (default: auto)",
    )


def resolve_device(name: str) -> "torch.device":
    """The `torch.device` for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UserError: the name is invalid, or the device is not available.
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
