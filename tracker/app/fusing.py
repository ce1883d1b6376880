"""The tab that fuses two pictures or two videos."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nicegui import ui

from fusion.base.errors import UserError
from fusion.images.pixels import to_8bit
from fusion.images.reading import data_address, jpeg, write_image
from fusion.networks.lrrnet import LRRNet
from tracker.app import samples
from tracker.app.alignment import Alignment
from tracker.app.elements import Compare, Picture
from tracker.app.inputs import PICTURES, VIDEOS, is_video, shown
from tracker.app.jobs import Job, Stopped
from tracker.app.methods import FIRST, method_choices, network_of
from tracker.app.parts import Progress, Source, complain, download_button, say
from tracker.app.visitors import Visitor

#: How the grey levels of the infrared are stretched, by what the page calls it.
GAINS = {
    "As recorded": None,
    "Stretched, 1 to 99 %": (1.0, 99.0),
    "Stretched, 3 to 97 %": (3.0, 97.0),
    "Stretched, 10 to 90 %": (10.0, 90.0),
}

#: Pixels up to which the metrics are computed unasked; VIF takes seconds on larger pictures.
MEASURED_PIXELS = 1 << 20


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"  # such as MS-SSIM of a small picture


@dataclass
class _Fused:
    """One result: the images in 8 bits, and the file to download."""

    ir: np.ndarray
    vis: np.ndarray
    fused: np.ndarray
    path: Path
    method: str
    has_parts: bool
    values: dict[str, float]
    doubt: str


class FuseTab:
    """Two inputs and the settings on the left, the result on the right.

    Args:
        weights: files of further networks that can be chosen.
        device: see `fusion.base.commandline.resolve_device`.
    """

    def __init__(
        self, visitor: Visitor, alignment: Alignment, weights: Sequence[Path], device: str
    ):
        self._visitor, self._alignment, self._device = visitor, alignment, device
        self._choices = method_choices(weights)
        self._tables: dict[str, dict[str, float]] = {}  # metrics of the present pair by method
        self._last: _Fused | None = None
        with ui.element("div").classes("columns fuse"):
            with ui.card().classes("controls"):
                self._build_controls()
            with ui.card().classes("result") as self._result:
                self._empty()

    # --- What the page shows ---

    def _build_controls(self) -> None:
        accept = f"{PICTURES},{VIDEOS}"
        with ui.element("div").classes("pair"):
            self._ir, self._vis = (
                Source(
                    self._visitor,
                    f"fuse-{name.lower()}",
                    name,
                    "Picture or video",
                    icon,
                    accept,
                    name == "Infrared",
                    self._changed,
                )
                for name, icon in (("Infrared", "thermostat"), ("Visible", "photo_camera"))
            )
        with ui.row().classes("samples"):
            ui.label("Nothing at hand?")
            ui.button("Sample pictures", on_click=self._sample_pictures).props("flat dense no-caps")
            ui.button("Sample videos", on_click=self._sample_videos).props("flat dense no-caps")
        self._method = ui.select(self._choices, value=FIRST, label="Method").classes("method")
        self._gain = ui.select(list(GAINS), value="As recorded", label="Infrared grey levels")
        self._color = ui.switch("Keep the colour", value=True)
        self._fit = ui.switch("Bring the infrared to the visible's size", value=True)
        self._alignment.build_switch(self._changed)
        self._run = ui.button("Fuse", icon="layers", on_click=self._fuse).classes("main fuse-run")
        self._progress = Progress(self._visitor)

    def _empty(self) -> None:
        with ui.column().classes("empty"):
            ui.icon("layers")
            ui.label("The fused picture or video appears here.")

    def _changed(self) -> None:
        self._tables.clear()

    def _options(self) -> Any:
        from fusion.commands.pipeline import Options

        return Options(
            color=self._color.value,
            resize=self._fit.value and self._alignment.chosen is None,
            calibration=self._alignment.chosen,
            percentiles=GAINS[self._gain.value],
        )

    # --- What the buttons do ---

    async def _sample_pictures(self) -> None:
        folder = self._visitor.new_folder()
        with suppress(Stopped):
            pair = await self._progress.follow(
                lambda job: samples.picture_pair(folder), what="Drawing"
            )
            await self._use(*pair)

    async def _sample_videos(self) -> None:
        folder = self._visitor.new_folder()
        with suppress(Stopped):
            pair = await self._progress.follow(
                lambda job: samples.video_pair(folder, job), "frames", "Drawing"
            )
            await self._use(*pair)

    async def _use(self, infrared: Path, visible: Path) -> None:
        self._alignment.leave()
        self._changed()
        await self._ir.use(infrared)
        await self._vis.use(visible)

    async def _fuse(self) -> None:
        ir, vis = self._ir.path, self._vis.path
        if ir is None or vis is None:
            complain(self._visitor, UserError("Give an infrared and a visible file first."))
            return
        if is_video(ir) != is_video(vis):
            complain(self._visitor, UserError("Give two pictures or two videos, not one of each."))
            return
        self._run.disable()
        try:
            with suppress(Stopped):
                await (self._fuse_videos if is_video(ir) else self._fuse_pictures)(ir, vis)
        finally:
            self._run.enable()

    # --- Pictures ---

    async def _fuse_pictures(self, ir: Path, vis: Path) -> None:
        method, options = self._method.value, self._options()
        out = self._visitor.new_folder() / f"{vis.stem}_fused.png"

        def work(job: Job) -> _Fused:
            from fusion.commands.pipeline import read_pair
            from fusion.evaluation.metrics import create_all, evaluate_levels

            network = network_of(method, self._device)
            infrared, visible, doubt = read_pair(ir, vis, options, network.min_side)
            job.report()
            fused = network.fuse(infrared, visible, options.color)
            write_image(out, fused)
            infrared, visible = to_8bit(infrared), to_8bit(visible)
            job.report()
            small = fused.shape[0] * fused.shape[1] <= MEASURED_PIXELS
            values = evaluate_levels(create_all(), fused, infrared, visible) if small else {}
            has_parts = isinstance(network, LRRNet)
            return _Fused(infrared, visible, fused, out, method, has_parts, values, doubt)

        result = await self._progress.follow(work, what="Fusing")
        if result.doubt:
            say(self._visitor.message(UserError(result.doubt)))
        if result.values:
            self._tables[self._choices[method]] = result.values
        self._last = result
        self._visitor.keep("fuse", out.parent)
        self._show_pictures(result)

    def _show_pictures(self, result: _Fused) -> None:
        images = {"Infrared": result.ir, "Visible": result.vis, "Fused": result.fused}
        sources = {
            name: shown(self._visitor, image, f"{name.lower()}.jpg")
            for name, image in images.items()
        }
        self._result.clear()
        with self._result:
            compare = Compare().classes("fused-compare")
            with ui.row().classes("spread sides"):
                left = ui.toggle(list(images), value="Infrared").props("no-caps size=sm")
                right = ui.toggle(list(images), value="Fused").props("no-caps size=sm")

            def update() -> None:
                compare.show_pictures(
                    (left.value, sources[left.value]), (right.value, sources[right.value])
                )

            for toggle in (left, right):
                toggle.on_value_change(update)
            update()
            with ui.row().classes("downloads"):
                download_button("Fused picture", self._visitor.offer(result.path))
                if result.has_parts:
                    ui.button("Low-rank and sparse parts", on_click=self._show_parts).props(
                        "flat no-caps icon=grid_view"
                    ).classes("parts-run")
            self._parts = ui.column().classes("parts-sheet")
            if self._tables:
                self._show_metrics()
            else:
                ui.label("Metrics are left out for pictures of more than a megapixel.").classes(
                    "hint"
                )

    def _show_metrics(self) -> None:
        from fusion.evaluation.metrics import create_all

        methods = list(self._tables)
        columns: list[dict[str, Any]] = [
            {"name": "metric", "label": "Metric", "field": "metric", "align": "left"},
            *({"name": m, "label": m.partition(" (")[0], "field": m} for m in methods),
        ]
        rows = []
        for metric in create_all():
            better = "higher" if metric.higher_is_better else "lower"
            values = {m: _number(table[metric.name]) for m, table in self._tables.items()}
            rows.append({"metric": metric.heading, "better": f"{better} is better", **values})
        with ui.expansion("Metrics", icon="table_chart", value=True).classes("metrics"):
            table = ui.table(columns=columns, rows=rows, row_key="metric").props("flat dense")
            table.add_slot(
                "body-cell-metric",
                '<q-td :props="props">{{ props.value }} '
                '<span class="hint">{{ props.row.better }}</span></q-td>',
            )
            ui.label(
                "Fuse again with another method to compare. The definitions are those of LRRNet's "
                "paper; 'fusion evaluate' has those of others."
            ).classes("hint")

    async def _show_parts(self) -> None:
        result = self._last
        if result is None:
            return

        def work(job: Job) -> np.ndarray:
            from fusion.commands.parts import parts_sheet

            network = network_of(result.method, self._device)
            assert isinstance(network, LRRNet)  # the button is shown for no other
            return parts_sheet(network, result.ir, result.vis, result.fused)

        with suppress(Stopped):
            sheet = await self._progress.follow(work, what="Computing the parts")
            path = self._visitor.new_folder() / f"{result.path.stem}_parts.png"
            write_image(path, sheet)
            self._parts.clear()
            with self._parts:
                ui.image(shown(self._visitor, sheet, "parts.jpg"))
                download_button("Parts", self._visitor.offer(path))

    # --- Videos ---

    async def _fuse_videos(self, ir: Path, vis: Path) -> None:
        method, options = self._method.value, self._options()
        out = self._visitor.new_folder() / f"{vis.stem}_fused.mp4"
        name = f"{vis.stem} fused"
        self._result.clear()
        with self._result:
            preview = Picture("The latest frame")

        def work(job: Job) -> Any:
            from fusion.commands.pipeline import fuse_videos

            def watch(number: int, total: int, fused: np.ndarray) -> None:
                self._visitor.limits.check_frames(vis.name, number)
                job.report(number, total, lambda: fused)

            return fuse_videos(network_of(method, self._device), ir, vis, out, options, watch)

        def show(frame: np.ndarray) -> None:
            preview.show_picture(data_address(jpeg(frame)), (frame.shape[1], frame.shape[0]))

        try:
            account = await self._progress.follow(work, "frames", "Fusing", show)
        except Stopped:
            self._result.clear()
            with self._result:
                self._empty()
            raise
        self._visitor.keep("fuse", out.parent)
        self._result.clear()
        with self._result:
            video = ui.video(self._visitor.offer(out), muted=True, loop=True)
            video.props("playsinline").classes("fused-video")
            ui.label(account.summary(Path(name)).rpartition(":")[0]).classes("hint")
            for note in account.notes:
                ui.label(self._visitor.message(UserError(note))).classes("hint")
            with ui.row().classes("downloads"):
                download_button("Fused video", self._visitor.offer(out))
