"""``fusion export``: its options and its output."""

import argparse
from pathlib import Path

from fusion.base.commandline import Commands, add_output_option
from fusion.base.errors import UserError
from fusion.commands.cli.options import load_chosen

EXPORT_EXAMPLES = """\
The file accepts images of any size and contains its pixel convention in the metadata. It is
verified against PyTorch on several sizes before it is kept.
Requires: pip install 'rgbt-lrrnet[export]'

examples:
  fusion export -o lrrnet.onnx
  fusion export --method didfuse --weights published_didfuse/ -o didfuse.onnx
"""


def add_export(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "export",
        help="write a network as an ONNX file",
        description="Write a fusion network as an ONNX file, verified with ONNX Runtime.",
        epilog=EXPORT_EXAMPLES,
    )
    parser.set_defaults(command=_export)
    parser.add_argument("--weights", metavar="W", type=Path, help="see fusion fuse")
    parser.add_argument("--method", metavar="NAME", help="see fusion fuse")
    parser.add_argument("--rule", metavar="RULE", help="see fusion fuse")
    add_output_option(parser, "FILE", "output file, ending in .onnx", required=True)


def _export(arguments: argparse.Namespace) -> int:
    from fusion.base.onnx import check_packages, check_path
    from fusion.commands.export import export_network
    from fusion.networks.registry import NETWORKS

    check_packages()
    path = check_path(arguments.output)
    network = load_chosen(arguments.weights, "cpu", arguments.method, arguments.rule)
    if NETWORKS.name_of(type(network)) is None:
        raise UserError(f"--method {arguments.method}: not a network; there is nothing to export")
    difference = export_network(network, path)
    print(f"{path}: differs from PyTorch by {difference:.1e} of the largest value at most")
    return 0
