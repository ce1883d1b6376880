"""Pictures: formats, depths, damage, pairing, colour, pixel scaling, videos."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage import color as skcolor

from fusion.base.errors import UserError
from fusion.images.pairing import pair_folders
from fusion.images.pixels import (
    PixelScaling,
    is_color,
    luminance,
    resize_to,
    scale_to_255,
    tile,
    with_luminance,
)
from fusion.images.reading import read_image, read_infrared, read_visible, write_image
from fusion.images.video import Video, VideoWriter


@pytest.fixture
def rgb(rng):
    return rng.integers(0, 256, (24, 32, 3), np.uint8)


# --- Reading and writing ------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".PNG"])
def test_lossless_formats_come_back_as_written(tmp_path, rgb, suffix):
    for name, image in (("color", rgb), ("grey", rgb[..., 0])):
        path = tmp_path / f"{name}{suffix}"
        write_image(path, image)
        np.testing.assert_array_equal(read_image(path), image)


def test_jpeg_comes_back_nearly(tmp_path):
    ramp = np.repeat(np.arange(0, 128, 2, dtype=np.uint8)[None], 48, 0)
    rgb = np.stack([ramp, 128 - ramp, ramp // 2], 2)
    write_image(tmp_path / "a.jpg", rgb)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - rgb).max() < 12


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_keeps_its_depth_and_its_channel_order(tmp_path, rng, suffix):
    deep = rng.integers(0, 65536, (9, 11, 3), np.uint16)
    path = tmp_path / f"deep{suffix}"
    cv2.imwrite(str(path), deep[..., ::-1])  # OpenCV writes BGR
    np.testing.assert_array_equal(read_image(path), deep)
    cv2.imwrite(str(path), deep[..., 0])
    np.testing.assert_array_equal(read_image(path), deep[..., 0])


def test_alpha_is_dropped_and_float_tiff_is_read(tmp_path, rgb):
    cv2.imwrite(str(tmp_path / "rgba.png"), np.dstack([rgb[..., ::-1], rgb[..., 0]]))
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), rgb)
    kelvin = rgb[..., 0].astype(np.float32) / 9 + 280
    cv2.imwrite(str(tmp_path / "kelvin.tif"), kelvin)
    np.testing.assert_array_equal(read_image(tmp_path / "kelvin.tif"), kelvin)
    assert (
        read_infrared(tmp_path / "kelvin.tif").min(),
        read_infrared(tmp_path / "kelvin.tif").max(),
    ) == (0, 255)


def test_float_pictures_with_nan_are_refused(tmp_path):
    image = np.zeros((4, 4), np.float32)
    image[1, 2] = np.nan
    cv2.imwrite(str(tmp_path / "nan.tif"), image)
    with pytest.raises(UserError, match="NaN"):
        read_image(tmp_path / "nan.tif")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97])
def test_truncated_pictures_are_refused(tmp_path, rgb, suffix, share, capfd):
    """OpenCV alone decodes most of these into a picture with a grey rest."""
    path = tmp_path / f"a{suffix}"
    write_image(path, rgb)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=path.name):
        read_image(path)
    assert capfd.readouterr().err == ""  # the decoders' own complaints are not the user's


def test_a_png_with_one_wrong_byte_is_refused(tmp_path, rgb):
    path = tmp_path / "a.png"
    write_image(path, rgb)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        read_image(path)


def test_a_truncated_jpeg_with_a_thumbnail_is_refused(tmp_path, rgb):
    """The thumbnail in the EXIF part has an end marker of its own."""
    _, thumbnail = cv2.imencode(".jpg", rgb[:8, :8])
    _, main = cv2.imencode(".jpg", rgb)
    segment = b"Exif\0\0" + thumbnail.tobytes()
    exif = b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment
    whole = main.tobytes()[:2] + exif + main.tobytes()[2:]
    path = tmp_path / "a.jpg"
    path.write_bytes(whole)
    assert read_image(path).shape == rgb.shape
    path.write_bytes(whole[:-50])
    with pytest.raises(UserError, match="truncated"):
        read_image(path)


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "text.png").write_text("hello")
    for name, complaint in (("text.png", "not a readable"), ("no.png", "no such"), ("", "direct")):
        with pytest.raises(UserError, match=complaint):
            read_image(tmp_path / name)


def test_writing_is_whole_or_not_at_all(tmp_path, rgb):
    with pytest.raises(UserError, match="unknown picture format"):
        write_image(tmp_path / "a.xyz", rgb)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot create"):
        write_image(tmp_path / "file" / "a.png", rgb)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_image(tmp_path / "folder.png", rgb)
    with pytest.raises(UserError, match=r"wide\.jpg: the format cannot store 70000x2"):
        write_image(tmp_path / "wide.jpg", np.zeros((2, 70_000), np.uint8))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


# --- Ranges -------------------------------------------------------------------------------------


def test_8_bit_is_left_alone_and_16_bit_spans_its_own_range():
    eight = np.array([[10, 20]], np.uint8)
    assert scale_to_255(eight) is eight
    counts = np.array([[30_000, 30_010, 30_040]], np.uint16)
    np.testing.assert_allclose(scale_to_255(counts), [[0, 63.75, 255]], rtol=1e-6)
    assert not scale_to_255(np.full((3, 3), 7, np.uint16)).any()


def test_percentiles_ignore_dead_pixels(rng):
    counts = rng.integers(20_000, 20_256, (100, 100)).astype(np.uint16)
    spoilt = counts.copy()
    spoilt[0, 0], spoilt[5, 5] = 0, 65535
    scaled = scale_to_255(spoilt, (1, 99))
    assert scaled.min() == 0 and scaled.max() == 255
    assert scaled.std() > 60
    # Without percentiles too: dead pixels stand alone.
    np.testing.assert_allclose(scale_to_255(spoilt)[8:], scale_to_255(counts)[8:], atol=25)
    spoilt[40] = spoilt[:, 41] = 0  # a dead row and column
    assert scale_to_255(spoilt).std() > 60
    # A target of a few pixels is clipped and still the brightest; a real range is left alone.
    counts[50:54, 50:54] = 21_000
    assert scale_to_255(counts)[52, 52] == 255
    ramp = np.tile(np.linspace(0, 65535, 100).astype(np.uint16), (100, 1))
    assert scale_to_255(ramp).min() == 0 and scale_to_255(ramp).max() == 255


def test_percentiles_keep_a_small_target_before_an_even_background():
    counts = np.full((100, 100), 20_000, np.uint16)
    counts[40:45, 40:45] = 30_000  # a quarter of a percent
    scaled = scale_to_255(counts, (1, 99))
    assert scaled[42, 42] == 255 and scaled[0, 0] == 0


def test_infrared_stored_in_three_channels_is_its_luminance(tmp_path, rgb):
    write_image(tmp_path / "ir.png", rgb)
    expected = rgb @ [0.299, 0.587, 0.114]
    assert np.abs(read_infrared(tmp_path / "ir.png") - expected).max() <= 0.51
    assert read_visible(tmp_path / "ir.png").shape == rgb.shape


# --- Colour -------------------------------------------------------------------------------------


def test_with_luminance_exchanges_y_in_ycbcr():
    """Against scikit-image's conversion, on colours that stay within range."""
    rng = np.random.default_rng(1)
    rgb = rng.integers(90, 160, (16, 16, 3), np.uint8)
    luma = rng.integers(90, 160, (16, 16), np.uint8)
    ycbcr = skcolor.rgb2ycbcr(rgb)
    ycbcr[..., 0] = 16 + luma * (219 / 255)  # its Y spans 16..235
    expected = skcolor.ycbcr2rgb(ycbcr) * 255
    assert np.abs(with_luminance(rgb, luma) - expected).max() < 1.6


