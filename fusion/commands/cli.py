"""The ``fusion`` command line. Modules that take long to load are loaded by the command that needs
them, so that ``--help`` answers at once."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fusion.base.commandline import (
    EXIT_BAD_INPUT,
    Commands,
    Parser,
    add_device_option,
    add_train,
    is_lightning,
    natural_int,
    positive_int,
    resolve_device,
    run,
)
from fusion.base.errors import UserError

if TYPE_CHECKING:
    from fusion.networks.base import FusionNetwork

DESCRIPTION = (
    "Fuse infrared and visible pictures with LRRNet (Li et al., TPAMI 2023) and other networks."
)

EXAMPLES = """\
'fusion COMMAND --help' says what a command takes, with examples. To begin with:

examples:
  fusion demo -o demo
  fusion fuse thermal.png visible.png -o fused.png
"""

FUSE_EXAMPLES = """\
IR and VIS are two pictures, two folders (pairs have the same file stem) or two videos.

examples:
  fusion fuse ir.png vis.png -o fused.png
  fusion fuse thermal/ visible/ -o fused/ --compare --skip-existing
  fusion fuse thermal.mp4 visible.mp4 -o fused.mp4 --resize
  fusion fuse ir.png vis.png -o fused.png --weights published_lrrnet.model --no-color
  fusion fuse ir/ vis/ -o fused/ --method didfuse --weights published_didfuse/ --rule average

exit code: 0 when all is fused, 2 when an input is bad or any pair failed.
"""


def main(argv: list[str] | None = None) -> int:
    """Run ``fusion`` with arguments, the process's own where None; returns its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["train"] and is_lightning(argv[1:]):  # a program of its own
        return run("fusion train", lambda: _train(argv[1:]))
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if "training" in arguments:  # what the command does not know is for each training it starts
        arguments.training = rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return run("fusion", lambda: arguments.command(arguments))


def _parser() -> Parser:
    parser = Parser(prog="fusion", description=DESCRIPTION, epilog=EXAMPLES)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_fuse(commands)
    _add_methods(commands)
    _add_evaluate(commands)
    add_train(commands, "train a network", TRAIN_EXAMPLES)
    _add_ablation(commands)
    _add_reference(commands)
    _add_export(commands)
    _add_bench(commands)
    _add_demo(commands)
    return parser


# --- fusion fuse ----------------------------------------------------------------------------------


def _add_fuse(commands: Commands) -> None:
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
        help="a .safetensors file saved by this package, the authors' checkpoint, or a folder with "
        "their files where they are several (default: the LRRNet that ships with this package)",
    )
    parser.add_argument(
        "--method",
        metavar="NAME",
        help="the network, by a name that 'fusion methods' lists; found out from a weights "
        "file, needed for a folder of them and for methods without weights",
    )
    parser.add_argument(
        "--rule",
        metavar="RULE",
        help="how a method that has rules fuses features, such as sum, average, l1 (see 'fusion "
        "methods'; default: the published one)",
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
    from fusion.commands.pipeline import Options, fuse, report

    network = _load(arguments.weights, arguments.device, arguments.method, arguments.rule)
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


def _load(
    weights: Path | None, device: str, method: str | None = None, rule: str | None = None
) -> "FusionNetwork":
    from fusion.networks.weights import load_network

    return load_network(weights, resolve_device(device), method, rule)


# --- fusion methods -------------------------------------------------------------------------------


def _add_methods(commands: Commands) -> None:
    parser = commands.add_parser(
        "methods",
        help="list the fusion networks",
        description="The fusion networks by the name --method takes: how many parameters they "
        "have; whether\nweights ship, can be loaded as published, or have to be trained by 'fusion "
        "train'; and the names\n--rule takes.",
        epilog="example:\n  fusion methods\n",
    )
    parser.set_defaults(command=_methods)


def _methods(arguments: argparse.Namespace) -> int:
    import inspect

    import torch

    from fusion.base.tables import format_table
    from fusion.networks.classical import CLASSICAL
    from fusion.networks.weights import NETWORKS

    rows: list[tuple[str, int, str, str | None]] = []
    about: list[str] = []
    for name, network in NETWORKS.items():
        with torch.device("meta"):
            count = sum(parameter.numel() for parameter in network().parameters())
        weights = "ship" if name == "lrrnet" else "published" if network.published else "train"
        rows.append((name, count, weights, " ".join(network.rules) or None))
        about.append(_first_line(inspect.getmodule(network)))
    for name, network in CLASSICAL.items():
        rows.append((name, 0, "none", None))
        about.append(_first_line(network))
    width = max(map(len, about))  # numbers go right, text left
    header = ("method", "parameters", "weights", "rules", f"{'network':<{width}}")
    print(
        format_table(
            header, [(*row, f"{text:<{width}}") for row, text in zip(rows, about, strict=True)]
        )
    )
    return 0


def _first_line(documented: object) -> str:
    import inspect

    return (inspect.getdoc(documented) or "").partition("\n")[0]


# --- fusion evaluate ------------------------------------------------------------------------------

EVALUATE_EXAMPLES = """\
Fused pictures are matched with the sources by file stem; colour is measured by its luminance. OUT
gets means.csv, pictures.csv and means.png. What each metric means and where it misleads is in
fusion/evaluation/metrics.py. SD grows with the size of the picture, 2En is what some papers call
MI.

examples:
  fusion evaluate --ir tno/ir --vis tno/vis --fused fused
  fusion evaluate --ir tno/ir --vis tno/vis --fused LRRNet=a MyNet=b --metrics en,ssim,nabf -o out
  fusion evaluate --ir tno/ir --vis tno/vis --fused fused --json -

exit code: 0 when all pictures were measured, 2 when an input is bad or any was left out.
"""


def _add_evaluate(commands: Commands) -> None:
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
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, help="folder for tables and plot"
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="also write means and every picture's figures as JSON; - for the terminal, alone",
    )
    _add_workers(parser)


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        metavar="N",
        type=positive_int,
        default=1,
        help="processes that share the pictures (default: 1)",
    )


