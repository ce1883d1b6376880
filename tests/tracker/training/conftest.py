"""Small footage with known answers: blocks of one colour that move over grey texture."""

import cv2
import numpy as np
import pytest

from fusion.images.reading import write_image

RED, MAGENTA, BLUE = (250, 0, 0), (250, 0, 250), (0, 0, 250)


@pytest.fixture(scope="session")
def write_masked_video(texture):
    """Writes a block that moves over a grey background, in DAVIS's layout; gives its boxes."""

    def write(root, name, colour, length=6, size=(160, 120), block=(24, 36), seed=0):
        width, height = size
        grey = texture(np.random.default_rng(seed), height, width) // 2 + 60
        background = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
        boxes = []
        for number in range(length):
            x, y, w, h = 40 + 6 * number, 40 + 2 * number, *block
            frame, mask = background.copy(), np.zeros((height, width), np.uint8)
            frame[y : y + h, x : x + w] = colour
            mask[y : y + h, x : x + w] = 255
            write_image(root / name / "color" / f"{number:05d}.png", frame)
            write_image(root / name / "mask" / f"{number:05d}.png", mask)
            boxes.append((x, y, w, h))
        return np.array(boxes, float)

    return write


@pytest.fixture(scope="session")
def write_clip(texture):
    """Writes registered pictures: frame t has 10 t in its corner, and a hot ellipse moves."""

    def write(folder, name, length=12, size=(160, 120), seed=0):
        width, height = size
        rng = np.random.default_rng(seed)
        light, heat = texture(rng, height, width), texture(rng, height, width) // 3
        for number in range(length):
            middle = 59 + 2 * number, 60
            rgb, ir = cv2.cvtColor(light, cv2.COLOR_GRAY2RGB), heat.copy()
            cv2.ellipse(ir, middle, (9, 20), 0, 0, 360, 240, -1)
            cv2.ellipse(rgb, middle, (9, 20), 0, 0, 360, (200, 40, 40), -1)
            rgb[:4, :4] = ir[:4, :4] = 10 * number
            write_image(folder / "visible" / name / f"{number:04d}.png", rgb)
            write_image(folder / "infrared" / name / f"{number:04d}.png", ir)

    return write


@pytest.fixture(scope="session")
def masked_root(tmp_path_factory, write_masked_video):
    """Two animals, red and magenta, and a blue vehicle, by DAVIS's names."""
    root = tmp_path_factory.mktemp("masked")
    for seed, (name, colour) in enumerate((("bear", RED), ("cows", MAGENTA), ("bus", BLUE))):
        write_masked_video(root, name, colour, seed=seed)
    return root


@pytest.fixture(scope="session")
def red_root(tmp_path_factory, write_masked_video):
    """One video of a red block."""
    root = tmp_path_factory.mktemp("red")
    write_masked_video(root, "bear", RED)
    return root
