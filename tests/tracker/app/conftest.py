"""The app in a process of its own, and Chromium to look at it."""

import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

#: Seconds that anything on the page may take, on a loaded machine.
PATIENCE = 120

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
)

# The real command, with another patience for pages without connection.
PROGRAM = """
import sys
from fusion.commands.cli import main
from tracker.app import server
server.PATIENCE = float(sys.argv[1])
sys.exit(main(["app", "--port", "0", *sys.argv[2:]]))
"""


class App:
    """A running app."""

    def __init__(self, folder: Path, *options: str, patience: float = 60.0):
        self.folder = folder  # what stands for /tmp
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
        environment |= {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
        self.log = (folder / "stderr.txt").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(patience), *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        first = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", first)
        assert found, f"{first!r}: {(folder / 'stderr.txt').read_text()}"
        self.address = found[0]

    def get(self, path: str) -> bytes:
        """A file of the app; `FileNotFoundError` if it does not give it."""
        address = path if path.startswith("http") else self.address + path
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise FileNotFoundError(f"{path}: {error.code}") from error

    def files(self) -> list[Path]:
        """All files of visitors."""
        return [path for path in self.folder.glob("rgbt-app-*/**/*") if path.is_file()]

    def end(self) -> int:
        """End it as a service manager does."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.log.close()


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    running = App(tmp_path_factory.mktemp("app"), "--max-upload", "3", "--max-pixels", "1")
    yield running
    running.end()


@pytest.fixture
def start_app(tmp_path):
    """A function that starts another app, whose files are in ``tmp_path``."""
    started = []

    def start(*options, **settings):
        started.append(App(tmp_path, *options, **settings))
        return started[-1]

    yield start
    for running in started:
        running.end()


class Page:
    """A tab of the browser with the app, and what a person does there."""

    def __init__(self, driver, address: str):
        self.driver, self.address = driver, address

    def open(self, tab: str) -> None:
        """Load the page anew, as a new visitor, and go to a tab."""
        self.driver.get(self.address)
        self.go_to(tab)

    def go_to(self, tab: str) -> None:
        """Show another tab."""
        self.find(f'[data-tab="{tab}"]').click()
        self.find(f".{tab}")

    def find(self, selector: str, text: str = "", shown: bool = True):
        """The first element of a CSS selector, as soon as there is one with this text.

        Args:
            shown: whether it has to be visible, unlike a slider under a picture.
        """
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.common.by import By

        def look(driver):
            with suppress(StaleElementReferenceException):  # replaced meanwhile: look again
                for element in driver.find_elements(By.CSS_SELECTOR, selector):
                    if (element.is_displayed() or not shown) and text in element.text:
                        return element
            return None

        return self.until(look, f"{selector} {text}")

    def until(self, condition, what: str):
        """Wait for a function of the driver to return something true."""
        from selenium.common.exceptions import TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        try:
            return WebDriverWait(self.driver, PATIENCE, 0.1).until(condition)
        except TimeoutException:
            body = self.driver.execute_script("return document.body.innerText")
            pytest.fail(f"not on the page: {what}. The page:\n{body}")

    def upload(self, slot: str, path: Path) -> None:
        """Choose a file for a slot."""
        from selenium.webdriver.common.by import By

        find = (By.CSS_SELECTOR, f".{slot} input[type=file]")
        self.driver.find_element(*find).send_keys(str(path))

    def upload_pair(self, tab: str, infrared: Path, visible: Path) -> None:
        """Choose both files of a tab and wait until they are shown."""
        for name, path in (("infrared", infrared), ("visible", visible)):
            self.upload(f"{tab}-{name}", path)
            self.find(f".{tab}-{name} .state", path.name)

    def download(self, app: App, text: str) -> bytes:
        """What a download button gives."""
        return app.get(self.find("a.download", text).get_attribute("href"))

    def drag(self, element, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag the mouse between two points, given as fractions of an element's size."""
        from selenium.webdriver import ActionChains

        width, height = element.rect["width"], element.rect["height"]
        offsets = [(round((x - 0.5) * width), round((y - 0.5) * height)) for x, y in (start, end)]
        actions = ActionChains(self.driver, duration=50)
        actions.move_to_element_with_offset(element, *offsets[0]).click_and_hold()
        actions.move_to_element_with_offset(element, *offsets[1]).release().perform()

    def complaints(self) -> list[str]:
        """Errors that the browser's console has, such as files that are missing."""
        entries = self.driver.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


def _find_chromium() -> tuple[str, str]:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        message = "no Chromium with its driver; apt-get install chromium chromium-driver"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return browser, driver


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """Chromium without a window."""
    binary, driver = _find_chromium()
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    profile = tmp_path_factory.mktemp("chromium")
    for flag in (*FLAGS, f"--user-data-dir={profile}", "--window-size=1280,1000"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


@pytest.fixture
def visit(chromium):
    """A function that gives the page of an app."""
    return lambda app: Page(chromium, app.address)


@pytest.fixture
def page(app, visit):
    return visit(app)
