"""Cut-outs: a block's own pixels, before and behind a frame's target."""

import numpy as np
import pytest

from tracker.training.augmentation import CropWindow
from tracker.training.cutouts import Cutout, Layer, cut_out, paste_layers
from tracker.training.footage import LocalMask, Picture, Track
from tracker.training.framing import Framing
from tracker.training.pseudo_thermal import ThermalLook

FRAMING = Framing(CropWindow(80, 60, 120, 120, 240), (0, 0, 160, 120))


def block(width=20, height=40, colour=(250, 0, 0), heat=240):
    rgb = np.full((height, width, 3), colour, np.uint8)
    rgb[:, : width // 2] //= 2  # the left half is darker
    return Cutout(
        rgb,
        np.full((height, width), heat, np.uint8),
        np.full((height, width), 255, np.uint8),
        level=60.0,
    )


def crops():
    return np.full((240, 240, 3), 90, np.uint8), np.full((240, 240), 60, np.uint8)


def box_about(mask):
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array(
        [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1], float
    )


@pytest.mark.parametrize("mirrored", [False, True])
def test_pixels_lie_in_the_box_in_both_modalities(mirrored):
    rgb, ir = crops()
    box = np.array([70.0, 30.0, 20.0, 40.0])
    seen = paste_layers(
        rgb, ir, [Layer(block(), box, mirrored=mirrored, is_target=True)], FRAMING, None
    )
    placed = FRAMING.place(box)
    for found in (rgb[..., 1] < 40, ir > 150, seen > 128):
        np.testing.assert_allclose(box_about(found), placed, atol=3)
    x, y, w, h = placed.astype(int)
    left = rgb[y + 8 : y + h - 8, x + 6 : x + w // 2 - 4, 0].mean()
    right = rgb[y + 8 : y + h - 8, x + w // 2 + 4 : x + w - 6, 0].mean()
    assert (left > right) == mirrored


def test_parallax_moves_the_infrared_alone():
    (rgb, ir), box = crops(), np.array([70.0, 30.0, 20.0, 40.0])
    paste_layers(rgb, ir, [Layer(block(), box)], FRAMING, None, ((3, 0), (-3, 0)))
    light, heat = box_about(rgb[..., 1] < 40), box_about(ir > 150)
    np.testing.assert_allclose(light - heat, [12, 0, 0, 0], atol=1)  # 6 pixels at twice the size


def test_before_hides_and_behind_is_hidden():
    box, beside = np.array([70.0, 30.0, 20.0, 40.0]), np.array([80.0, 30.0, 20.0, 40.0])
    target = Layer(block(), box, is_target=True)
    shares = {}
    for behind in (False, True):
        rgb, ir = crops()
        other = Layer(block(colour=(0, 0, 250), heat=10), beside, behind=behind)
        seen = paste_layers(rgb, ir, [target, other], FRAMING, None)
        blue = (rgb[..., 2] > 100) & (rgb[..., 0] < 60)
        shares[behind] = blue.sum(), (seen > 128).sum(), (ir < 40).sum()
    assert shares[True][0] < 0.6 * shares[False][0]  # half of it is behind the target
    assert shares[False][1] < 0.6 * shares[True][1]  # or hides half of the target
    assert shares[True][2] < 0.6 * shares[False][2]


def test_large_cut_outs_shrink_without_skipping_pixels():
    rgb = np.zeros((200, 200, 3), np.uint8)
    rgb[:, ::2] = 255  # stripes of one pixel: grey once they are small
    cutout = Cutout(rgb, np.zeros((200, 200), np.uint8), np.full((200, 200), 255, np.uint8))
    light, heat = crops()
    paste_layers(light, heat, [Layer(cutout, np.array([70.0, 50, 15, 15]))], FRAMING, None)
    inside = light[105:125, 105:125].astype(float)
    assert inside.std() < 30 and 90 < inside.mean() < 165


def test_heat_is_made_where_a_cut_out_has_none():
    cutout = Cutout(block().rgb, None, block().mask)
    curve = np.full(256, 60, np.uint8)
    look = ThermalLook(np.array([0.3, 0.4, 0.3]), curve, 0.5, 100.0, 0.0, 0.0)
    rgb, ir = crops()
    box = np.array([70.0, 30.0, 20.0, 40.0])
    paste_layers(rgb, ir, [Layer(cutout, box, look)], FRAMING, None)
    x, y, w, h = FRAMING.place(box).astype(int)
    assert abs(ir[y + 10 : y + h - 10, x + 10 : x + w - 10].mean() - 160) < 3
    assert ir[5, 5] == 60


def test_a_target_is_cut_out_along_its_silhouette():
    rgb = np.zeros((60, 80, 3), np.uint8)
    mask = np.zeros((60, 80), np.uint8)
    mask[10:30, 20:32] = 255
    rgb[mask > 0] = (9, 8, 7)
    ir = np.where(mask > 0, 200, 50).astype(np.uint8)
    local = LocalMask(18, 8, mask[8:32, 18:34])
    track = Track("person", np.array([[20.0, 10, 12, 20]]), silhouette=lambda _: local)
    cutout = cut_out(Picture(rgb, ir), track, 0)
    assert cutout.shape == (16, 24) and cutout.level == 50
    assert (cutout.rgb[cutout.mask > 0] == (9, 8, 7)).all()
    assert cut_out(Picture(rgb, ir), Track("person", track.boxes), 0) is None
    assert cut_out(Picture(None, ir), track, 0) is None
