"""References composed by region, and of the strongest details."""

import csv

import numpy as np
import pytest
from scipy import ndimage

from fusion.images.reading import read_image, write_image
from fusion.training.composition import local_measures, regional, strongest
from fusion.training.reference import make_references, read_references


@pytest.fixture
def scene(rng):
    """A textured scene, uint8."""
    return np.rint(ndimage.gaussian_filter(rng.random((96, 96)), 1) * 255).astype(np.uint8)


def blurred(image, columns):
    result = image.copy()
    result[:, columns] = ndimage.gaussian_filter(image, 4)[:, columns]
    return result


def test_each_region_is_of_the_candidate_that_is_best_there(scene):
    left, right = slice(None, 48), slice(48, None)
    candidates = {"sharp right": blurred(scene, left), "sharp left": blurred(scene, right)}
    (best, rank), (worst, other) = regional(candidates, scene, scene, side=16, keep=5)
    inner = [slice(None, 36), slice(60, None)]
    for columns in inner:
        assert np.abs(best[:, columns].astype(int) - scene[:, columns]).max() <= 1
        assert best[:, columns].std() > 2 * worst[:, columns].std()
    assert 1 <= rank < other <= 2


def test_one_candidate_is_itself(scene):
    ((image, rank),) = regional({"only": scene}, scene, scene, side=16, keep=3)
    assert np.array_equal(image, scene) and rank == 1


def test_local_measures_are_plain_ones_where_windows_are_constant():
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))
    contrast, gradient, similarity = local_measures(ramp, ramp, ramp, side=8)
    centre = 32, 32
    # A Gaussian of deviation 4 over a slope of 3 grey levels; Sobel sums eight times the slope.
    assert contrast[centre] == pytest.approx(12, rel=0.02)
    assert gradient[centre] == pytest.approx(8 * 3, rel=1e-4)
    assert similarity[centre] == pytest.approx(1, abs=1e-4)


def test_details_are_the_strongest_on_the_mean_of_the_coarsest(scene):
    flat = np.full_like(scene, 100)
    assert np.array_equal(strongest([scene], [1.0]), scene)
    composed = strongest([scene, flat], [0.5, 0.5]).astype(float)
    # The detail is the scene's, the average halfway between the two.
    assert composed.mean() == pytest.approx((scene.mean() + 100) / 2, abs=1.5)
    fine = scene - ndimage.gaussian_filter(scene.astype(float), 2)
    assert np.corrcoef(fine.ravel(), (composed - ndimage.gaussian_filter(composed, 2)).ravel())[
        0, 1
    ] == pytest.approx(1, abs=0.02)
    mean = (scene.astype(float) + flat) / 2
    assert composed.std() > 1.5 * mean.std()


def test_composed_references_are_written_as_others_are(street_pairs, tmp_path, scene):
    root = street_pairs(2, 96, 96)
    results = {}
    for name, sigma in (("a", 0.5), ("b", 1.5), ("c", 3)):
        for path in sorted((root / "vis").iterdir()):
            grey = read_image(path)[..., 1].astype(float)
            picture = np.rint(ndimage.gaussian_filter(grey, sigma)).astype(np.uint8)
            write_image(tmp_path / name / path.name, picture)
        results[name] = tmp_path / name
    arguments = root / "ir", root / "vis", results
    assert not make_references(*arguments, tmp_path / "regions", keep=2, regions=16)
    found = read_references(tmp_path / "regions")
    assert [len(of_pair) for of_pair in found.values()] == [2, 2]
    assert sum(weight for _, weight in found["0"]) == pytest.approx(1, abs=1e-5)
    assert not make_references(*arguments, tmp_path / "detail", detail=True)
    assert [weight for ((_, weight),) in read_references(tmp_path / "detail").values()] == [1, 1]
    assert not make_references(*arguments, tmp_path / "as they are", enhanced=False)
    with (tmp_path / "as they are/references.csv").open() as file:
        chosen = {
            row["picture"]: row["method"] for row in csv.DictReader(file) if row["rank"] == "1"
        }
    for name, method in chosen.items():
        written = read_image(tmp_path / "as they are/rank_1" / name)
        assert np.array_equal(written, read_image(results[method] / name))
