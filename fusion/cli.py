"""The ``fusion`` command line. Modules that take long to load are loaded by the command that needs
them, so that ``--help`` answers at once."""

import argparse
import sys
from pathlib import Path

from fusion.commandline import EXIT_BAD_INPUT, Parser, add_device_option, resolve_device, run
from fusion.errors import UserError

DESCRIPTION = "Fuse infrared and visible pictures with LRRNet (Li et al., TPAMI 2023)."

FUSE_EXAMPLES = """\
IR and VIS are two pictures, two folders (pairs have the same file stem) or two videos.

examples:
  fusion fuse ir.png vis.png -o fused.png
  fusion fuse thermal/ visible/ -o fused/ --compare --skip-existing
  fusion fuse thermal.mp4 visible.mp4 -o fused.mp4 --resize
  fusion fuse ir.png vis.png -o fused.png --weights published_lrrnet.model --no-color

exit code: 0 when all is fused, 2 when an input is bad or any pair failed.
"""


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["train"]:  # a program of its own, with its own options and help
        return run("fusion train", lambda: _train(argv[1:]))
    arguments = _parser().parse_args(argv)
    return run("fusion", lambda: arguments.command(arguments))


def _parser() -> Parser:
    parser = Parser(prog="fusion", description=DESCRIPTION)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_fuse(commands)
    _add_evaluate(commands)
    commands.add_parser("train", help="train a network (fusion train --help)", add_help=False)
    _add_demo(commands)
    return parser


# --- fusion fuse ----------------------------------------------------------------------------------


def _add_fuse(commands) -> None:
    parser = commands.add_parser(
        "fuse",
        help="fuse two pictures, folders or videos",
        description="Fuse two pictures, two folders of pictures or two videos.",
        epilog=FUSE_EXAMPLES,
    )
    parser.set_defaults(command=_fuse)
    parser.add_argument("ir", metavar="IR", type=Path, help="infrared picture, folder or video")
    parser.add_argument("vis", metavar="VIS", type=Path, help="visible picture, folder or video")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="file or folder to write"
    )
    parser.add_argument(
        "--weights",
        metavar="W",
        type=Path,
        help="the authors' LRRNet checkpoint, or a .safetensors file saved by this package "
        "(default: the LRRNet that ships with it)",
    )
    add_device_option(parser)
    parser.add_argument(
        "--color",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep the colour of the visible picture; --no-color gives the paper's grey",
    )
    parser.add_argument(
        "--resize",
        action="store_true",
        help="bring the infrared to the visible's size instead of refusing sizes that differ",
    )
    parser.add_argument(
        "--percentiles",
        metavar="LOW,HIGH",
        type=_percentiles,
        help="stretch the infrared from these percentiles, such as 1,99 (default: 8-bit pictures "
        "as they are, 16-bit ones from their smallest to their largest value)",
    )
    parser.add_argument(
        "--compare", action="store_true", help="also write infrared, visible and fused side by side"
    )
    parser.add_argument(
        "--parts",
        action="store_true",
        help="also write the low-rank and sparse parts and coefficient maps as one picture",
    )
    parser.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave out what is there already: resumes an interrupted run",
    )


