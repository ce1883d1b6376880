"""Training pairs: labels by hand, draws by number, crops by their content."""

import dataclasses
import warnings

import numpy as np
import pytest
import shapely

from fusion.base.errors import UserError
from fusion.images.reading import write_image
from fusion.training.pairs import find_pairs
from tracker.data.crops import context_side
from tracker.model.anchors import anchor_grid
from tracker.training.augmentation import Augmentation
from tracker.training.labels import (
    IGNORED,
    NEGATIVE,
    POSITIVE,
    PairGeometry,
    label_anchors,
    select_anchors,
)
from tracker.training.sampling import TargetPairs, _Moment
from tracker.training.sources import _load_unmasked, load_source

GEOMETRY = PairGeometry(("rgb", "ir"), 63, 159, anchor_grid(15, 8, scale=4))
PLAIN = Augmentation(0, 0, 0, 0, blur=0, grey=0)


def write_sequence(folder, frames, boxes, ir=None):
    """A sequence in the layout of RGBT234; infrared like the visible where None is given."""
    for name, images in (("visible", frames), ("infrared", ir or frames)):
        for number, image in enumerate(images, start=1):
            if image is not None:
                write_image(folder / name / f"{number:03d}.png", image)
        rows = "".join(",".join(f"{v:g}" for v in box) + "\n" for box in boxes)
        (folder / f"{name}.txt").write_text(rows)


@pytest.fixture(scope="module")
def root(tmp_path_factory, texture):
    """Two sequences whose infrared is the grey visible; frame t has 12 t added."""
    folder = tmp_path_factory.mktemp("rgbt234")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        base = texture(rng, 120, 160) // 3
        frames = [base + 12 * t for t in range(12)]
        write_sequence(folder / name, frames, [(50 + 2 * t, 40, 24, 30) for t in range(12)])
    return folder


def pairs_of(root, augmentation=PLAIN, **arguments):
    reach = arguments.pop("reach", 100)
    source = load_source("rgbt234", root, reach=reach)
    return TargetPairs([source], GEOMETRY, augmentation, **{"negatives": 0} | arguments)


# --- Geometry -----------------------------------------------------------------------------------


def test_a_flipped_target_is_the_same_pixels(rng, texture):
    image = texture(rng, 30, 50)
    flipped = _Moment({"ir": image}, frozenset({"ir"}), np.array([4.0, 6, 10, 8])).flipped()
    x, y, w, h = flipped.box.astype(int)
    np.testing.assert_array_equal(flipped.images["ir"][y : y + h, x : x + w], image[6:14, 13:3:-1])


# --- Labels -------------------------------------------------------------------------------------


def test_labels_of_a_hand_computed_example():
    """Squares of 32, 8 pixels apart, and a box like the one right of the centre.

    Overlaps are (32 - dx)(32 - dy); IoU is 1, .6 (8 px), .39 (8 and 8), .33 (16), .23 (16 and 8).
    """
    labels = label_anchors(np.array([8, 0, 32, 32]), anchor_grid(3, 8, scale=4, ratios=[1]))
    assert labels[0].tolist() == [
        [NEGATIVE, IGNORED, IGNORED],
        [IGNORED, IGNORED, POSITIVE],
        [NEGATIVE, IGNORED, IGNORED],
    ]


def test_a_box_that_no_anchor_fits_has_the_best_one_if_asked():
    anchors = anchor_grid(3, 8, scale=4, ratios=[1])
    small = np.array([8, 0, 20, 20])  # IoU .39 with the square at its place, its only match
    assert not (label_anchors(small, anchors) == POSITIVE).any()
    labels = label_anchors(small, anchors, best=True)
    assert (labels == POSITIVE).nonzero() == (0, 1, 2)
    fitting = np.array([8, 0, 32, 32])
    np.testing.assert_array_equal(
        label_anchors(fitting, anchors, best=True), label_anchors(fitting, anchors)
    )


def test_labels_follow_shapely(rng):
    anchors = anchor_grid(7, 8, scale=4)
    box = np.array([5.0, -9.0, 50.0, 24.0])

    def polygon(cx, cy, w, h):
        return shapely.box(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)

    labels = label_anchors(box, anchors)
    target = polygon(*box)
    for place in np.ndindex(labels.shape):
        anchor = polygon(*anchors[(slice(None), *place)].tolist())
        iou = anchor.intersection(target).area / anchor.union(target).area
        expected = POSITIVE if iou > 0.6 else NEGATIVE if iou < 0.3 else IGNORED
        assert labels[place] == expected
    assert {POSITIVE, NEGATIVE, IGNORED} == set(labels.ravel().tolist())


