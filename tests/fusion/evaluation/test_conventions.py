"""Conventions: values of the families' own programs, controls that must fail, and unique titles."""

import json
import math
from collections import defaultdict

import numpy as np
import pytest

from fusion.base.errors import UserError
from fusion.evaluation.metrics import (
    CONVENTIONS,
    Convention,
    create,
    evaluate,
    list_conventions,
    list_metrics,
)
from fusion.images.reading import read_image

FAMILIES = ("cddfuse", "ivif_zoo", "tang2023", "tang2022", "vifb")
SOURCES = ("vifb/SwinFusion", "vifb/U2Fusion", "vifb/LP_SR", "tno21/LRRNet")
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def golden(shared):
    return json.loads((shared / "facts/conventions_golden.json").read_text())


@pytest.fixture(scope="module")
def pictures(shared):
    """``(source, picture) -> (fused, ir, vis)``, such as ``("vifb/U2Fusion", "snow")``."""

    def read(source, picture):
        data, method = source.split("/")
        folder = shared / "data" / data
        fused = "lrrnet_published" if data == "tno21" else f"published/{method}"
        suffix = ".png" if data == "tno21" else ".jpg"
        return tuple(
            read_image(folder / part / f"{picture}{suffix}") for part in (fused, "ir", "vis")
        )

    return read


def expected_of(values):
    """Recorded values by our names; those in double precision where there are both."""
    return {
        name.lower(): values.get(f"{name}_f64", value)
        for name, value in values.items()
        if not name.endswith("_f64")
    }


def error_of(value, expected):
    return abs(value - expected) / max(1, abs(expected))


@pytest.mark.parametrize(
    "source", ["vifb/SwinFusion", "vifb/U2Fusion", "vifb/LP_SR", "tno21/LRRNet"]
)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_recorded_value(golden, pictures, family, source):
    for picture, values in golden[family][source].items():
        expected = expected_of(values)
        if family == "tang2022":  # the same definition as tang2023's, and slow
            assert expected.pop("fmi_dct") == golden["tang2023"][source][picture]["FMI_dct"]
        ours = evaluate(*pictures(source, picture), tuple(expected), family)
        for name, value in expected.items():
            assert error_of(ours[name], value) < TOLERANCE, (picture, name)
        assert {*expected, "fmi_dct"} >= set(list_metrics(family))


def test_fmi_of_raw_pixels(pictures):
    """Recorded on a crop: the original program under Octave, on pixels instead of features."""
    crops = [image[100:160, 60:130] for image in pictures("tno21/LRRNet", "8")]
    raw = create("fmi_dct", "tang2023", features="raw")
    assert raw(*crops) == pytest.approx(0.414003888065067, abs=1e-9)
    assert create("fmi_dct", "tang2023")(*crops) == pytest.approx(0.362018751127962, abs=1e-9)


# --- Controls -------------------------------------------------------------------------------------

OTHERS = [
    ("cddfuse", "mi", {"base": 2}),
    ("cddfuse", "ssim", {"peak": 255}),
    ("cddfuse", "ssim", {"combine": "mean"}),
    ("cddfuse", "ssim", {"window": "gaussian"}),
    ("cddfuse", "ag", {"differences": "forward"}),
    ("ivif_zoo", "vif", {"window": "centred"}),
    ("ivif_zoo", "nabf", {"peak": 1}),
    ("ivif_zoo", "qcb", {"levels": "stretched"}),
    ("ivif_zoo", "ei", {"border": "replicate"}),
    ("ivif_zoo", "psnr", {"scale": 255}),
    ("tang2023", "mi", {"merge_top": False}),
    ("tang2023", "nabf", {"judged": "fused"}),
    ("tang2023", "ms_ssim", {"scales": 1}),
    ("tang2022", "sd", {"saturate": False}),
    ("tang2022", "vif", {"saturate": False}),
    ("tang2022", "qabf", {"peak": 255}),
    ("tang2022", "nabf", {"peak": 255}),
    ("vifb", "mi", {"base": 2}),
    ("vifb", "ssim", {"border": "replicate"}),
    ("vifb", "ag", {"divisor": "pixels"}),
]


@pytest.mark.parametrize(("family", "name", "variant"), OTHERS)
def test_another_variant_misses_the_recorded_value(golden, pictures, family, name, variant):
    source, picture = "vifb/U2Fusion", "manCall"
    expected = expected_of(golden[family][source][picture])[name]
    trio = pictures(source, picture)
    assert error_of(create(name, family)(*trio), expected) < TOLERANCE
    assert error_of(create(name, family, **variant)(*trio), expected) > TOLERANCE