def test_with_its_own_luminance_a_picture_stays(rgb):
    assert np.abs(with_luminance(rgb, luminance(rgb)).astype(int) - rgb).max() <= 1


def test_is_color(rgb):
    assert is_color(rgb)
    assert not is_color(rgb[..., 0])
    assert not is_color(np.repeat(rgb[..., :1], 3, axis=2))


# --- Pixel scaling ------------------------------------------------------------------------------

pictures = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6))


@given(pictures)
def test_published_scaling_is_its_formula(image):
    scaling = PixelScaling()
    x = image.astype(np.float64)
    expected = (x - x.min()) / (x.max() - x.min() + 1e-5)
    np.testing.assert_allclose(scaling.to_network(image), expected, atol=1e-6)
    pixels = scaling.to_pixels(expected.astype(np.float32))
    again = (expected - expected.min()) / (expected.max() - expected.min() + 1e-5) * 255
    assert (np.abs(pixels - again) <= 1).all() and (pixels <= again + 1e-3).all()  # truncated


@given(pictures, st.floats(0.5, 2))
def test_clamped_scaling_gives_pixels_back(image, gain):
    scaling = PixelScaling(input="unit", output="clamp", rounding="round", gain=gain)
    pixels = scaling.to_pixels(scaling.to_network(image))
    expected = np.minimum(image * gain, 255)
    assert np.abs(pixels - expected).max() <= 0.51
    plain = PixelScaling(input="unit", output="clamp", rounding="round")
    np.testing.assert_array_equal(plain.to_pixels(plain.to_network(image)), image)


