"""Pairs of real video: drawn by number, boxes on the object, never both modalities blind."""

import dataclasses
import warnings

import cv2
import numpy as np
import pytest
import torch

from fusion.base.errors import UserError
from tracker.training.real_video import load_clips, load_masked_video
from tracker.training.recipe import Recipe
from tracker.training.sample_sheet import sample_sheet
from tracker.training.scenes import SceneDrawer
from tracker.training.video_pairs import VideoPairs

MODALITIES = ("rgb", "ir")

#: Nothing but two crops of a target in its own footage.
QUIET = {
    field.name: 0.0
    for field in dataclasses.fields(Recipe)
    if field.name not in ("most_lookalikes", "hidden", "far_shift")
}


#: Changes that leave the target whole.
WHOLE = {"flip", "search_shift", "far", "scale", "stretch", "narrow"}


def pairs_of(root, seed=0, load=load_masked_video, **changes):
    return VideoPairs([load(root)], 127, 255, Recipe(**QUIET | changes), seed=seed, length=100)


def coloured(item, key, colour=(250, 0, 0)):
    """Pixels of a crop that are nearly of a colour."""
    picture = item[key].numpy().astype(int)
    return (np.abs(picture - np.reshape(colour, (3, 1, 1))) < 60).all(axis=0)


def box_about(mask):
    columns, rows = (np.flatnonzero(mask.any(axis=axis)) for axis in (0, 1))
    return np.array([columns[0], rows[0], len(columns), len(rows)], float)


# --- Draws --------------------------------------------------------------------------------------


def test_a_draw_is_decided_by_seed_and_number(masked_root):
    pairs, again = (VideoPairs([load_masked_video(masked_root)], seed=3) for _ in range(2))
    items = [pairs[0, draw] for draw in range(12)]
    for draw in reversed(range(12)):  # in any order, under any index
        for key, value in again[5, draw].items():
            assert torch.equal(value, items[draw][key]), key
    other = VideoPairs([load_masked_video(masked_root)], seed=4)
    assert not torch.equal(other[0, 0]["search_rgb"], items[0]["search_rgb"])


def test_processes_that_read_ahead_give_the_same_pairs(masked_root):
    pairs = VideoPairs([load_masked_video(masked_root)], seed=1)
    keys = [(0, draw) for draw in range(6)]
    alone, ahead = (
        list(torch.utils.data.DataLoader(pairs, 2, sampler=keys, num_workers=n)) for n in (0, 1)
    )
    for one, two in zip(alone, ahead, strict=True):
        assert torch.equal(one["search_ir"], two["search_ir"])
        assert torch.equal(one["box"], two["box"])


def test_an_item_holds_what_is_promised(masked_root):
    pairs = VideoPairs([load_masked_video(masked_root)], 63, 159)
    item = pairs[0, 0]
    for prefix in ("", "clean_"):
        for modality, channels in (("rgb", 3), ("ir", 1)):
            for place, size in (("template", 63), ("search", 159)):
                picture = item[f"{prefix}{place}_{modality}"]
                assert picture.shape == (channels, size, size) and picture.dtype == torch.uint8
    assert item["box"].dtype == torch.float32 and item["box"].shape == (4,)
    flags = {key for key, value in item.items() if value.dtype == torch.bool}
    assert flags == {"positive", "labelled"} | {
        f"{what}_{modality}" for what in ("usable", "failed", "shows") for modality in MODALITIES
    }


