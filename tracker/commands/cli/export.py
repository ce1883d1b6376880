"""``tracker export``: its options and its output."""

import argparse
from pathlib import Path

from fusion.base.commandline import Commands, add_output_option
from fusion.base.files import check_folder
from tracker.online.options import add_preset_option

EXPORT_EXAMPLES = """\
DIR receives template.onnx (crops to template features), kernels.onnx (features to kernels) and
search.onnx (kernels and crops to cls and loc). Their metadata contains sizes, pixel convention,
anchors and online settings. Each file is compared with PyTorch before it is kept.
Requires: pip install 'rgbt-lrrnet[export]'

examples:
  tracker export -o compact
  tracker export --weights dfat.pth -o dfat
"""


def add_export(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "export",
        help="write a tracker's network as ONNX files",
        description="Write a tracker's network as ONNX files, verified with ONNX Runtime.",
        epilog=EXPORT_EXAMPLES,
    )
    parser.set_defaults(command=_export)
    parser.add_argument("--weights", metavar="W", type=Path, help="see tracker track")
    add_preset_option(parser)
    add_output_option(parser, "DIR", "output folder", required=True)


def _export(arguments: argparse.Namespace) -> int:
    from fusion.base.onnx import check_packages
    from tracker.commands.export import export_tracker
    from tracker.model.weights import load_tracker

    check_packages()
    folder = check_folder(arguments.output)
    network = load_tracker(arguments.weights, preset=arguments.preset)
    for name, difference in export_tracker(network, folder).items():
        print(f"{folder / name}: differs from PyTorch by {difference:.1e} of the largest value")
    return 0