@pytest.mark.parametrize(("positives", "expected"), [(40, (16, 48)), (5, (5, 59)), (0, (0, 64))])
def test_anchors_are_selected_in_proportion(rng, positives, expected):
    labels = np.full((5, 10, 10), NEGATIVE)
    labels.flat[:positives] = POSITIVE
    labels.flat[positives : positives + 50] = IGNORED
    chosen = select_anchors(labels, rng)
    assert (
        (chosen & (labels == POSITIVE)).sum(),
        (chosen & (labels == NEGATIVE)).sum(),
    ) == expected
    assert chosen.sum() == 64


# --- Draws --------------------------------------------------------------------------------------


def equal(a, b):
    return a.keys() == b.keys() and all((a[name] == b[name]).all() for name in a)


def test_a_draw_depends_on_its_number_alone(root):
    everything = Augmentation(
        flip=0.5, light=0.5, degrade=0.5, drop_search=0.3, drop_template=0.3, search_shift=40
    )
    first, second = (pairs_of(root, everything, negatives=0.3, seed=5) for _ in range(2))
    in_order = [first[0, draw] for draw in range(8)]
    for draw in (7, 2, 5, 0):
        assert equal(second[draw, draw], in_order[draw])
    assert not equal(in_order[0], in_order[1])
    assert not equal(pairs_of(root, everything, seed=6)[0, 0], in_order[0])


def test_modalities_share_their_geometry(root):
    """The infrared is the visible in grey, and stays so in every crop."""
    data = pairs_of(root, Augmentation(blur=0, grey=0, flip=0.5, search_shift=40))
    for draw in range(6):
        item = data[0, draw]
        for crop in ("template", "search"):
            visible = item[f"{crop}_rgb"].int()
            assert (visible - item[f"{crop}_ir"].int()).abs().max() <= 1


def test_photometry_is_each_modalitys_own(root):
    data = pairs_of(root, dataclasses.replace(PLAIN, light=1.0))
    item = data[0, 0]
    assert (item["search_rgb"][0].int() - item["search_ir"][0].int()).abs().float().mean() > 3


def test_a_target_lies_in_the_middle_or_shifted_as_asked(root):
    plain = pairs_of(root)[0, 3]
    side = context_side(24, 30)
    expected = [0, 0, 24 * 63 / side, 30 * 63 / side]
    assert plain["box"].tolist() == pytest.approx(expected, abs=1e-3)
    shifted = pairs_of(root, Augmentation(search_shift=40, search_scale=0.18))
    centres = np.array([shifted[0, draw]["box"][:2].numpy() for draw in range(60)])
    assert np.abs(centres).max() <= 40
    assert np.abs(centres).max() > 30 and np.abs(centres.mean(0)).max() < 10


def test_frames_are_no_further_apart_than_reach(tmp_path, rng, texture):
    """Frame t is 12 t brighter."""
    base = texture(rng, 120, 160) // 3
    frames = [base + 12 * t for t in range(12)]
    write_sequence(tmp_path / "s", frames, [(60, 40, 24, 30)] * 12)

    def longest(reach):
        data = pairs_of(tmp_path, reach=reach)
        items = [data[0, draw] for draw in range(40)]
        brighter = [
            i["search_ir"][0, 48:111, 48:111].float().mean() - i["template_ir"].float().mean()
            for i in items
        ]
        return max(round(abs(value.item()) / 12) for value in brighter)

    assert (longest(0), longest(2)) == (0, 2)
    assert longest(100) > 6


def test_negative_pairs_have_another_target_and_no_positive_anchor(root):
    data = pairs_of(root, negatives=1.0)
    item = data[0, 0]
    assert not item["positive"] and (item["labels"] == NEGATIVE).all()
    ious = label_anchors(item["box"].numpy(), GEOMETRY.anchors)
    assert (ious[item["chosen"].numpy()] != NEGATIVE).all()
    assert 1 <= item["chosen"].sum() <= 16
    share = np.mean([not pairs_of(root, negatives=0.25)[0, draw]["positive"] for draw in range(80)])
    assert 0.1 < share < 0.4