# --- Boxes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"flip": 1, "search_shift": 20, "far": 0.5, "scale": 0.15, "stretch": 0.06},
        {"narrow": 1, "flip": 0.5, "search_shift": 15, "stretch": 0.06},
        {"flip": 0.5, "edge": 1, "hidden": 0.6, "search_shift": 20},
        {"tight": 1, "search_shift": 15, "template_shift": 4},
        {"pasted": 1, "flip": 0.5, "search_shift": 20, "edge": 0.5},
    ],
    ids=["plain", "shifted", "narrow", "edge", "tight", "pasted"],
)
def test_the_box_is_on_the_object(red_root, changes):
    pairs = pairs_of(red_root, **changes)
    checked = 0
    for draw in range(40):
        item = pairs[0, draw]
        for place, key in (("template", "template_box"), ("search", "box")):
            seen = coloured(item, f"clean_{place}_rgb")
            x, y, w, h = box = item[key].numpy()
            size = seen.shape[0]
            if "pasted" in changes:  # of another brightness; the background has a block too
                red, green, blue = item[f"clean_{place}_rgb"].numpy().astype(int)
                seen = (red > 120) & (np.maximum(green, blue) < 60)
                inside = np.zeros_like(seen)
                inside[max(0, int(y) - 4) : int(y + h) + 5, max(0, int(x) - 4) : int(x + w) + 5] = 1
                seen = cv2.erode((seen & inside).astype(np.uint8), np.ones((2, 2), np.uint8)) > 0
            # Beyond the frame its border is repeated: there the block may seem longer.
            low, high = np.maximum(box[:2], 0), np.minimum(box[:2] + box[2:], size)
            rim = 5 if "pasted" in changes else 2  # the rim of a cut-out is soft
            low, high = low.astype(int) + rim, high.astype(int) - rim
            part = seen[low[1] : high[1], low[0] : high[0]]
            assert part.mean() > 0.85, (draw, place)
            if changes.keys() <= WHOLE:
                np.testing.assert_allclose(box_about(seen), box, atol=2.1)
                checked += 1
    assert checked or changes.keys() - WHOLE


def test_narrow_targets_are_as_narrow_as_people(red_root):
    narrow, as_filmed = (pairs_of(red_root, narrow=share) for share in (1, 0))
    for draw in range(20):
        item, filmed = narrow[0, draw], as_filmed[0, draw]
        aspects = {}
        for key in ("template_box", "box"):
            width, height = item[key][2:]
            aspects[key] = float(width / height)
            assert width / height < filmed[key][2] / filmed[key][3]
        assert 0.24 < aspects["template_box"] < 0.61
        # One scale for both crops: how the target changes between them stays as filmed.
        change = aspects["box"] / aspects["template_box"]
        width, height = filmed["box"][2:] / filmed["template_box"][2:]
        assert change == pytest.approx(float(width / height), rel=1e-3)


def test_parallax_leaves_the_box_in_the_middle(red_root):
    pairs = pairs_of(red_root, parallax=1)
    apart, compared = [], 0
    for draw in range(30):
        item = pairs[0, draw]
        light = box_about(coloured(item, "clean_search_rgb"))
        box = item["box"].numpy()
        off = (light[:2] + light[2:] / 2) - (box[:2] + box[2:] / 2)
        heat = item["clean_search_ir"][0].numpy().astype(np.float32)
        # Where the infrared's target lies: the shift under which its contrast is greatest.
        scale = box[2] / 24
        contrasts = {
            shift: contrast(heat, box - [shift * off[0], shift * off[1], 0, 0])
            for shift in (-1.0, 1.0)
        }
        apart.append(2 * np.hypot(*off) / scale)
        if apart[-1] > 3 and max(contrasts.values()) > 25:
            compared += 1
            assert contrasts[1.0] > contrasts[-1.0], draw
    assert compared > 5 and min(apart) > 1.0 and max(apart) < 8.5


def contrast(heat, box):
    """Difference of the means inside and just outside of a box."""
    x, y, w, h = (round(float(v)) for v in box)
    inside = heat[y : y + h, x : x + w]
    outer = heat[y - 6 : y + h + 6, x - 6 : x + w + 6]
    ring = (outer.sum() - inside.sum()) / (outer.size - inside.size)
    return abs(float(inside.mean() - ring))


def test_edges_truncate_the_target(red_root):
    shares = []
    for draw in range(40):
        item = pairs_of(red_root, edge=1, hidden=0.6)[0, draw]
        for key in ("template_box", "box"):
            _, _, w, h = item[key].numpy()
            shares.append((w / h) / (24 / 36))
    shares = np.array(shares)
    truncated = (shares < 0.9) | (shares > 1.1)
    assert 0.2 < truncated.mean() < 0.8
    assert shares.min() < 0.65


def test_tight_frames_repeat_their_border(red_root):
    pairs = pairs_of(red_root, tight=1)
    for draw in range(10):
        picture = pairs[0, draw]["clean_search_rgb"].numpy()
        # The frame is at most 1.8 times the target: most of the search region is beyond it.
        assert (picture[:, :20] == picture[:, :1]).all()
        assert (picture[:, :, -20:] == picture[:, :, -1:]).all()


# --- What is near the target --------------------------------------------------------------------


