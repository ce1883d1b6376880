"""Arrays and tensors of other libraries, by one rule."""

import numpy as np
import pytest
import torch

from fusion.images.arrays import as_picture

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.dstack([GREY, GREY[::-1], GREY[:, ::-1]])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (GREY, GREY),
        (GREY[..., None], GREY),
        (COLOUR, COLOUR),
        (np.dstack([COLOUR, GREY]), COLOUR),
        (GREY / 255, GREY),
        (GREY.astype(np.float64), GREY),
        (torch.from_numpy(COLOUR).permute(2, 0, 1), COLOUR),
        (torch.from_numpy(COLOUR / 255).permute(2, 0, 1)[None].float(), COLOUR),
        (torch.from_numpy(GREY)[None], GREY),
    ],
)
def test_what_is_taken(given, expected):
    picture = as_picture(given, "infrared")
    assert picture.shape == expected.shape
    np.testing.assert_allclose(picture, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (np.where(GREY > 100, np.nan, GREY / 255), "NaN"),
        (GREY.astype(np.int64), "int64"),
        (GREY.astype(float) + 280, "280"),
        (GREY - 0.5, "-0.5"),
        (GREY[None, None], "shape"),
        ([[1, 2]], "list"),
    ],
)
def test_what_is_refused_is_named(given, named):
    with pytest.raises(ValueError, match=f"infrared.*{named}"):
        as_picture(given, "infrared")


def test_16_bit_is_stretched_and_radiometry_where_any_range_goes():
    assert as_picture(GREY.astype(np.uint16) + 29000, "infrared").max() == 255
    assert as_picture(GREY.astype(float) + 280, "infrared", any_range=True).min() == 280
