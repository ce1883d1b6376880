"""Contact sheets of training pairs: template and search in both modalities, with boxes."""

from collections.abc import Mapping

import cv2
import numpy as np
from torch import Tensor

from fusion.images.pixels import tile
from tracker.training.video_pairs import MODALITIES, VideoPairs

TARGET, OTHER, UNKNOWN = (60, 255, 60), (255, 60, 60), (255, 170, 0)
NAMES = {"rgb": "visible", "ir": "infrared"}


def sample_sheet(
    pairs: VideoPairs, count: int = 12, columns: int = 3, first: int = 0, clean: bool = False
) -> np.ndarray:
    """Show pairs of consecutive draws with captions.

    Each cell has the two templates, one above the other, and next to them the visible and the
    infrared search crop. The box is green, red if the search crop shows another target, and orange
    if the true position of the target is not known. A crop that the student does not receive is
    crossed out.

    Args:
        pairs: the training pairs.
        count: number of pairs.
        columns: pairs per row.
        first: number of the first draw.
        clean: whether to show the teacher's crops instead of the student's.

    Returns:
        RGB uint8.
    """
    cells = [_cell(pairs, pairs[0, first + number], clean) for number in range(count)]
    return tile([cells[i : i + columns] for i in range(0, count, columns)])


def _cell(pairs: VideoPairs, item: Mapping[str, Tensor], clean: bool) -> tuple[str, np.ndarray]:
    templates = [_crop(item, "template", modality, clean) for modality in MODALITIES]
    searches = [_crop(item, "search", modality, clean) for modality in MODALITIES]
    left = np.vstack(templates)
    height = max(len(left), len(searches[0]))
    columns = [
        cv2.copyMakeBorder(
            part, 0, height - len(part), 0, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255)
        )
        for part in (left, *searches)
    ]
    return _caption(pairs, item), np.hstack(columns)


def _caption(pairs: VideoPairs, item: Mapping[str, Tensor]) -> str:
    words = [pairs.scenes.sources[int(item["source"])].name.replace("_", " ")]
    words += [f"{NAMES[m]} fails" for m in MODALITIES if item[f"failed_{m}"]]
    words += [f"{NAMES[m]} missing" for m in MODALITIES if not item[f"usable_{m}"]]
    if not item["positive"]:
        words.append("another target")
    elif not item["labelled"]:
        words.append("no label")
    return ", ".join(words)


def _crop(item: Mapping[str, Tensor], place: str, modality: str, clean: bool) -> np.ndarray:
    """A crop as RGB with its box."""
    picture = item[f"{'clean_' if clean else ''}{place}_{modality}"].numpy().transpose(1, 2, 0)
    picture = np.ascontiguousarray(np.repeat(picture, 3 // picture.shape[2], axis=2))
    colour = TARGET
    if place == "search" and not item["positive"]:
        colour = OTHER
    elif not item["labelled"]:
        colour = UNKNOWN
    x, y, w, h = item["template_box" if place == "template" else "box"].tolist()
    cv2.rectangle(picture, (round(x), round(y)), (round(x + w), round(y + h)), colour, 1)
    if not (clean or item[f"usable_{modality}"]):
        height, width = picture.shape[:2]
        cv2.line(picture, (0, 0), (width, height), OTHER, 1)
        cv2.line(picture, (width, 0), (0, height), OTHER, 1)
    return picture