def test_scaling_refuses_nonsense():
    for wrong in ({"input": "tanh"}, {"output": "x"}, {"rounding": "up"}, {"gain": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            PixelScaling(**wrong)
    with pytest.raises(UserError, match="not finite"):
        PixelScaling().to_pixels(np.array([[np.nan, 1]], np.float32))


# --- Pairing ------------------------------------------------------------------------------------


def fill(folder, *names):
    folder.mkdir()
    for name in names:
        write_image(folder / name, np.zeros((4, 4), np.uint8))


def test_folders_pair_by_stem_in_natural_order(tmp_path):
    fill(tmp_path / "ir", "10.png", "2.png", "1.png", "x.png")
    fill(tmp_path / "vis", "1.jpg", "2.bmp", "10.png", "y.png", "z.png")
    (tmp_path / "vis" / "notes.txt").write_text("")
    pairing = pair_folders(tmp_path / "ir", tmp_path / "vis")
    assert [(a.name, b.name) for a, b in pairing.pairs] == [
        ("1.png", "1.jpg"),
        ("2.png", "2.bmp"),
        ("10.png", "10.png"),
    ]
    assert [path.name for path in pairing.only_infrared] == ["x.png"]
    assert [path.name for path in pairing.only_visible] == ["y.png", "z.png"]


def test_folders_that_cannot_be_paired_are_explained(tmp_path):
    fill(tmp_path / "ir", "a.png")
    fill(tmp_path / "other", "b.png")
    fill(tmp_path / "twice", "a.png", "a.jpg")
    (tmp_path / "empty").mkdir()
    for folder, complaint in (
        ("other", "names do not tell"),
        ("twice", "same stem"),
        ("empty", "contains no images"),
        ("nowhere", "no such folder"),
    ):
        with pytest.raises(UserError, match=complaint):
            pair_folders(tmp_path / "ir", tmp_path / folder)


def test_resize_keeps_range_and_type(rgb):
    like = np.zeros((50, 40))
    assert resize_to(rgb, like).shape == (50, 40, 3)
    steps = np.kron([[0, 255], [255, 0]], np.ones((6, 6))).astype(np.float32)
    grown = resize_to(steps, like)
    assert grown.shape == (50, 40) and grown.min() >= 0 and grown.max() <= 255


# --- Videos and sheets --------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_videos_come_back_nearly(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    frames = [np.full((48, 64, 3), (40 * i, 100, 200 - 40 * i), np.uint8) for i in range(4)]
    with VideoWriter(path, 12.5) as writer:
        for frame in frames:
            writer.write(frame)
        assert not path.exists()  # appears when complete
    with Video(path) as video:
        assert (video.fps, video.frame_count, video.size) == (12.5, 4, (64, 48))
        for _ in range(2):  # iterates anew
            back = list(video)
            assert len(back) == 4
            for frame, expected in zip(back, frames, strict=True):
                assert np.abs(frame.astype(int) - expected).max() < 12
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_video_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "a.mp4", 10) as writer:
        writer.write(np.zeros((16, 16), np.uint8))
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_what_is_no_video_is_named(tmp_path, capfd):
    (tmp_path / "a.mp4").write_bytes(b"nothing" * 100)
    with pytest.raises(UserError, match="not a readable video"):
        Video(tmp_path / "a.mp4")
    with pytest.raises(UserError, match="no such file"):
        Video(tmp_path / "b.mp4")
    with pytest.raises(UserError, match="unknown video format"):
        VideoWriter(tmp_path / "a.xyz", 10)
    assert capfd.readouterr().err == ""


def test_tile_places_pictures_and_keeps_their_pixels(rgb):
    grey = rgb[..., 0]
    sheet = tile([[("a", rgb), ("b", grey)], [("c", grey)]])
    positions = [
        (y, x)
        for y in range(sheet.shape[0] - 23)
        for x in range(sheet.shape[1] - 31)
        if np.array_equal(sheet[y : y + 24, x : x + 32], rgb)
    ]
    assert len(positions) == 1
    shown = np.repeat(grey[..., None], 3, 2)
    count = sum(
        np.array_equal(sheet[y : y + 24, x : x + 32], shown)
        for y in range(sheet.shape[0] - 23)
        for x in range(sheet.shape[1] - 31)
    )
    assert count == 2
