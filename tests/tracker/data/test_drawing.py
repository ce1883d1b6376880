import numpy as np
import pytest

from tracker.data.drawing import RESULT_COLOR, TRUTH_COLOR, draw_box, draw_frame
from tracker.data.frames import Frame, FrameProblem

BOX = (100, 60, 80, 50)


def frame(rgb=True, ir=True, size=(480, 360), number=7):
    width, height = size
    problems = {}
    for modality, there in (("rgb", rgb), ("ir", ir)):
        if not there:
            problems[modality] = FrameProblem("missing", "x: no picture")
    return Frame(
        number,
        np.full((height, width, 3), 90, np.uint8) if rgb else None,
        np.full((height, width), 140, np.uint8) if ir else None,
        problems,
    )


def extent(image, color):
    """The box about all pixels of a colour, x, y, w, h."""
    rows, columns = np.nonzero((image == color).all(axis=-1))
    if not len(rows):
        return None
    return (
        columns.min(),
        rows.min(),
        columns.max() + 1 - columns.min(),
        rows.max() + 1 - rows.min(),
    )


def panels(picture, width, height):
    """The two panels without the header line."""
    body = picture[-height:]
    return body[:, :width], body[:, width + 4 : 2 * width + 4]


def test_draw_box_is_where_the_box_is():
    image = np.zeros((200, 300, 3), np.uint8)
    draw_box(image, (40, 30, 100, 60))
    assert extent(image, RESULT_COLOR) == (40, 30, 100, 60)
    assert (image[35:85, 45:135] == 0).all()  # nothing inside


def test_draw_box_over_the_border_and_absent():
    image = np.zeros((100, 100, 3), np.uint8)
    draw_box(image, (np.nan, 1, 2, 3))
    assert not image.any()
    draw_box(image, (-20, 50, 60, 500))
    assert extent(image, RESULT_COLOR)[:3] == (0, 50, 40)


def test_the_box_is_drawn_on_both_modalities():
    picture = draw_frame(frame(), BOX, score=0.5)
    for panel, level in zip(panels(picture, 480, 360), (90, 140), strict=True):
        assert extent(panel, RESULT_COLOR) == BOX
        assert (panel[80, 120] == level).all() and (panel[-1, -1] == level).all()


def test_annotated_boxes_are_drawn_each_in_its_modality():
    truth = {"rgb": np.array([10.0, 150, 30, 30]), "ir": np.array([300.0, 200, 20, 40])}
    left, right = panels(draw_frame(frame(), BOX, truth=truth), 480, 360)
    assert extent(left, TRUTH_COLOR) == (10, 150, 30, 30)
    assert extent(right, TRUTH_COLOR) == (300, 200, 20, 40)


@pytest.mark.parametrize("size, scale", [((160, 120), 2), ((1920, 1080), 0.5)])
def test_small_and_large_frames_are_scaled_with_their_box(size, scale):
    picture = draw_frame(frame(size=size), (60, 40, 40, 30))
    width, height = round(size[0] * scale), round(size[1] * scale)
    found = extent(panels(picture, width, height)[1], RESULT_COLOR)
    assert np.abs(np.array(found) - np.array([60, 40, 40, 30]) * scale).max() <= 1


@pytest.mark.parametrize("size", [(321, 241), (333, 77), (640, 512)])
def test_the_picture_has_even_sides(size):
    height, width, _ = draw_frame(frame(size=size), BOX).shape
    assert height % 2 == width % 2 == 0


def test_a_missing_modality_is_a_dark_panel_with_a_word():
    left, right = panels(draw_frame(frame(ir=False), BOX), 480, 360)
    assert extent(left, RESULT_COLOR) == BOX and extent(right, RESULT_COLOR) is None
    assert np.median(right) < 60 and (right[:30] > 200).any()  # dark, with white letters


def test_a_frame_without_pictures_needs_a_size():
    empty = frame(rgb=False, ir=False)
    assert draw_frame(empty, BOX, size=(480, 360)).shape == draw_frame(frame(), BOX).shape
    with pytest.raises(ValueError, match="size"):
        draw_frame(empty, BOX)


def test_number_and_score_are_written_in_the_line_above():
    def line(number, score):
        return draw_frame(frame(number=number), BOX, score=score)[:20]

    first = line(7, 0.5)
    assert (first > 200).any()
    assert (first != line(8, 0.5)).any() and (first != line(7, 0.6)).any()
    np.testing.assert_array_equal(first, line(7, 0.5))


def test_the_frame_itself_is_not_drawn_into():
    given = frame()
    draw_frame(given, BOX)
    assert (given.rgb == 90).all() and (given.ir == 140).all()
