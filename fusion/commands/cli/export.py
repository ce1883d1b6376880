"""``fusion export``: its options and its output."""

import argparse
from pathlib import Path

from fusion.base.commandline import Commands
from fusion.base.errors import UserError
from fusion.commands.cli.options import load_chosen

EXPORT_EXAMPLES = """\
The file takes pictures of any size and holds its pixel convention in the metadata. It is compared
with PyTorch on several sizes before it is left. Needs: pip install 'rgbt-lrrnet[export]'

examples:
  fusion export -o lrrnet.onnx
  fusion export --method didfuse --weights published_didfuse/ -o didfuse.onnx
"""


def add_export(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "export",
        help="write a network as an ONNX file",
        description="Write a fusion network as an ONNX file, checked with ONNX Runtime.",
        epilog=EXPORT_EXAMPLES,
    )
    parser.set_defaults(command=_export)
    parser.add_argument("--weights", metavar="W", type=Path, help="as for fusion fuse")
    parser.add_argument("--method", metavar="NAME", help="as for fusion fuse")
    parser.add_argument("--rule", metavar="RULE", help="as for fusion fuse")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        required=True,
        help="file to write, named .onnx",
    )


def _export(arguments: argparse.Namespace) -> int:
    from fusion.base.onnx import check_packages, check_path
    from fusion.commands.export import export_network
    from fusion.networks.weights import NETWORKS

    check_packages()
    path = check_path(arguments.output)
    network = load_chosen(arguments.weights, "cpu", arguments.method, arguments.rule)
    if type(network) not in NETWORKS.values():
        raise UserError(f"--method {arguments.method}: no network; there is nothing to export")
    difference = export_network(network, path)
    print(f"{path}: differs from PyTorch by {difference:.1e} of the largest value at most")
    return 0