@pytest.mark.parametrize("family", ["cddfuse", "vifb"])
def test_another_grey_misses_the_recorded_values(golden, pictures, family):
    """The plain mean of the channels instead of the family's conversion."""
    source, picture = "vifb/U2Fusion", "snow"
    base = CONVENTIONS[family]

    def mean_of_channels(image):
        return image if image.ndim == 2 else np.rint(image.mean(2)).astype(np.uint8)

    other = Convention("other", "", mean_of_channels, "", base.columns)
    expected = expected_of(golden[family][source][picture])
    ours = evaluate(*pictures(source, picture), tuple(expected), other)
    missed = [name for name, value in expected.items() if error_of(ours[name], value) > TOLERANCE]
    assert len(missed) >= len(expected) - 2


def test_the_greys_differ_a_little(golden, pictures):
    """Sums of grey levels as recorded, each conversion its own.

    OpenCV's float32 sums in another order in the last columns, which moves one pixel of one picture
    by one level.
    """
    for source, key in (("vifb/U2Fusion", "snow"), ("vifb/SwinFusion", "manWalking")):
        recorded = golden["_inputs"][source][key]
        fused, ir, vis = pictures(source, key)
        for family, name in (
            ("cddfuse", "opencv_grey"), ("ivif_zoo", "pillow_grey"), ("tang2022", "matlab_grey"),
        ):  # fmt: skip
            grey = CONVENTIONS[family].grey
            sums = [int(grey(image).sum()) for image in (ir, vis, fused)]
            np.testing.assert_allclose(
                sums, recorded[name], rtol=0, atol=1, err_msg=f"{source} {key} {family}"
            )


# --- The tables -----------------------------------------------------------------------------------


def test_one_heading_is_one_definition():
    definitions = defaultdict(set)
    for convention in list_conventions():
        for name in CONVENTIONS[convention].columns:
            metric = create(name, convention)
            per_channel = metric.convention.grey is None and metric.family.channels == "each"
            definition = (metric.family.name, str(sorted(metric.variant.items())), per_channel)
            definitions[metric.heading].add(definition)
    shared_headings = [heading for heading, found in definitions.items() if len(found) > 1]
    assert not shared_headings
    assert len(definitions) > 50


def test_no_column_is_computed_twice_under_two_headings():
    headings = defaultdict(set)
    for convention in list_conventions():
        for name in CONVENTIONS[convention].columns:
            metric = create(name, convention)
            per_channel = metric.convention.grey is None and metric.family.channels == "each"
            headings[metric.family.name, str(sorted(metric.variant.items())), per_channel].add(
                metric.heading
            )
    assert not [found for found in headings.values() if len(found) > 1]


def test_units_follow_the_variants(rng):
    """Nats are bits times ln 2; levels on 0..1 are levels over 255."""
    trio = rng.integers(0, 256, (3, 40, 50), np.uint8)
    bits, nats = create("mi", "ivif_zoo"), create("mi", "cddfuse")
    assert (bits.unit, nats.unit) == ("bit", "nat")
    assert nats(*trio) == pytest.approx(bits(*trio) * math.log(2))
    assert create("sf", "tang2022")(*trio) == pytest.approx(create("sf")(*trio) / 255)
    dark = trio // 2  # no level 255, which every recorded picture has
    difference = create("psnr")(*dark) - create("psnr", "cddfuse")(*dark)
    assert difference == pytest.approx(20 * math.log10(255 / dark[0].max()))
    high, usual = create("psnr", "tang"), create("psnr")
    assert high(*trio) - usual(*trio) == pytest.approx(20 * math.log10(255))


def test_sd_of_the_two_kinds(rng):
    fused = rng.integers(0, 256, (40, 50), np.uint8)
    usual = create("sd", "cddfuse")(fused, fused, fused)
    assert usual == pytest.approx(fused.std())
    whole = create("sd_sqrt_n")(fused, fused, fused)
    assert whole == pytest.approx(usual * math.sqrt(fused.size) / 255)


def test_unknown_names_say_where_to_look():
    with pytest.raises(UserError, match="did you mean 'cddfuse'"):
        create("vif", "cddfus")
    with pytest.raises(UserError, match=r"qcb.*vifb"):
        create("qcb", "lrrnet")
    with pytest.raises(TypeError, match="bass"):
        create("mi", bass=2)
