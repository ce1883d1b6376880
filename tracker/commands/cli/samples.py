"""``tracker samples``: an image of the pairs that a training would use."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion.base.commandline import Commands, add_number_option, positive_int
from fusion.base.errors import UserError

if TYPE_CHECKING:
    from tracker.training.footage import Source
    from tracker.training.video_data import VideoPairData

EXAMPLES = """\
Each cell shows a pair: its two templates, one above the other, and the visible and infrared search
crop. The box is green; red if the search crop shows another target; orange if the true position is
not known and only a teacher's response counts. Crops that the network does not receive are crossed
out.

examples:
  tracker samples sheet.png --masked-video DAVIS --clips M3SVD --stills RoadScene
  tracker samples sheet.png --config experiments/tracker/distill.yaml --masked-video DAVIS
  tracker samples clean.png --sequences lasher=LasHeR/trainingset --clean
  tracker samples sheet.png --masked-video DAVIS --cache decoded

exit code: 0, or 2 if an option or the data is invalid.
"""

FOLDERS = {
    "masked_video": "visible videos with a mask for each frame, such as DAVIS: SEQ/color, SEQ/mask",
    "clips": "RGBT videos without boxes, such as M3SVD: visible/*.mp4, infrared/*.mp4, clips/",
    "stills": "still pairs, such as RoadScene: ir/ and vis/",
}


def add_samples(commands: Commands) -> None:
    """Add ``samples`` to the commands of ``tracker``."""
    parser = commands.add_parser(
        "samples",
        help="show the pairs that a training on real video would use",
        description="Show template/search pairs of real video in one image.",
        epilog=EXAMPLES,
    )
    parser.set_defaults(command=_samples)
    parser.add_argument("output", metavar="OUT", type=Path, help="image to write")
    for name, text in FOLDERS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="DIR", help=text)
    parser.add_argument(
        "--sequences",
        metavar="NAME=DIR",
        nargs="+",
        default=[],
        help="annotated sequences and their layout: lasher, gtot, rgbt234, vot, synthetic, ...",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="use the folders, weights and recipe of this training configuration",
    )
    add_number_option(parser, "--count", "pairs", default=12)
    add_number_option(parser, "--columns", "pairs per row", default=3)
    add_number_option(parser, "--first", "number of the first draw", default=0, least=0)
    add_number_option(
        parser, "--seed", "seed of the draws (default: that of the configuration, or 0)", least=0
    )
    parser.add_argument(
        "--sizes",
        metavar="N",
        type=positive_int,
        nargs=2,
        default=[127, 255],
        help="size of template and search crop in pixels (default: 127 255)",
    )
    parser.add_argument(
        "--clean",
        action="store_true",
        help="show the crops without degradation, as a teacher sees them",
    )
    parser.add_argument(
        "--cache", metavar="DIR", help="folder that keeps decoded frames for later runs"
    )


def _samples(arguments: argparse.Namespace) -> int:
    from fusion.images.reading import require_image_suffix, write_image

    require_image_suffix(arguments.output)
    keys = {} if arguments.config is None else _data_keys(arguments.config)
    keys |= {name: value for name in FOLDERS if (value := getattr(arguments, name)) is not None}
    if arguments.sequences:
        keys["sequences"] = dict(
            name_and_folder("--sequences", text) for text in arguments.sequences
        )
    keys |= {
        name: value for name in ("seed", "cache") if (value := getattr(arguments, name)) is not None
    }

    # Only now torch.
    from tracker.training.sample_sheet import sample_sheet

    data = _build(keys)
    data.prepare_pairs(*arguments.sizes)
    for source in data.train_set.scenes.sources:
        print(_described(source))
    sheet = sample_sheet(
        data.train_set, arguments.count, arguments.columns, arguments.first, arguments.clean
    )
    write_image(arguments.output, sheet)
    print(f"{arguments.count} pairs: {arguments.output}")
    return 0


def _described(source: "Source") -> str:
    """One line: how much footage a source has, and its name where it is a part of a clip."""
    names = [footage.name for footage in source.footage]
    parts = [name for name in names if name.endswith("]")]
    listed = f" ({', '.join(parts)})" if 0 < len(parts) <= 12 else ""
    return f"{source.name}: {len(names)} videos, parts or stills{listed}"


def name_and_folder(option: str, text: str) -> tuple[str, str]:
    """The parts of ``NAME=DIR``.

    Raises:
        UserError: the text has another form; names the option.
    """
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise UserError(f"{option} {text}: give NAME=DIR, such as lasher=LasHeR/trainingset")
    return name, folder


def _data_keys(path: Path) -> dict[str, Any]:
    """The ``data`` section of a training configuration."""
    from fusion.base.configuration import read_config

    data = read_config(path).get("data")
    if not isinstance(data, dict):
        raise UserError(
            f"{path}: has no data section; give the configuration of a training on real video"
        )
    return dict(data.get("init_args", data))


def _build(keys: dict[str, Any]) -> "VideoPairData":
    """Build the data module from its arguments."""
    from tracker.training.recipe import Recipe
    from tracker.training.video_data import VideoPairData

    recipe = keys.pop("recipe", {})
    known = {field.name for field in fields(Recipe)}
    for name in recipe:
        if name not in known:
            raise UserError(f"recipe.{name}: no such key; give one of {', '.join(sorted(known))}")
    try:
        return VideoPairData(**keys, recipe=Recipe(**recipe))
    except TypeError as error:
        raise UserError(
            f"data: {error}; give a configuration of a training on real video"
        ) from error
