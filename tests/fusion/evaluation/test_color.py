"""Metrics of colour: second implementations, limits, and what each is blind to."""

import cv2
import numpy as np
import pytest
from skimage.color import rgb2lab

from fusion.evaluation.metrics import create
from fusion.evaluation.metrics.color import chroma_error, colorfulness


@pytest.fixture
def colored(rng):
    """A smooth colour picture: noise has more chroma than any camera sees."""
    small = rng.integers(40, 216, (6, 8, 3), np.uint8)
    return cv2.resize(small, (64, 48), interpolation=cv2.INTER_CUBIC)


def test_chroma_error_equals_scikit_image(rng, colored):
    other = rng.integers(0, 256, colored.shape, np.uint8)
    difference = (rgb2lab(colored) - rgb2lab(other))[..., 1:]
    expected = np.sqrt((difference**2).sum(2)).mean()
    assert chroma_error(other, None, colored) == pytest.approx(expected, abs=0.05)


def test_a_grey_picture_has_no_chroma(colored):
    grey = colored[..., 0]
    chroma = np.sqrt((rgb2lab(colored)[..., 1:] ** 2).sum(2)).mean()
    assert chroma_error(grey, None, colored) == pytest.approx(chroma, abs=0.05)
    assert chroma_error(colored, None, colored) == 0
    assert colorfulness(grey) == 0


def test_colorfulness_is_hasler_and_suesstrunks(colored):
    red, green, blue = np.moveaxis(colored.astype(float), 2, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    assert colorfulness(colored) == pytest.approx(expected)


def test_false_colour_is_colourful_and_wrong(colored):
    """The trap that the page warns about."""
    false = cv2.cvtColor(cv2.applyColorMap(colored[..., 1], cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    assert colorfulness(false) > colorfulness(colored)
    assert chroma_error(false, None, colored) > 20


def test_channels_are_measured_one_by_one(colored, rng):
    """The mean over channels; a grey source serves each; grey pictures have one."""
    ir = rng.integers(0, 256, (48, 64), np.uint8)
    metric, of_grey = create("mi", "color"), create("mi")
    expected = np.mean(
        [of_grey(255 - colored[..., k], ir, colored[..., k].copy()) for k in range(3)]
    )
    assert metric(255 - colored, ir, colored) == pytest.approx(expected)
    assert metric(ir, ir, ir) == of_grey(ir, ir, ir)