def _metrics(text: str | None) -> list[str] | None:
    """Names from ``M,M,...``, checked before anything is done; None for all.

    Raises:
        UserError: one is unknown.
    """
    from fusion.evaluation.comparison import known_metrics

    return None if text is None else list(known_metrics(text.split(",")))


def _evaluate(arguments: argparse.Namespace) -> int:
    from fusion.base.tables import write_json
    from fusion.evaluation.comparison import compare, method_names

    metrics = _metrics(arguments.metrics)
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


TRAIN_EXAMPLES = """\
A configuration of experiments/fusion names the network, its losses and its data; every key of it
is an option too. A run writes losses, sample pictures, weights.safetensors and checkpoints below
runs/.

examples:
  fusion train fit --config experiments/fusion/saliency.yaml --data.root PAIRS
  fusion train fit --config experiments/fusion/saliency.yaml --data.root PAIRS \\
      --ckpt_path runs/saliency/version_0/checkpoints/last.ckpt
  fusion train fit --help
  fusion train fit --model.help fusion.training.procedures.SaliencyTraining

exit code: 0, or 2 when an option or the data is wrong.
"""


def _train(argv: list[str]) -> None:
    from fusion.commands.train import main as train

    train(argv)


# --- fusion ablation ------------------------------------------------------------------------------

ABLATION_EXAMPLES = """\
Other options are those of 'fusion train fit' and hold for every row. A second call goes on where
the first one stopped. OUT gets configurations (each for 'fusion train fit --config' alone), runs,
weights, fused pictures and a folder a table: means.csv, pictures.csv, means.json, means.png.

examples:
  fusion ablation --config experiments/fusion/ablation.yaml --data.root KAIST \\
      --ir tno/ir --vis tno/vis -o out
  fusion ablation --config experiments/fusion/ablation.yaml --table blocks extractor \\
      --data.root KAIST --trainer.max_steps 500 --ir tno/ir --vis tno/vis -o out
  fusion ablation --config experiments/fusion/ablation.yaml --configurations-only -o out

exit code: 0 when all is trained and measured, 2 when an input is bad or a training failed.
"""


def _add_ablation(commands: Commands) -> None:
    parser = commands.add_parser(
        "ablation",
        help="train, fuse and tabulate the rows of ablation tables",
        description="Train a network under each setting of ablation tables, fuse pairs by each, "
        "and tabulate the\nmetrics.",
        epilog=ABLATION_EXAMPLES,
    )
    parser.set_defaults(command=_ablation, training=[])
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        required=True,
        help="YAML file of a training and of tables, whose rows change it",
    )
    parser.add_argument(
        "--table", metavar="NAME", nargs="+", help="some of the tables (default: all)"
    )
    parser.add_argument("--ir", metavar="DIR", type=Path, help="infrared pictures to evaluate on")
    parser.add_argument("--vis", metavar="DIR", type=Path, help="visible pictures to evaluate on")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="folder to write"
    )
    parser.add_argument("--metrics", metavar="M,M,...", help="as for fusion evaluate")
    _add_workers(parser)
    parser.add_argument(
        "--configurations-only", action="store_true", help="write the configurations and stop"
    )
    add_device_option(parser)


