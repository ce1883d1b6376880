"""Pictures of training pairs, to be looked at: template and search in both modalities with boxes."""

from collections.abc import Mapping

import cv2
import numpy as np
from torch import Tensor

from fusion.images.pixels import tile
from tracker.training.video_pairs import VideoPairs

__all__ = ["sample_sheet"]


def sample_sheet(
    pairs: VideoPairs, count: int = 24, columns: int = 4, first: int = 0, clean: bool = False
) -> np.ndarray:
    """Pairs of consecutive draws: template and search crop, visible above infrared.

    The target's box is green, dashed pairs have none: orange where no truth is known, red where the
    search crop is about another target.

    Args:
        pairs: what is drawn from.
        count: pairs shown.
        columns: pairs in a row.
        first: number of the first draw.
        clean: show what the teacher sees instead of the student.

    Returns:
        RGB uint8.
    """
    cells = [_cell(pairs[0, first + number], clean) for number in range(count)]
    return tile([cells[i : i + columns] for i in range(0, count, columns)])


def _cell(item: Mapping[str, Tensor], clean: bool) -> tuple[str, np.ndarray]:
    prefix = "clean_" if clean else ""
    rows = []
    for modality in ("rgb", "ir"):
        row = []
        for place, key in (("template", "template_box"), ("search", "box")):
            picture = item[f"{prefix}{place}_{modality}"].numpy().transpose(1, 2, 0)
            picture = np.ascontiguousarray(np.repeat(picture, 3 // picture.shape[2], axis=2))
            x, y, w, h = item[key].tolist()
            colour = (60, 255, 60)
            if place == "search" and not item["positive"]:
                colour = (255, 60, 60)
            elif not item["labelled"]:
                colour = (255, 170, 0)
            cv2.rectangle(picture, (round(x), round(y)), (round(x + w), round(y + h)), colour, 1)
            if not item[f"usable_{modality}"]:
                cv2.line(picture, (0, 0), picture.shape[1::-1], (255, 60, 60), 1)
            row.append(picture)
        gap = row[1].shape[0] - row[0].shape[0]
        row[0] = cv2.copyMakeBorder(row[0], 0, gap, 0, 4, cv2.BORDER_CONSTANT, value=(255,) * 3)
        rows.append(np.hstack(row))
    words = [m for m in ("rgb", "ir") if item[f"failed_{m}"]]
    caption = f"{int(item['source'])}" + (f" {words[0]} fails" if words else "")
    return caption, np.vstack(rows)
