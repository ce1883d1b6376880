"""Metrics: published values, second implementations, limits, and controls that must fail."""

import json

import numpy as np
import pytest
from skimage.measure import shannon_entropy
from skimage.metrics import mean_squared_error, structural_similarity
from skimage.metrics import normalized_mutual_information as nmi

from fusion.base.errors import UserError
from fusion.evaluation.metrics import create_all, evaluate
from fusion.evaluation.metrics.contrast import (
    average_gradient,
    deviation_norm,
    edge_intensity,
    spatial_frequency,
)
from fusion.evaluation.metrics.edges import nabf
from fusion.evaluation.metrics.fidelity import (
    correlation,
    psnr,
    sum_of_correlations_of_differences,
)
from fusion.evaluation.metrics.filters import STRIP, Moments, gaussian
from fusion.evaluation.metrics.information import (
    doubled_entropy,
    entropy,
    mutual_information,
    mutual_information_of,
)
from fusion.evaluation.metrics.structure import ms_ssim, ssim
from fusion.evaluation.metrics.visual import vif, viff, vifp, wavelet_vif
from fusion.images.reading import read_image

# Names in the recorded values of the 21 published LRRNet pictures.
RECORDED = {
    "en": "En",
    "sd_sqrt_n": "SD_sqrt_sum_sq_unit",
    "2en": "MI_paper_2En",
    "mi": "MI_true",
    "ssim": "SSIM_avg",
    "vif": "VIFm",
    "nabf": "Nabf",
    "sf": "SF",
    "ag": "AG",
    "scd": "SCD",
    "qabf": "Qabf",
    "ms_ssim": "MS_SSIM",
    "viff": "VIFF",
    "cc": "CC",
    "psnr": "PSNR",
}


@pytest.fixture(scope="module")
def tno(shared):
    """``number -> (fused, ir, vis)`` of the paper's pairs."""
    folder = shared / "data/tno21"

    def read(number):
        return tuple(
            read_image(folder / part / f"{number}.png")
            for part in ("lrrnet_published", "ir", "vis")
        )

    return read


def test_every_value_of_the_21_pairs(shared, tno):
    recorded = json.loads((shared / "facts/lrrnet_tno21_metrics.json").read_text())
    values = {}
    for number in range(1, 22):
        values[number] = evaluate(*tno(number))
        for key, name in RECORDED.items():
            expected = recorded["per_image"][f"IR{number}"][name]
            assert values[number][key] == pytest.approx(expected, abs=1e-4), (number, key)
    for key, name in RECORDED.items():
        mean = np.mean([value[key] for value in values.values()])
        assert mean == pytest.approx(recorded["mean"][name], abs=1e-4), key


@pytest.fixture
def images():
    """Three different smooth-and-noisy pictures."""
    rng = np.random.default_rng(5)
    ramp = np.linspace(20, 200, 96)[None] + np.zeros((80, 1))
    return tuple(
        np.clip(np.roll(ramp, 17 * i, axis=1) + rng.normal(0, 12, ramp.shape), 0, 255).astype(
            np.uint8
        )
        for i in range(3)
    )


# --- Second implementations -----------------------------------------------------------------------


@pytest.mark.parametrize("height", [80, STRIP + 10, STRIP + 11, 3 * STRIP + 15])
@pytest.mark.parametrize("convention", ["lrrnet", "cddfuse"])
def test_ssim_equals_scikit_image(rng, convention, height):
    """Gaussian windows, whose border is cropped here and there; and plain 7x7 ones."""
    fused, ir, vis = rng.integers(0, 256, (3, height, 48), np.uint8)
    if convention == "lrrnet":
        arguments = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        ours = ssim(fused, ir, vis, border="crop")
        peak, cropped, combine = 255, 5, np.mean
    else:
        arguments = {}
        ours = ssim(fused, ir, vis, window="box", border="crop", peak=2, combine="sum")
        peak, cropped, combine = 2, 3, np.sum
    expected = []
    for source in (ir, vis):
        _, whole = structural_similarity(fused, source, full=True, data_range=peak, **arguments)
        expected.append(whole[cropped:-cropped, cropped:-cropped].mean())
    assert ours == pytest.approx(combine(expected), abs=1e-9)