def _percentiles(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low, high = 1.0, 0.0
    if not 0 <= low < high <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not LOW,HIGH with 0 <= LOW < HIGH <= 100")
    return low, high


def _fuse(arguments: argparse.Namespace) -> int:
    from fusion.pipeline import Options, fuse, report

    network = _load(arguments.weights, arguments.device)
    options = Options(
        color=arguments.color,
        resize=arguments.resize,
        percentiles=arguments.percentiles,
        compare=arguments.compare,
        parts=arguments.parts,
        skip_existing=arguments.skip_existing,
    )
    account = fuse(network, arguments.ir, arguments.vis, arguments.output, options)
    report(account, arguments.output)
    return EXIT_BAD_INPUT if account.failed else 0


def _load(weights: Path | None, device: str):
    from fusion.weights import load_network

    return load_network(weights, resolve_device(device))


# --- fusion evaluate ------------------------------------------------------------------------------

EVALUATE_EXAMPLES = """\
Fused pictures are matched with the sources by file stem; colour is measured by its luminance. OUT
gets means.csv, pictures.csv and means.png. What each metric means and where it misleads is in
fusion/metrics.py. SD grows with the size of the picture, 2En is what some papers call MI.

examples:
  fusion evaluate --ir tno/ir --vis tno/vis --fused fused
  fusion evaluate --ir tno/ir --vis tno/vis --fused LRRNet=a MyNet=b --metrics en,ssim,nabf -o out
  fusion evaluate --ir tno/ir --vis tno/vis --fused fused --json -

exit code: 0 when all pictures were measured, 2 when an input is bad or any was left out.
"""


def _add_evaluate(commands) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure fused pictures of one or several methods",
        description="Objective metrics of fused pictures: methods down, metrics across.",
        epilog=EVALUATE_EXAMPLES,
    )
    parser.set_defaults(command=_evaluate)
    parser.add_argument("--ir", metavar="DIR", type=Path, required=True, help="infrared pictures")
    parser.add_argument("--vis", metavar="DIR", type=Path, required=True, help="visible pictures")
    parser.add_argument(
        "--fused", metavar="DIR", nargs="+", required=True, help="a method's pictures, or NAME=DIR"
    )
    parser.add_argument(
        "--metrics",
        metavar="M,M,...",
        help="en, sd, 2en, mi, ssim, vif, nabf, sf, ag, scd, qabf, ms_ssim, viff, cc, psnr "
        "(default: all)",
    )
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, help="folder for CSV and plot")
    parser.add_argument("--json", metavar="FILE", help="means and pictures; - for stdout")
    parser.add_argument(
        "--workers", metavar="N", type=int, default=1, help="processes (default: 1)"
    )


def _evaluate(arguments: argparse.Namespace) -> int:
    from fusion.comparison import compare, method_names
    from fusion.tables import write_json

    if arguments.workers < 1:
        raise UserError(f"--workers {arguments.workers}: give at least 1")
    metrics = arguments.metrics.split(",") if arguments.metrics else None
    methods = method_names(arguments.fused)
    comparison = compare(arguments.ir, arguments.vis, methods, metrics, arguments.workers)
    for failure in comparison.failures:
        print(failure, file=sys.stderr)
    if arguments.json != "-":
        count = len(next(iter(comparison.values.values())))
        print(f"{count} picture{'' if count == 1 else 's'}\n\n{comparison.table()}")
    if arguments.json:
        write_json(arguments.json, {"means": comparison.means(), "pictures": comparison.values})
    if arguments.output:
        comparison.write(arguments.output)
        print(f"tables and plot: {arguments.output}", file=sys.stderr)
    return EXIT_BAD_INPUT if comparison.failures else 0


# --- fusion train ---------------------------------------------------------------------------------


def _train(argv: list[str]) -> None:
    from fusion.training import main as train

    train(argv)


# --- fusion demo ----------------------------------------------------------------------------------


def _add_demo(commands) -> None:
    parser = commands.add_parser(
        "demo",
        help="generate a street scene and fuse it",
        description="Generate an infrared and a visible picture of a street at dusk, fuse them and "
        "say what to open.",
        epilog="example:\n  fusion demo -o demo\n",
    )
    parser.set_defaults(command=_demo)
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, default=Path("demo"), help="folder to write"
    )
    parser.add_argument("--weights", metavar="W", type=Path, help="as for fusion fuse")
    parser.add_argument("--seed", type=int, default=0, help="of the scene")
    add_device_option(parser)


def _demo(arguments: argparse.Namespace) -> int:
    from fusion.images import write_image
    from fusion.pipeline import Options, fuse
    from fusion.scene import street_pair

    network = _load(arguments.weights, arguments.device)
    out = arguments.output
    ir_path, vis_path, fused_path = out / "infrared.png", out / "visible.png", out / "fused.png"
    ir, vis = street_pair(seed=arguments.seed)
    write_image(ir_path, ir)
    write_image(vis_path, vis)
    fuse(network, ir_path, vis_path, fused_path, Options(compare=True))
    print(f"generated: {ir_path}, {vis_path}")
    print(f"fused:     {fused_path} (LRRNet, {arguments.weights or 'the weights that ship'})")
    print(f"open this: {out / 'fused_compare.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
