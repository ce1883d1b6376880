"""The tab that aligns two cameras: by clicking the same spots in both pictures, or by itself."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from nicegui import ui

from fusion.base.errors import UserError
from fusion.images.alignment import Calibration, Camera
from fusion.images.alignment.estimation import expected_transform
from fusion.images.alignment.geometry import MODELS, Size, map_points
from fusion.images.pixels import luminance
from tracker.app import samples
from tracker.app.alignment import Alignment
from tracker.app.elements import Compare, Picture
from tracker.app.inputs import PICTURES, VIDEOS, first_picture, shown
from tracker.app.jobs import Job, Stopped
from tracker.app.parts import Progress, Source, complain, download_button, say
from tracker.app.visitors import Visitor

Point = tuple[float, float]

_ABOUT = {
    "shift": "Shift only",
    "similarity": "Shift, rotation and scale",
    "affine": "Also shear",
    "homography": "Also perspective",
}


@dataclass
class Match:
    """One spot in both pictures, in pixels from the upper left corner; None until it is clicked."""

    infrared: Point | None = None
    visible: Point | None = None

    @property
    def is_complete(self) -> bool:
        """Whether it was clicked in both."""
        return self.infrared is not None and self.visible is not None


class Matches:
    """Matches in the order of their numbers; only the last can be incomplete."""

    def __init__(self) -> None:
        self.rows: list[Match] = []

    def set(self, modality: str, point: Point) -> None:
        """A click in a picture: the missing half of the last match, or the first of a new one.

        Args:
            modality: ``infrared`` or ``visible``.
        """
        if not self.rows or self.rows[-1].is_complete:
            self.rows.append(Match())
        setattr(self.rows[-1], modality, point)

    def move(self, modality: str, index: int, point: Point) -> None:
        """Move a point; other indices than those shown are ignored."""
        if 0 <= index < len(self.points(modality)):
            setattr(self.rows[index], modality, point)

    def points(self, modality: str) -> list[Point]:
        """The points of a picture."""
        points = [getattr(row, modality) for row in self.rows]
        return [point for point in points if point is not None]

    @property
    def complete(self) -> tuple[np.ndarray, np.ndarray]:
        """Infrared and visible points ``(N, 2)``, whole numbers at the centres of pixels."""
        rows = [row for row in self.rows if row.is_complete]
        pairs = np.array([(row.infrared, row.visible) for row in rows], float).reshape(-1, 2, 2)
        return pairs[:, 0] - 0.5, pairs[:, 1] - 0.5

    @property
    def next(self) -> str:
        """The picture to click next."""
        last = self.rows[-1] if self.rows else None
        return "visible" if last and last.visible is None else "infrared"


def needed_points(model: str) -> int:
    """Number of matches that determine a model: each gives two equations."""
    return -(-MODELS[model] // 2)


def overlay(ir: np.ndarray, vis: np.ndarray) -> np.ndarray:
    """Infrared in red over visible in cyan; where both agree, the picture is grey.

    Args:
        ir, vis: uint8 pictures of one size.

    Returns:
        RGB uint8.
    """
    grey = luminance(vis)
    return np.stack([luminance(ir), grey, grey], axis=-1)


class AlignTab:
    """Two pictures to click in, and how well they fit before and after."""

    def __init__(self, visitor: Visitor, alignment: Alignment):
        self._visitor, self._alignment = visitor, alignment
        self._images: dict[str, np.ndarray] = {}
        self._matches = Matches()
        self._opened: dict[str, Path | None] = {}
        with ui.element("div").classes("columns align"):
            with ui.card().classes("controls"):
                self._build_controls()
            with ui.card().classes("result"):
                self._build_result()
        self._update()

    # --- What the page shows ---

    def _build_controls(self) -> None:
        with ui.element("div").classes("pair"):
            self._ir, self._vis = (
                Source(
                    self._visitor,
                    f"align-{name.lower()}",
                    name,
                    "Picture or video",
                    icon,
                    f"{PICTURES},{VIDEOS}",
                    name == "Infrared",
                    self._open,
                )
                for name, icon in (("Infrared", "thermostat"), ("Visible", "photo_camera"))
            )
        with ui.row().classes("samples"):
            ui.label("Nothing at hand?")
            ui.button("Sample pictures", on_click=self._sample).props("flat dense no-caps")
        self._model = ui.select(
            {name: _ABOUT.get(name, name) for name in MODELS},
            value="similarity",
            label="How the pictures may differ",
            on_change=self._update,
        )
        self._by_points = ui.button("Align by the points", on_click=self._fit, icon="control_point")
        self._by_points.classes("main fit-run")
        self._by_itself = ui.button("Align automatically", on_click=self._estimate)
        self._by_itself.props("outline icon=auto_fix_high").classes("main estimate-run")
        self._progress = Progress(self._visitor)
        ui.separator()
        ui.label("Or use a calibration that 'fusion align' wrote:").classes("hint")
        self._file = Source(
            self._visitor,
            "align-calibration",
            "Calibration",
            "YAML file",
            "description",
            ".yaml,.yml",
            False,
            self._loaded,
            check=Calibration.load,
            has_thumbnail=False,
        )

    def _build_result(self) -> None:
        with ui.column().classes("empty") as self._nothing:
            ui.icon("join_inner")
            ui.label("Both pictures appear here, to click the same spots in them.")
        with ui.column().classes("outcome") as self._work:
            with ui.row().classes("spread"):
                self._lead = ui.label().classes("lead")
                self._clear = ui.button("Remove all points", on_click=self._remove_all)
                self._clear.props("flat dense no-caps")
            with ui.element("div").classes("pair matching"):
                self._pictures = {
                    name: Picture(
                        name.capitalize(),
                        "points",
                        on_point=partial(self._clicked, name),
                        on_move=partial(self._moved, name),
                    ).classes(f"match-{name}")
                    for name in ("infrared", "visible")
                }
            self._table = ui.row().classes("matches")
            self._outcome = ui.column().classes("outcome")
        self._work.set_visibility(False)

    def _update(self) -> None:
        """Show the matches, and what is to be done next."""
        for name, picture in self._pictures.items():
            picture.show_points(self._matches.points(name))
        have, need = len(self._matches.complete[0]), needed_points(self._model.value)
        where = f"Click a spot in the {self._matches.next} picture"
        if self._matches.next == "visible":
            where = f"Click the same spot {len(self._matches.rows)} in the visible picture"
        missing = f"; {need - have} more to go" if have < need else ""
        self._lead.set_text(f"{where}{missing}. Points can be dragged.")
        self._by_points.set_enabled(bool(self._images) and have >= need)
        self._by_itself.set_enabled(bool(self._images))
        self._clear.set_visibility(bool(self._matches.rows))
        self._table.clear()
        with self._table:
            for index in range(len(self._matches.rows)):
                self._build_chip(index)

    def _build_chip(self, index: int) -> None:
        row = self._matches.rows[index]
        text = f"{index + 1}"
        calibration = self._alignment.calibration
        if row.is_complete and calibration is not None and self._fits(calibration):
            moved = map_points(calibration.transform, np.array([row.infrared]) - 0.5)[0] + 0.5
            text += f": {np.hypot(*(moved - np.array(row.visible))):.1f} px off"
        chip = ui.chip(text, removable=True).props("outline dense")
        chip.on_value_change(lambda _, index=index: self._remove(index))

    def _fits(self, calibration: Calibration) -> bool:
        """Whether a calibration is for pictures of this size and without lens distortion."""
        cameras = calibration.infrared, calibration.visible
        return (
            bool(self._images)
            and self._sizes() == tuple(tuple(camera.size) for camera in cameras)
            and all(camera.matrix is None for camera in cameras)
        )

    # --- Points ---

    def _clicked(self, name: str, x: float, y: float) -> None:
        self._matches.set(name, (x, y))
        self._update()

    def _moved(self, name: str, index: int, x: float, y: float) -> None:
        self._matches.move(name, index, (x, y))
        self._update()

    def _remove(self, index: int) -> None:
        del self._matches.rows[index]
        self._update()

    def _remove_all(self) -> None:
        self._matches = Matches()
        self._update()

    # --- Pictures ---

    async def _sample(self) -> None:
        folder = self._visitor.new_folder()
        with suppress(Stopped):
            infrared, visible = await self._progress.follow(
                lambda job: samples.unaligned_pair(folder), what="Drawing"
            )
            await self._ir.use(infrared)
            await self._vis.use(visible)
            await self._open()

    async def _open(self) -> None:
        paths = {"infrared": self._ir.path, "visible": self._vis.path}
        if None in paths.values() or paths == self._opened:  # two files that arrived at once
            return
        self._opened = paths
        try:
            for name, path in paths.items():
                assert path is not None
                image = await asyncio.to_thread(first_picture, path, name == "infrared")
                self._images[name] = image
                address = await asyncio.to_thread(shown, self._visitor, image, f"{name}.jpg")
                self._pictures[name].show_picture(address, (image.shape[1], image.shape[0]))
        except Exception as error:
            self._images.clear()
            self._opened = {}
            complain(self._visitor, error)
        self._nothing.set_visibility(not self._images)
        self._work.set_visibility(bool(self._images))
        self._outcome.clear()
        self._remove_all()

    # --- Calibrations ---

    async def _fit(self) -> None:
        infrared, visible = self._matches.complete
        model = self._model.value

        def work(job: Job) -> Calibration:
            from fusion.images.alignment.points import align_points

            source = f"{len(infrared)} points in {self._names()}"
            return align_points(infrared, visible, self._sizes(), model, source, "Points")

        with suppress(Stopped):
            await self._use(await self._progress.follow(work, what="Fitting"))

    async def _estimate(self) -> None:
        model = self._model.value
        ir, vis = self._ir.path, self._vis.path
        assert ir is not None and vis is not None  # or the button could not be pressed

        def work(job: Job) -> Calibration:
            from fusion.commands.align import Request, align
            from fusion.images.alignment.estimation import NotSure

            try:
                return align(ir, vis, Request(model=model))[0]
            except NotSure:
                raise UserError(
                    "These pictures do not tell how they belong together. Click some points "
                    "instead, or give videos, which show more."
                ) from None

        with suppress(Stopped):
            await self._use(await self._progress.follow(work, what="Searching"))

    def _sizes(self) -> tuple[Size, Size]:
        """``(width, height)`` of infrared and visible picture."""
        (a, b), (c, d) = (self._images[name].shape[:2] for name in ("infrared", "visible"))
        return (b, a), (d, c)

    def _names(self) -> str:
        return " and ".join(source.path.name for source in (self._ir, self._vis) if source.path)

    async def _loaded(self) -> None:
        if self._file.path is not None:
            await self._use(Calibration.load(self._file.path))

    async def _use(self, calibration: Calibration) -> None:
        """Take a calibration, for the other tabs too, and show what it does."""
        self._alignment.set(calibration)
        self._update()
        path = self._visitor.new_folder() / "calibration.yaml"
        try:
            calibration.save(path)
            pictures = await asyncio.to_thread(self._overlays, calibration)
        except Exception as error:
            complain(self._visitor, error)
            return
        if not self._images:
            say("The other tabs use this calibration now.")
            return
        self._outcome.clear()
        with self._outcome:
            compare = Compare().classes("aligned-compare")
            compare.show_pictures(("Before", pictures[0]), ("After", pictures[1]))
            ui.label(
                "Infrared in red over visible in cyan: outlines that meet are grey, double ones "
                "are not aligned."
            ).classes("hint")
            for line in _facts(calibration):
                ui.label(line)
            with ui.row().classes("downloads"):
                download_button("Calibration", self._visitor.offer(path))
            ui.label(
                "The tabs Fuse, Track and Live use it now. The commands take the file by --align."
            ).classes("hint")

    def _overlays(self, calibration: Calibration) -> tuple[str, str]:
        """Addresses of both pictures over each other, without and with the calibration."""
        if not self._images:
            return "", ""
        ir, vis = self._images["infrared"], self._images["visible"]
        infrared, visible = self._sizes()
        expected = expected_transform(infrared, visible)
        before = overlay(Calibration(Camera(infrared), Camera(visible), expected).align(ir), vis)
        after = overlay(calibration.align(ir), calibration.undistort(vis))
        before_at, after_at = (
            shown(self._visitor, image, f"{name}.jpg")
            for name, image in (("before", before), ("after", after))
        )
        return before_at, after_at


def _facts(calibration: Calibration) -> list[str]:
    """What is known of a calibration, in lines."""
    lines = []
    if calibration.residual is not None:
        lines.append(f"Remaining distance: {calibration.residual:.1f} visible pixels")
    if calibration.confidence is not None:
        lines.append(f"Confidence: {calibration.confidence:.2f} of 1")
    return lines