def test_ssim_with_replicated_borders(images):
    """Strips of a bordered picture give the mean of the whole map."""
    fused, ir, vis = images
    padded = [np.pad(image, 5, mode="edge") for image in images]
    assert ssim(fused, ir, vis) == pytest.approx(ssim(*padded, border="crop"), abs=1e-12)


def test_moments_are_those_of_windows(rng):
    x, y = rng.normal(size=(2, 20, 30))
    moments = Moments(gaussian(5, 1.0), x=x, y=y)
    weights = np.exp(-(np.arange(-2, 3) ** 2) / 2.0)
    weights = np.outer(weights, weights) / np.outer(weights, weights).sum()
    window = (slice(3, 8), slice(7, 12))
    mean_x, mean_y = (weights * x[window]).sum(), (weights * y[window]).sum()
    covariance = (weights * (x[window] - mean_x) * (y[window] - mean_y)).sum()
    assert moments.mean("x")[3, 7] == pytest.approx(mean_x)
    assert moments.covariance("y", "x")[3, 7] == pytest.approx(covariance)


def test_edge_intensity_of_a_ramp():
    ramp = np.tile(np.arange(0, 60, 3, dtype=np.uint8), (15, 1))
    inside = edge_intensity(ramp[:, :]) * ramp.size
    # 8 times the slope inside, 4 times in the first and last column, whose neighbour is repeated.
    assert inside == pytest.approx(15 * (18 * 24 + 2 * 12))


def test_vifp_of_copies_is_one_per_source(images):
    assert vifp(images[0], images[0], images[0]) == pytest.approx(2, abs=1e-6)
    assert vifp(*images) < 2


def test_information_equals_scikit_image(images):
    fused, ir, vis = images
    assert entropy(fused) == pytest.approx(shannon_entropy(fused))
    for source in (ir, vis):
        # (H(a) + H(b)) / H(a, b), so that H(a) + H(b) - H(a, b) follows.
        total = shannon_entropy(fused) + shannon_entropy(source)
        ratio = nmi(fused, source, bins=[np.arange(257) - 0.5, np.arange(257) - 0.5])
        ours = mutual_information_of(fused, source)
        assert ours == pytest.approx(total - total / ratio, abs=1e-9)


def test_psnr_and_correlation_equal_their_definitions(images):
    fused, ir, vis = images
    error = (mean_squared_error(fused, ir) + mean_squared_error(fused, vis)) / 2
    assert psnr(*images) == pytest.approx(10 * np.log10(255**2 / error))
    expected = np.mean([np.corrcoef(fused.ravel(), s.ravel())[0, 1] for s in (ir, vis)])
    assert correlation(*images) == pytest.approx(expected)
    difference = fused.astype(float) - vis, fused.astype(float) - ir
    expected = sum(
        np.corrcoef(d.ravel(), s.ravel())[0, 1] for d, s in zip(difference, (ir, vis), strict=True)
    )
    assert sum_of_correlations_of_differences(*images) == pytest.approx(expected)


def test_spatial_frequency_and_gradient_of_a_ramp():
    ramp = np.tile(np.arange(0, 60, 3, dtype=np.uint8), (15, 1))
    assert spatial_frequency(ramp) == pytest.approx(3)
    assert average_gradient(ramp) == pytest.approx(3 / np.sqrt(2))


# --- Limits -------------------------------------------------------------------------------------


def test_three_equal_pictures_are_the_best_case(images):
    same = (images[0],) * 3
    assert ssim(*same) == pytest.approx(1)
    assert vif(*same) == pytest.approx(1, abs=1e-9)
    assert viff(*same) == pytest.approx(1, abs=1e-9)
    assert nabf(*same) == 0
    assert correlation(*same) == pytest.approx(1)
    assert psnr(*same) == float("inf")
    assert mutual_information(*same) == pytest.approx(2 * entropy(images[0]))


def test_sources_are_interchangeable(images):
    fused, ir, vis = images
    for metric in create_all():
        if metric.name not in ("ms_ssim", "viff"):  # too small for the one, ties decide the other
            a, b = metric(fused, ir, vis), metric(fused, vis, ir)
            assert a == pytest.approx(b, rel=1e-9), metric.name