def _ablation(arguments: argparse.Namespace) -> int:
    from fusion.base.files import make_folder
    from fusion.commands.ablation import Ablation, read_tables
    from fusion.images.pairing import pair_folders

    tables = read_tables(arguments.config)
    chosen = arguments.table or list(tables)
    unknown = [name for name in chosen if name not in tables]
    if unknown:
        raise UserError(f"--table: {unknown[0]!r} is unknown; known are {', '.join(tables)}")
    ablation = Ablation(
        {name: tables[name] for name in chosen},
        make_folder(arguments.output),
        arguments.training,
    )
    if arguments.configurations_only:
        if arguments.training:
            raise UserError(
                f"--configurations-only: {arguments.training[0]} would be lost; give options of "
                "training to fusion train fit"
            )
        ablation.write_configurations()
        print(f"{len(ablation.runs)} configurations: {arguments.output / 'configurations'}")
        return 0
    if arguments.ir is None or arguments.vis is None:
        raise UserError("give --ir and --vis to evaluate on, or --configurations-only")
    # Whatever can be wrong is said before hours of training, not after.
    metrics = _metrics(arguments.metrics)
    device = resolve_device(arguments.device)
    pair_folders(arguments.ir, arguments.vis)
    ablation.train()
    comparisons = ablation.evaluate(arguments.ir, arguments.vis, metrics, arguments.workers, device)
    failures = {line: None for c in comparisons.values() for line in c.failures}
    for failure in failures:
        print(failure, file=sys.stderr)
    for name, comparison in comparisons.items():
        print(f"{name}\n{comparison.table()}\n")
    print(f"tables and plots: {arguments.output}", file=sys.stderr)
    return EXIT_BAD_INPUT if failures else 0


# --- fusion reference -----------------------------------------------------------------------------

REFERENCE_EXAMPLES = """\
The five best results of each pair are chosen by an automatic filter, weighted and enhanced; OUT
gets rank_1/ to rank_5/, rank_1.txt to rank_5.txt with lines name,weight, and references.csv, which
says whose each is. fusion/training/reference.py has the rules. Then a network is trained to
regress to them:

  fusion reference --ir road/ir --vis road/vis -o references \\
      --results maximum=a laplacian=b DIDFuse=c AUIF=d DenseFuse=e LRRNet=f
  fusion train fit --config experiments/fusion/reference.yaml \\
      --data.root road --data.references references

--sheets draws candidates, chosen, enhanced and (--fused) a network's result:

  fusion reference --ir road/ir --vis road/vis -o references --skip-existing \\
      --results maximum=a laplacian=b DIDFuse=c AUIF=d DenseFuse=e LRRNet=f --sheets 4 --fused new

exit code: 0 when all pairs have references, 2 when an input is bad or any pair was left out.
"""


def _add_reference(commands: Commands) -> None:
    parser = commands.add_parser(
        "reference",
        help="choose and enhance training references among several methods' results",
        description="Reference-then-supervision: from the results of several fusion methods, the "
        "references a\nnetwork is trained to regress to.",
        epilog=REFERENCE_EXAMPLES,
    )
    parser.set_defaults(command=_reference)
    parser.add_argument("--ir", metavar="DIR", type=Path, required=True, help="infrared pictures")
    parser.add_argument("--vis", metavar="DIR", type=Path, required=True, help="visible pictures")
    parser.add_argument(
        "--results", metavar="DIR", nargs="+", required=True, help="a method's results, or NAME=DIR"
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="folder to write"
    )
    parser.add_argument(
        "--keep",
        metavar="K",
        type=positive_int,
        help="choose at most so many references a pair (default: 5)",
    )
    parser.add_argument(
        "--skip-existing", action="store_true", help="leave out pairs that have references already"
    )
    parser.add_argument(
        "--sheets", metavar="N", type=positive_int, help="also draw N pairs, to OUT/sheets"
    )
    parser.add_argument(
        "--fused", metavar="DIR", type=Path, help="a trained network's results, for the sheets"
    )
    _add_workers(parser)