def test_lookalikes_are_of_the_same_kind(masked_root):
    recipe = Recipe(**QUIET | {"lookalikes": 1, "crossing": 0.5})
    drawer = SceneDrawer([load_masked_video(masked_root)], recipe, 127, 255)
    counts = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scene = drawer.draw(rng)
        drawer.surround(scene, rng)
        counts.append(len(scene.search.layers))
        for layer in scene.search.layers + scene.template.layers:
            red, _, blue = layer.cutout.rgb[layer.cutout.mask > 0].mean(axis=0)
            assert (red > 200) == (scene.kind == "animal")
            assert blue > 200 or scene.kind == "animal"
    assert min(counts) >= 1 and max(counts) <= 5 and max(counts) > 2


def test_crossings_overlap_and_others_do_not(masked_root):
    for crossing in (0, 1):
        recipe = Recipe(**QUIET | {"lookalikes": 1, "crossing": crossing, "most_lookalikes": 1})
        drawer = SceneDrawer([load_masked_video(masked_root)], recipe, 127, 255)
        for seed in range(30):
            rng = np.random.default_rng(seed)
            scene = drawer.draw(rng)
            drawer.surround(scene, rng)
            (layer,) = scene.search.layers
            a, b = scene.search.box, layer.box
            overlap = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
            assert (overlap > 0).all() == bool(crossing)


def test_occluders_hide_a_part(red_root):
    hidden = []
    for draw in range(30):
        whole = coloured(pairs_of(red_root)[0, draw], "clean_search_rgb").sum()
        seen = coloured(pairs_of(red_root, occluded=1)[0, draw], "clean_search_rgb").sum()
        hidden.append(1 - seen / whole)
    assert np.mean(np.array(hidden) > 0.1) > 0.5
    assert max(hidden) < 0.75


def test_lookalikes_are_other_individuals_where_there_are_others(masked_root):
    recipe = Recipe(**QUIET | {"lookalikes": 1})
    drawer = SceneDrawer([load_masked_video(masked_root)], recipe, 127, 255)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scene = drawer.draw(rng)
        drawer.surround(scene, rng)
        if scene.kind == "animal":  # one is red, the other magenta
            x, y, w, h = scene.search.box.astype(int)
            _, _, own = scene.search.picture.rgb[y + h // 2, x + w // 2]
            for layer in scene.search.layers:
                _, _, blue = layer.cutout.rgb[5, 5]
                assert (blue > 128) != (own > 128)


# --- Teacher and student ------------------------------------------------------------------------


def test_without_degradation_both_see_the_same(masked_root):
    pairs = pairs_of(masked_root, lookalikes=1, edge=0.5, pasted=0.3, parallax=0.5)
    for draw in range(10):
        item = pairs[0, draw]
        for place in ("template", "search"):
            for modality in MODALITIES:
                key = f"{place}_{modality}"
                assert torch.equal(item[key], item[f"clean_{key}"])


def test_degradation_does_not_move_anything(masked_root):
    calm = {"lookalikes": 0.5, "pasted": 0.3, "search_shift": 20.0, "edge": 0.3}
    wild = calm | {"fail_rgb": 0.5, "fail_ir": 0.5, "disturb_search": 1, "disturb_template": 1}
    for draw in range(20):
        one, two = pairs_of(masked_root, **calm)[0, draw], pairs_of(masked_root, **wild)[0, draw]
        assert torch.equal(one["box"], two["box"])
        for key in one:
            if key.startswith("clean_"):
                assert torch.equal(one[key], two[key]), key


def likeness(item, key):
    a, b = (item[f"{prefix}{key}"].float().mean(dim=0).flatten() for prefix in ("", "clean_"))
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1]))


def test_never_both_modalities_fail(masked_root):
    pairs = pairs_of(
        masked_root, fail_rgb=0.4, fail_ir=0.3, blind=0.3, drop=1, pasted=0.3, disturb_search=0
    )
    failed = 0
    for draw in range(120):
        item = pairs[0, draw]
        left = [m for m in MODALITIES if item[f"usable_{m}"] and not item[f"failed_{m}"]]
        assert left and any(item[f"shows_{m}"] for m in left), draw
        for m in left:
            assert torch.equal(item[f"search_{m}"], item[f"clean_search_{m}"])
        failed += any(item[f"failed_{m}"] for m in MODALITIES)
    assert failed > 80