def test_noise_moves_each_metric_in_its_direction(tno):
    """What is done to a picture is told by the metrics made to tell it."""
    fused, ir, vis = tno(1)
    noise = np.random.default_rng(0).normal(0, 25, fused.shape)
    spoilt = np.clip(fused + noise, 0, 255).astype(np.uint8)
    good, bad = evaluate(fused, ir, vis), evaluate(spoilt, ir, vis)
    for key in ("ssim", "ms_ssim", "viff", "qabf", "cc", "mi"):
        assert good[key] > bad[key], key
    assert good["nabf"] < bad["nabf"]
    for key in ("sf", "ag", "vif"):  # and their trap: they take noise for detail
        assert bad[key] > good[key], key


def test_constant_pictures_give_numbers():
    flat = np.full((32, 32), 9, np.uint8)
    other = np.arange(1024, dtype=np.uint16).reshape(32, 32).astype(np.uint8)
    values = evaluate(
        flat, other, other, ("en", "sd_sqrt_n", "mi", "scd", "cc", "qabf", "nabf", "ssim")
    )
    assert all(np.isfinite(value) for value in values.values())
    assert [values[key] for key in ("en", "sd_sqrt_n", "mi")] == pytest.approx([0, 0, 0], abs=1e-9)


#: Those without a value where a picture is too small.
MAY_BE_MISSING = {"ms_ssim", "vif", "viff", "ssim", "vifp", "fmi_dct"}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("convention", ["cddfuse", "ivif_zoo", "tang2023", "tang2022", "vifb"])
@pytest.mark.parametrize("kind", ["flat", "small", "equal"])
def test_odd_pictures_give_numbers_or_nan(rng, convention, kind):
    """Flat and tiny pictures, and sources that equal the fused one, fail nowhere."""
    flat = np.full((48, 50), 7, np.uint8)
    other = rng.integers(0, 256, (48, 50), np.uint8)
    trios = {
        "flat": (flat, flat, other),
        "small": tuple(rng.integers(0, 256, (3, 2, 3), np.uint8)),
        "equal": (other, other, other),
    }
    values = evaluate(*trios[kind], convention=convention)
    missing = {name for name, value in values.items() if np.isnan(value)}
    assert missing <= MAY_BE_MISSING | {"qncie"}, missing
    if kind == "equal":
        assert missing <= {"ms_ssim"}  # too small for five scales


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(2, 3), (12, 9), (20, 24), (21, 30), (40, 44), (41, 41)])
def test_small_pictures_give_numbers_or_nan(rng, size):
    values = evaluate(*rng.integers(0, 256, (3, *size), np.uint8))
    nan = {key for key, value in values.items() if np.isnan(value)}
    assert nan <= {"ms_ssim", "vif", "viff"}
    assert ("viff" in nan) == (min(size) < 41) and ("vif" in nan) == (min(size) < 21)


def test_ms_ssim_needs_room(images):
    assert np.isnan(ms_ssim(*images))


# --- Controls and errors --------------------------------------------------------------------------


def test_controls_that_must_differ(tno):
    """The recorded values tell the definitions apart they could be confused with."""
    fused, ir, vis = tno(1)
    assert mutual_information(fused, ir, vis) != pytest.approx(doubled_entropy(fused), abs=1)
    assert wavelet_vif(fused, ir) != pytest.approx(wavelet_vif(ir, fused), abs=0.05)
    assert deviation_norm(fused) != pytest.approx(fused.std(), abs=1)


def test_nabf_tells_which_derivative_stands_above(tno):
    """Recorded values are of atan(horizontal / vertical); the other way round misses them by 6e-5
    at most and 6e-6 in the mean, which a tolerance of 1e-9 shows."""
    assert nabf(*tno(11)) == pytest.approx(0.4434427728113544, abs=1e-9)
    assert nabf(*tno(1)) == pytest.approx(0.09888375064725677, abs=1e-9)


def test_unknown_metrics_are_named():
    flat = np.zeros((4, 4), np.uint8)
    with pytest.raises(UserError, match="unknown metric 'niqe'"):
        evaluate(flat, flat, flat, ("niqe",))
