"""Metrics: published values, second implementations, limits, and controls that must fail."""

import json

import numpy as np
import pytest
from skimage.measure import shannon_entropy
from skimage.metrics import mean_squared_error, structural_similarity
from skimage.metrics import normalized_mutual_information as nmi

from fusion.evaluation import metrics
from fusion.evaluation.metrics import METRICS, evaluate
from fusion.images.reading import read_image

# Names in the recorded values of the 21 published LRRNet pictures.
RECORDED = {
    "en": "En",
    "sd": "SD_sqrt_sum_sq_unit",
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


def test_ssim_equals_scikit_image(images):
    fused, ir, vis = images

    def reference(a, b):
        _, whole = structural_similarity(
            a,
            b,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
            data_range=255,
        )
        return whole[5:-5, 5:-5]  # its border is another

    for source in (ir, vis):
        luminance, structure = metrics._ssim_maps(fused.astype(float), source.astype(float))
        ours = (luminance * structure)[5:-5, 5:-5]
        np.testing.assert_allclose(ours, reference(fused, source), atol=1e-6)


def test_information_equals_scikit_image(images):
    fused, ir, vis = images
    assert metrics.entropy(fused) == pytest.approx(shannon_entropy(fused))
    for source in (ir, vis):
        # (H(a) + H(b)) / H(a, b), so that H(a) + H(b) - H(a, b) follows.
        total = shannon_entropy(fused) + shannon_entropy(source)
        ratio = nmi(fused, source, bins=[np.arange(257) - 0.5, np.arange(257) - 0.5])
        ours = metrics._mutual_information(fused, source)
        assert ours == pytest.approx(total - total / ratio, abs=1e-9)


def test_psnr_and_correlation_equal_their_definitions(images):
    fused, ir, vis = images
    error = (mean_squared_error(fused, ir) + mean_squared_error(fused, vis)) / 2
    assert metrics.psnr(*images) == pytest.approx(10 * np.log10(255**2 / error))
    expected = np.mean([np.corrcoef(fused.ravel(), s.ravel())[0, 1] for s in (ir, vis)])
    assert metrics.correlation(*images) == pytest.approx(expected)
    difference = fused.astype(float) - vis, fused.astype(float) - ir
    expected = sum(
        np.corrcoef(d.ravel(), s.ravel())[0, 1] for d, s in zip(difference, (ir, vis), strict=True)
    )
    assert metrics.sum_of_correlations_of_differences(*images) == pytest.approx(expected)


def test_spatial_frequency_and_gradient_of_a_ramp():
    ramp = np.tile(np.arange(0, 60, 3, dtype=np.uint8), (15, 1))
    assert metrics.spatial_frequency(ramp) == pytest.approx(3)
    assert metrics.average_gradient(ramp) == pytest.approx(3 / np.sqrt(2))


# --- Limits -------------------------------------------------------------------------------------


def test_three_equal_pictures_are_the_best_case(images):
    same = (images[0],) * 3
    assert metrics.ssim(*same) == pytest.approx(1)
    assert metrics.vif(*same) == pytest.approx(1, abs=1e-9)
    assert metrics.viff(*same) == pytest.approx(1, abs=1e-9)
    assert metrics.nabf(*same) == 0
    assert metrics.correlation(*same) == pytest.approx(1)
    assert metrics.psnr(*same) == float("inf")
    assert metrics.mutual_information(*same) == pytest.approx(2 * metrics.entropy(images[0]))


def test_sources_are_interchangeable(images):
    fused, ir, vis = images
    for key, metric in METRICS.items():
        if key not in ("ms_ssim", "viff"):  # too small for the one, ties decide the other
            a, b = metric.function(fused, ir, vis), metric.function(fused, vis, ir)
            assert a == pytest.approx(b, rel=1e-9), key


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
    values = evaluate(flat, other, other, ("en", "sd", "mi", "scd", "cc", "qabf", "nabf", "ssim"))
    assert all(np.isfinite(value) for value in values.values())
    assert [values[key] for key in ("en", "sd", "mi")] == pytest.approx([0, 0, 0], abs=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(2, 3), (12, 9), (20, 24), (21, 30), (40, 44), (41, 41)])
def test_small_pictures_give_numbers_or_nan(rng, size):
    values = evaluate(*rng.integers(0, 256, (3, *size), np.uint8))
    nan = {key for key, value in values.items() if np.isnan(value)}
    assert nan <= {"ms_ssim", "vif", "viff"}
    assert ("viff" in nan) == (min(size) < 41) and ("vif" in nan) == (min(size) < 21)


def test_ms_ssim_needs_room(images):
    assert np.isnan(metrics.ms_ssim(*images))


# --- Controls and errors --------------------------------------------------------------------------


def test_controls_that_must_differ(tno):
    """The recorded values tell the definitions apart they could be confused with."""
    fused, ir, vis = tno(1)
    assert metrics.mutual_information(fused, ir, vis) != pytest.approx(
        metrics.doubled_entropy(fused), abs=1
    )
    assert metrics._vif(fused, ir) != pytest.approx(metrics._vif(ir, fused), abs=0.05)
    assert metrics.deviation_norm(fused) != pytest.approx(fused.std(), abs=1)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (((4, 4), (5, 4), (4, 4)), "infrared is 4x5, fused 4x4"),
        (((4, 4), (4, 4), (4, 4, 3)), "visible: metrics take 8-bit grey"),
    ],
)
def test_unusable_pictures_are_named(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        evaluate(*(np.zeros(shape, np.uint8) for shape in arguments), ("en",))


def test_unknown_metrics_are_named():
    flat = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="unknown metric 'niqe'"):
        evaluate(flat, flat, flat, ("niqe",))
