"""``fusion demo``: its options and its output."""

import argparse
from pathlib import Path

from fusion.base.commandline import (
    Commands,
    add_device_option,
    add_number_option,
    add_output_option,
)
from fusion.commands.cli.options import load_chosen


def add_demo(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "demo",
        help="generate a street scene and fuse it",
        description="Generate an infrared and a visible image of a street at dusk, fuse them, and "
        "print which\nfile to open.",
        epilog="example:\n  fusion demo -o demo\n",
    )
    parser.set_defaults(command=_demo)
    add_output_option(parser, "OUT", "output folder", default="demo")
    parser.add_argument("--weights", metavar="W", type=Path, help="as for fusion fuse")
    add_number_option(parser, "--seed", "seed of the scene", default=0, least=0)
    add_device_option(parser)


def _demo(arguments: argparse.Namespace) -> int:
    from fusion.commands.pipeline import Options, fuse
    from fusion.commands.scene import street_pair
    from fusion.images.reading import write_image

    network = load_chosen(arguments.weights, arguments.device)
    out = arguments.output
    ir_path, vis_path, fused_path = out / "infrared.png", out / "visible.png", out / "fused.png"
    ir, vis = street_pair(seed=arguments.seed)
    write_image(ir_path, ir)
    write_image(vis_path, vis)
    fuse(network, ir_path, vis_path, fused_path, Options(compare=True))
    print(f"generated: {ir_path}, {vis_path}")
    weights = arguments.weights or "the included weights"
    print(f"fused:     {fused_path} ({type(network).__name__}, {weights})")
    print(f"open this: {out / 'fused_compare.png'}")
    return 0