def test_blind_modalities_fail_in_template_and_search(masked_root):
    pairs = pairs_of(masked_root, blind=1)
    seen = []
    for draw in range(40):
        item = pairs[0, draw]
        for m in MODALITIES:
            if item[f"failed_{m}"]:
                seen += [likeness(item, f"template_{m}"), likeness(item, f"search_{m}")]
                assert (item[f"template_{m}"] != item[f"clean_template_{m}"]).any()
    assert len(seen) >= 60 and np.median(seen) < 0.6


def test_shares_are_as_the_recipe_says(masked_root):
    pairs = pairs_of(
        masked_root, 1, fail_rgb=0.3, fail_ir=0.3, drop=0.1, negatives=0.25, unlabelled=0.2
    )
    items = [pairs[0, draw] for draw in range(300)]
    share = {
        key: np.mean([bool(item[key]) for item in items])
        for key in items[0]
        if key[0] != "c" and items[0][key].dtype == torch.bool
    }
    assert 0.2 < share["failed_rgb"] < 0.4 and 0.2 < share["failed_ir"] < 0.42
    dropped = 2 - share["usable_rgb"] - share["usable_ir"]
    assert 0.05 < dropped < 0.16
    assert 0.68 < share["positive"] < 0.82
    assert 0.72 < share["labelled"] < 0.88


@pytest.mark.parametrize("pasted", [0, 1])
def test_negative_pairs_are_about_another_target(masked_root, pasted):
    pairs = pairs_of(masked_root, negatives=1, pasted=pasted)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scene = pairs.scenes.draw(rng)
        other = pairs._other(scene, rng)
        # Neither pasted nor in the frames over which another target is pasted.
        assert other is None or scene.target not in (other.target, other.background)


def test_negative_pairs_do_not_show_the_target(masked_root):
    colours = {"red": (250, 0, 0), "magenta": (250, 0, 250), "blue": (0, 0, 250)}
    pairs = pairs_of(masked_root, negatives=1)
    for draw in range(20):
        item = pairs[0, draw]
        assert not item["positive"]
        template, search = (
            max(colours, key=lambda name: coloured(item, key, colours[name]).sum())
            for key in ("clean_template_rgb", "clean_search_rgb")
        )
        assert template != search


def test_cold_targets_are_near_their_surroundings(tmp_path, write_clip):
    write_clip(tmp_path / "clips", "a")
    differences = []
    for cold in (0, 1):
        pairs = pairs_of(tmp_path, load=load_clips, cold=cold)
        item = next(item for item in (pairs[0, d] for d in range(50)) if is_hot(item) or cold)
        differences.append(centre_contrast(item))
    assert differences[1] < 0.6 * differences[0]


def is_hot(item):
    return centre_contrast(item) > 60


def centre_contrast(item):
    return contrast(item["clean_search_ir"][0].numpy().astype(np.float32), item["box"].numpy())


# --- Trouble ------------------------------------------------------------------------------------


def test_damaged_footage_is_left_out_with_a_warning(tmp_path, write_masked_video):
    for seed, name in enumerate(("bear", "cows", "bus")):
        write_masked_video(tmp_path, name, (250, 0, 0), seed=seed)
    path = tmp_path / "cows" / "color" / "00002.png"
    path.write_bytes(path.read_bytes()[:50])
    pairs = pairs_of(tmp_path)
    with pytest.warns(UserWarning, match=r"cows.*00002\.png"):
        for draw in range(20):
            assert pairs[0, draw]["positive"]


def test_footage_without_any_target_is_refused(tmp_path, write_masked_video):
    write_masked_video(tmp_path, "bear", (250, 0, 0), length=2)
    for path in (tmp_path / "bear" / "mask").iterdir():
        path.write_bytes(cv2.imencode(".png", np.zeros((120, 160), np.uint8))[1].tobytes())
    with pytest.raises(UserError, match="masked_video"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pairs_of(tmp_path)[0, 0]


@pytest.mark.parametrize(
    "changes", [{"edge": 1.5}, {"search_shift": -1}, {"fail_rgb": 0.6, "fail_ir": 0.6}]
)
def test_recipes_out_of_range_are_refused(changes):
    with pytest.raises(UserError, match=next(iter(changes))):
        Recipe(**changes)


def test_sheets_show_every_pair(masked_root):
    sheet = sample_sheet(VideoPairs([load_masked_video(masked_root)]), count=4, columns=2)
    assert sheet.dtype == np.uint8 and sheet.shape[1] > 2 * (127 + 255)
    green = (sheet[..., 1] == 255) & (sheet[..., 0] == 60) & (sheet[..., 2] == 60)
    assert green.any()
