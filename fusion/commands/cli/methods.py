"""``fusion methods``: its options and its output."""

import argparse

from fusion.base.commandline import Commands


def add_methods(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "methods",
        help="list the fusion networks",
        description="List the fusion networks by the names of --method: their number of "
        "parameters; whether\nweights are included, published weights can be loaded, or 'fusion "
        "train' is required; what of\nthe authors' each was verified against; and the names of "
        "--rule.\n\n'published images': published weights give the authors' images. 'published "
        "weights': they are\napplied as they should, but no images are published with them. "
        "'parameter counts': neither is at\nhand; the number of parameters is the authors', and "
        "experiments/README.md tells what else was\ncompared.",
        epilog="example:\n  fusion methods\n",
    )
    parser.set_defaults(command=_methods)


def _methods(arguments: argparse.Namespace) -> int:
    import inspect

    import torch

    from fusion.base.tables import format_table
    from fusion.networks.registry import CLASSICAL, NETWORKS
    from fusion.networks.weights import included_weights

    rows: list[tuple[str, int, str, str | None, str | None]] = []
    about: list[str] = []
    for name, network in NETWORKS.items():
        with torch.device("meta"):
            count = sum(parameter.numel() for parameter in network().parameters())
        included = included_weights(name) is not None
        weights = "ship" if included else "published" if network.published else "train"
        rules = " ".join(network.rules) or None
        rows.append((name, count, weights, network.verified or None, rules))
        about.append(_first_line(inspect.getmodule(network)))
    for name, network in CLASSICAL.items():
        rows.append((name, 0, "none", None, None))
        about.append(_first_line(network))
    width = max(map(len, about))  # numbers are right-aligned, text is left-aligned
    header = ("method", "parameters", "weights", "verified by", "rules", f"{'network':<{width}}")
    print(
        format_table(
            header, [(*row, f"{text:<{width}}") for row, text in zip(rows, about, strict=True)]
        )
    )
    return 0


def _first_line(documented: object) -> str:
    import inspect

    return (inspect.getdoc(documented) or "").partition("\n")[0]