def _reference(arguments: argparse.Namespace) -> int:
    from fusion.evaluation.comparison import method_names
    from fusion.training.reference import KEEP, draw_sheets, make_references

    ir, vis, out = arguments.ir, arguments.vis, arguments.output
    keep = KEEP if arguments.keep is None else arguments.keep
    results = method_names(arguments.results, "--results")
    failures = make_references(
        ir, vis, results, out, keep, arguments.workers, arguments.skip_existing
    )
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"references: {out}")
    if arguments.sheets:
        draw_sheets(ir, vis, results, out, arguments.sheets, arguments.fused)
        print(f"sheets: {out / 'sheets'}")
    return EXIT_BAD_INPUT if failures else 0


# --- fusion export --------------------------------------------------------------------------------

EXPORT_EXAMPLES = """\
The file takes pictures of any size and holds its pixel convention in the metadata. It is compared
with PyTorch on several sizes before it is left. Needs: pip install 'rgbt-lrrnet[export]'

examples:
  fusion export -o lrrnet.onnx
  fusion export --method didfuse --weights published_didfuse/ -o didfuse.onnx
"""


def _add_export(commands: Commands) -> None:
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
    network = _load(arguments.weights, "cpu", arguments.method, arguments.rule)
    if type(network) not in NETWORKS.values():
        raise UserError(f"--method {arguments.method}: no network; there is nothing to export")
    difference = export_network(network, path)
    print(f"{path}: differs from PyTorch by {difference:.1e} of the largest value at most")
    return 0


# --- fusion bench ---------------------------------------------------------------------------------

BENCH_EXAMPLES = """\
examples:
  fusion bench
  fusion bench --size 256x256 --rounds 5 --no-train --json bench.json
"""


def _add_bench(commands: Commands) -> None:
    parser = commands.add_parser(
        "bench",
        help="measure LRRNet against the published code's structure",
        description="Measure LRRNet's time, memory and error on the CPU, in turn with the "
        "structure of the\npublished code; takes minutes and, for that structure, gigabytes.",
        epilog=BENCH_EXAMPLES,
    )
    parser.set_defaults(command=_bench)
    parser.add_argument(
        "--size",
        metavar="WxH",
        type=_size,
        default=(640, 512),
        help="size of the pictures in pixels (default: 640x512)",
    )
    parser.add_argument(
        "--rounds",
        metavar="N",
        type=positive_int,
        default=3,
        help="measure so often; the least counts (default: 3)",
    )
    parser.add_argument(
        "--train",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure training steps too",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="also write all figures; - for stdout, without the tables"
    )


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, such as 640x512")
    return int(width), int(height)


def _bench(arguments: argparse.Namespace) -> int:
    from fusion.base.tables import write_json
    from fusion.commands.bench import bench, report

    result = bench(arguments.size, arguments.rounds, arguments.train)
    if arguments.json != "-":
        print(report(result))
    if arguments.json:
        write_json(arguments.json, result)
    return 0


# --- fusion demo ----------------------------------------------------------------------------------


def _add_demo(commands: Commands) -> None:
    parser = commands.add_parser(
        "demo",
        help="generate a street scene and fuse it",
        description="Generate an infrared and a visible picture of a street at dusk, fuse them and "
        "say what\nto open.",
        epilog="example:\n  fusion demo -o demo\n",
    )
    parser.set_defaults(command=_demo)
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        default=Path("demo"),
        help="folder to write (default: demo)",
    )
    parser.add_argument("--weights", metavar="W", type=Path, help="as for fusion fuse")
    parser.add_argument(
        "--seed", metavar="N", type=natural_int, default=0, help="decides the scene (default: 0)"
    )
    add_device_option(parser)


def _demo(arguments: argparse.Namespace) -> int:
    from fusion.commands.pipeline import Options, fuse
    from fusion.commands.scene import street_pair
    from fusion.images.reading import write_image

    network = _load(arguments.weights, arguments.device)
    out = arguments.output
    ir_path, vis_path, fused_path = out / "infrared.png", out / "visible.png", out / "fused.png"
    ir, vis = street_pair(seed=arguments.seed)
    write_image(ir_path, ir)
    write_image(vis_path, vis)
    fuse(network, ir_path, vis_path, fused_path, Options(compare=True))
    print(f"generated: {ir_path}, {vis_path}")
    weights = arguments.weights or "the weights that ship"
    print(f"fused:     {fused_path} ({type(network).__name__}, {weights})")
    print(f"open this: {out / 'fused_compare.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