def test_a_negative_pair_is_of_two_targets(tmp_path, rng, texture):
    """Two targets: the other one, every time. One alone: no pair is negative."""
    for name, level in (("dark", 20), ("light", 150)):
        frames = [texture(rng, 60, 80) // 4 + level for _ in range(2)]
        write_sequence(tmp_path / name, frames, [(30, 20, 16, 20)] * 2)
    both = pairs_of(tmp_path, negatives=1.0)
    for draw in range(20):
        item = both[0, draw]
        means = (item["template_ir"].float().mean(), item["search_ir"].float().mean())
        assert not item["positive"] and abs(means[0] - means[1]) > 80
    one = pairs_of(tmp_path, negatives=1.0, part=(0.0, 0.5))
    assert all(one[0, draw]["positive"] for draw in range(5))


def test_sources_are_mixed_by_weight(tmp_path, rng, texture):
    sources = []
    for name, level, weight in (("dark", 20, 1.0), ("light", 150, 3.0)):
        frames = [texture(rng, 60, 80) // 4 + level for _ in range(2)]
        write_sequence(tmp_path / name / "s", frames, [(30, 20, 16, 20)] * 2)
        sources.append(load_source("rgbt234", tmp_path / name, weight))
    data = TargetPairs(sources, GEOMETRY, PLAIN, negatives=0)
    light = [data[0, draw]["search_ir"].float().mean() > 100 for draw in range(120)]
    assert 0.63 < np.mean(light) < 0.87


def test_a_part_of_a_source_is_held_out(root):
    kept, held = pairs_of(root, part=(0.0, 0.5)), pairs_of(root, part=(0.5, 1.0))
    assert [list(r) for r in kept._ranges + held._ranges] == [[0], [1]]
    with pytest.raises(UserError, match=r"data\.roots\.rgbt234: 2 sequences or pairs are too few"):
        pairs_of(root, part=(0.9, 1.0))


# --- Parts of other scenes ----------------------------------------------------------------------


@pytest.fixture
def two_levels(tmp_path, rng, texture):
    """A target in a dark scene and one in a light scene, 20 to 52 and 150 to 182 grey levels."""
    for name, level in (("dark", 20), ("light", 150)):
        frames = [texture(rng, 120, 160) // 8 + level for _ in range(2)]
        write_sequence(tmp_path / name, frames, [(70, 50, 16, 20)] * 2)
    return tmp_path


def own_and_foreign(item):
    """Where a search crop is of its own scene, and whether each pixel is in its target's box."""
    is_dark = item["template_ir"].float().mean() < 100
    foreign = ((item["search_ir"][0] < 100) != is_dark).numpy()
    x, y, w, h = item["box"].numpy()
    along = np.arange(159) - 79
    # The middle four fifths of a side: masks have soft rims.
    inside = (abs(along - y) < 0.4 * h)[:, None] & (abs(along - x) < 0.4 * w)
    return foreign, inside


def test_distractors_are_beside_the_target(two_levels):
    data = pairs_of(two_levels, dataclasses.replace(PLAIN, search_shift=30, distract=1.0))
    shares = []
    for draw in range(30):
        foreign, inside = own_and_foreign(data[0, draw])
        assert not foreign[inside].any()
        shares.append(foreign.sum() / inside.sum() * 0.64)
    # The other world is pasted in half of the draws, up to two targets of about this one's size.
    assert 0.3 < np.mean(np.array(shares) > 0.1) < 0.9 and max(shares) < 4


def test_a_transplanted_target_keeps_its_own_pixels(two_levels):
    data = pairs_of(two_levels, dataclasses.replace(PLAIN, transplant=1.0))
    changed = 0
    for draw in range(20):
        foreign, inside = own_and_foreign(data[0, draw])
        assert not foreign[inside].any()
        changed += foreign.mean() > 0.8
    assert 4 <= changed <= 16


def test_an_occluder_leaves_half_of_the_target(two_levels):
    data = pairs_of(two_levels, dataclasses.replace(PLAIN, search_shift=30, occlude=1.0))
    hidden = [
        foreign[inside].mean()
        for foreign, inside in map(own_and_foreign, (data[0, draw] for draw in range(30)))
    ]
    hidden = np.array([share for share in hidden if share > 0])
    assert 8 <= len(hidden) <= 22 and (hidden < 0.6).all() and hidden.mean() > 0.2


def test_nothing_is_pasted_from_a_scene_that_lacks_a_modality(tmp_path, rng, texture):
    frames = [texture(rng, 60, 80) // 8 + 20 for _ in range(2)]
    write_sequence(tmp_path / "whole", frames, [(30, 20, 16, 20)] * 2)
    light = [frame + 130 for frame in frames]
    blank = [np.full((60, 80), 7, np.uint8)] * 2
    write_sequence(tmp_path / "half", light, [(30, 20, 16, 20)] * 2, ir=blank)
    data = pairs_of(tmp_path, dataclasses.replace(PLAIN, transplant=1.0))
    for draw in range(20):
        item = data[0, draw]
        assert (
            abs(float(item["search_rgb"].float().mean() - item["template_rgb"].float().mean())) < 40
        )


# --- What a camera misses -----------------------------------------------------------------------


def test_a_missing_modality_is_marked(tmp_path, rng, texture):
    frames = [texture(rng, 60, 80) for _ in range(3)]
    blank = np.full((60, 80), 7, np.uint8)
    write_sequence(tmp_path / "s", frames, [(30, 20, 16, 20)] * 3, ir=[blank] * 3)
    item = pairs_of(tmp_path)[0, 0]
    assert item["usable_rgb"] and not item["usable_ir"]


def test_dropping_leaves_one_modality(root):
    data = pairs_of(root, dataclasses.replace(PLAIN, drop_search=0.9, drop_template=0.9))
    items = [data[0, draw] for draw in range(30)]
    usable = [(bool(item["usable_rgb"]), bool(item["usable_ir"])) for item in items]
    assert {(True, False), (False, True)} <= set(usable) and (False, False) not in usable
    alone = PairGeometry(("ir",), 63, 159, GEOMETRY.anchors)
    one = TargetPairs(data.sources, alone, data.augmentation, negatives=0)
    assert all(one[0, draw]["usable_ir"] for draw in range(10))
    assert not any(name.endswith("_rgb") for name in one[0, 0])


def test_unusable_sequences_are_left_out_and_named_once(tmp_path, rng, texture):
    good = [texture(rng, 60, 80)] * 2
    write_sequence(tmp_path / "good", good, [(30, 20, 16, 20)] * 2)
    write_sequence(tmp_path / "lost", good, [(0, 0, 0, 0)] * 2)
    data = pairs_of(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for draw in range(12):
            data[0, draw]
    assert [str(w.message) for w in caught] == [
        "rgbt234: skipped in a training pair: lost: no frame has a box of 2 pixels or more"
    ]


@pytest.mark.filterwarnings("ignore:rgbt234. left out")
def test_a_source_without_targets_is_given_up(tmp_path, rng, texture):
    write_sequence(tmp_path / "lost", [texture(rng, 60, 80)], [(0, 0, 0, 0)])
    with pytest.raises(UserError, match=r"data\.roots\.rgbt234: 50 consecutive draws .*no frame"):
        pairs_of(tmp_path)[0, 0]


def test_hidden_frames_of_synthetic_sequences_are_not_drawn(tmp_path, rng, texture):
    folder = tmp_path / "s"
    frames = [texture(rng, 60, 80) // 4 + 60 * t for t in range(3)]
    for number, frame in enumerate(frames, start=1):
        for channel in ("color", "ir"):
            write_image(folder / channel / f"{number:08d}.png", frame)
    (folder / "groundtruth.txt").write_text("30,20,16,20\n" * 3)
    (folder / "visibility.value").write_text("1\n1\n0.1\n")
    data = TargetPairs([load_source("synthetic", tmp_path)], GEOMETRY, PLAIN, negatives=0)
    assert max(data[0, draw]["search_ir"].float().mean() for draw in range(20)) < 120


# --- Still pairs without masks ------------------------------------------------------------------


def test_still_pairs_become_pairs_of_the_same_picture(shared):
    """Real pictures: most show something, and a target fills its crop as a box does."""
    found = find_pairs(shared / "data/roadscene180")[:12]
    counts = [len(_load_unmasked(ir, vis, None)) for ir, vis in found[:6]]
    assert np.mean(counts) >= 3
    source = load_source("pairs", shared / "data/roadscene180")
    data = TargetPairs([source], GEOMETRY, PLAIN, negatives=0)
    item = data[0, 1]
    # Neither shifted nor scaled, the search region's middle is the template.
    middle = item["search_ir"][0, 48:111, 48:111].float()
    assert (middle - item["template_ir"][0].float()).abs().mean() < 3
