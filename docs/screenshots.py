"""Take the pictures of docs/app.md: start the app, use its samples, and photograph the page.

    python docs/screenshots.py                # all
    python docs/screenshots.py align track    # some

Requires the extra ``app``, selenium, and Chromium with its driver.
"""

import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from fusion.images.alignment.geometry import map_points
from tracker.app.samples import VIDEO_SEED, unaligned
from tracker.synthetic import random_spec, render

FOLDER = Path(__file__).parent
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync")
WIDTH, SHOWN = 1280, 1000  # pixels of the page, and of the picture
PATIENCE = 120


class Photographer:
    """A browser on the app's page."""

    def __init__(self, driver: webdriver.Chrome, address: str):
        self.driver = driver
        driver.get(address)

    def find(self, selector: str, text: str = ""):
        """The first element of a selector that is shown and contains a text."""

        def look(driver):
            found = driver.find_elements(By.CSS_SELECTOR, selector)
            return next((e for e in found if e.is_displayed() and text in e.text), None)

        return WebDriverWait(self.driver, PATIENCE).until(look)

    def drag(self, selector: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag between two fractions of an element's width and height; equal ones are a click."""
        element = self.find(selector)
        size = element.rect["width"], element.rect["height"]
        first, last = (
            [round((part - 0.5) * length) for part, length in zip(place, size, strict=True)]
            for place in (start, end)
        )
        actions = ActionChains(self.driver, duration=60)
        actions.move_to_element_with_offset(element, *first).click_and_hold()
        actions.move_to_element_with_offset(element, *last).release().perform()
        time.sleep(0.4)

    def photograph(self, name: str, height: int) -> None:
        """Write the upper part of the page."""
        time.sleep(1.5)  # for what moves, and for videos to show a frame
        self.driver.execute_script("document.activeElement.blur()")
        picture = Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
        picture = picture.crop((0, 0, WIDTH, min(height, picture.height)))
        shown = picture.resize((SHOWN, round(picture.height * SHOWN / WIDTH)), Image.LANCZOS)
        path = FOLDER / f"app-{name}.jpg"
        shown.save(path, quality=82, optimize=True)
        print(path)


def fuse(page: Photographer) -> None:
    """The street, fused."""
    page.find(".fuse .samples button").click()
    page.find(".fuse-visible img")
    page.find(".fuse-run").click()
    page.find(".metrics table")
    page.photograph("fuse", 830)


def align(page: Photographer) -> None:
    """Four clicked points, and both pictures over each other."""
    page.find('[data-tab="align"]').click()
    page.find(".align .samples button").click()
    page.find(".match-visible img")
    infrared, visible, transform = unaligned()
    spots = [(120, 90), (430, 110), (90, 330), (470, 350)]
    for spot, other in zip(spots, map_points(transform, np.array(spots)), strict=True):
        for name, image, place in (("infrared", infrared, spot), ("visible", visible, other)):
            share = place[0] / image.shape[1], place[1] / image.shape[0]
            page.drag(f".match-{name} svg", share, share)
    page.find(".fit-run").click()
    page.find(".aligned-compare")
    page.photograph("align", 1330)


def track(page: Photographer) -> None:
    """The cyclist in fog."""
    page.find('[data-tab="track"]').click()
    page.find(".track .samples button").click()
    page.find(".first-frame img")
    x, y, w, h = next(iter(render(random_spec(VIDEO_SEED, length=60, challenge="fog")))).box
    page.drag(".first-frame svg", (x / 320, y / 240), ((x + w) / 320, (y + h) / 240))
    page.find(".track-run").click()
    player = page.find(".tracked-video")
    time.sleep(1)
    page.driver.execute_script("arguments[0].currentTime = 1.5", player)
    page.photograph("track", 1060)


PICTURES = {take.__name__: take for take in (fuse, align, track)}


@contextmanager
def app():
    """A running app's address."""
    command = [sys.executable, "-m", "fusion", "app", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield re.search(r"http://\S+", process.stdout.readline())[0]
        finally:
            process.terminate()


def main(names: list[str]) -> int:
    unknown = set(names) - set(PICTURES)
    if unknown:
        print(f"unknown {unknown.pop()!r}; choose from {', '.join(PICTURES)}", file=sys.stderr)
        return 2
    with app() as address, tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={WIDTH},1600"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        try:
            for name in names or PICTURES:
                PICTURES[name](Photographer(driver, address))
        finally:
            driver.quit()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
