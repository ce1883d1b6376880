"""Online tracking: from a box in the first frame to a box in every frame.

The published procedure of SiamRPN++ (Li et al., CVPR 2019) and SiamRPN (CVPR 2018, Sec. 3.4), with
DFAT's template update. For each frame, a search region around the last box is cropped, the network
scores and refines the anchors, displacement and changes of shape are penalised, and the best anchor
is selected.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fusion.base.errors import UserError
from fusion.base.threads import limited_threads
from fusion.images.arrays import as_array, is_unit_range
from fusion.images.pixels import to_8bit
from tracker.data.boxes import start_box
from tracker.data.crops import context_side, crop_square, is_usable, mean_colour
from tracker.model.head import Response
from tracker.model.network import infrared_shift
from tracker.model.settings import OnlineSettings
from tracker.model.weights import Network
from tracker.online.runtime import default_threads, make_search
from tracker.online.standstill import Standstill

# --- The tracker --------------------------------------------------------------------------------


@dataclass
class _Target:
    """The target's position: centre and size in pixels of the frame."""

    x: float
    y: float
    width: float
    height: float

    def box(self) -> tuple[float, float, float, float]:
        return (
            self.x - self.width / 2,
            self.y - self.height / 2,
            self.width,
            self.height,
        )


class RGBTTracker:
    """Tracks one object through registered RGB and infrared frames.

        tracker = RGBTTracker(load_tracker("weights.safetensors"))
        tracker.init(rgb, ir, (x, y, width, height))
        for rgb, ir in frames:
            box, score = tracker.track(rgb, ir)

    A frame is RGB ``HxWx3`` and infrared ``HxW`` (or with channels): arrays or tensors of the types
    and shapes that `fusion.images.arrays` describes. Floating-point values must be in 0..255; a
    first frame in 0..1 is refused. Either modality may be None. An image with a single value, or
    with values that are not finite, counts as missing; the branches that need it are left out of
    that frame. So does, with the setting ``still_after``, an image that is repeated while the
    other modality's changes. A modality that is missing at the start is added at the first
    template update that has it.

    Args:
        network: a trained network; it is copied for inference and not modified.
        device: the device on which the network runs.
        settings: online settings; defaults to those stored with the network
            (`TrackerNetwork.online`).
        runtime: how the search pass is computed, one of `tracker.online.runtime.RUNTIMES`. With
            "onnx" and "compile", frames that lack a modality, and frames before every modality has
            been part of a template, use the eager runtime.
        precision: precision of the search pass, one of `tracker.online.runtime.PRECISIONS`.
            Templates, the joint decision and the box are always computed in float32.
        threads: number of threads that compute a frame on the CPU; defaults to
            `tracker.online.runtime.default_threads`. PyTorch's own number is the same before and
            after each call.

    Attributes:
        threads: in use.
        search: the search pass, see `tracker.online.runtime.Search`.
        settings: the online settings in use.
        last_branches: names of the branches that contributed to the last frame's box; empty if both
            modalities were missing.
        repeated: modalities that were left out of the last frame by the setting ``still_after``.

    Raises:
        UserError: the runtime or precision is unknown, or a requirement is missing.
    """

    def __init__(
        self,
        network: Network,
        device: torch.device | str = "cpu",
        settings: OnlineSettings | None = None,
        runtime: str = "eager",
        precision: str = "float32",
        threads: int | None = None,
    ):
        self.device = torch.device(device)
        self.threads = default_threads(network) if threads is None else threads
        with self._in_threads():
            self.network = network.for_inference(self.device)
            self.search = make_search(runtime, precision, self.network, network)
        self.settings = settings or OnlineSettings(**network.online)
        self.last_branches: tuple[str, ...] = ()
        self.repeated: frozenset[str] = frozenset()
        size = self.network.response_size
        hanning = np.outer(np.hanning(size), np.hanning(size)).astype(np.float32)
        self._hanning = torch.from_numpy(hanning).to(self.device)
        self._target: _Target | None = None

    def _in_threads(self) -> AbstractContextManager[None]:
        return limited_threads(self.threads if self.device.type == "cpu" else None)

    # --- First frame ---

    def init(
        self,
        rgb: np.ndarray | None,
        ir: np.ndarray | None,
        box: Sequence[float] | np.ndarray,
    ) -> None:
        """Start on a frame.

        Args:
            rgb: ``HxWx3``, or None; see `RGBTTracker`.
            ir: ``HxW`` or with channels, or None.
            box: ``x, y, width, height``, or a polygon or rotated box as x and y of its corners; it
                may extend beyond the frame, but not lie outside it.

        Raises:
            UserError: there is no usable frame, or the box is unusable.
            ValueError: a frame has a different shape or type.
        """
        with torch.inference_mode(), self._in_threads():
            self._init(rgb, ir, box)

    def _init(
        self, rgb: np.ndarray | None, ir: np.ndarray | None, box: Sequence[float] | np.ndarray
    ) -> None:
        self._met: set[str] = set()  # modalities that had a usable frame
        self._standstill = Standstill(int(self.settings.still_after))
        frames = self._frames(rgb, ir)
        if not frames:
            raise UserError(
                "first frame: both modalities are missing, blank or not finite (or the network "
                f"has no branch for the one given: {', '.join(self.network.branches)}); start at "
                "a frame that shows the target"
            )
        height, width = next(iter(frames.values())).shape[:2]
        x, y, w, h = start_box(box, width, height)
        # Published networks measure a box of w pixels from the first to the last pixel's centre.
        self._target = _Target(x + (w - 1) / 2, y + (h - 1) / 2, w, h)
        self._first_shape = w / h
        self._fill: dict[str, np.ndarray] = {}
        self._ir_follows_rgb = False
        self._ir_shift = torch.zeros(1, 1, 1, 1, device=self.device)
        self._velocity = (0.0, 0.0)
        self._template: dict[str, Any] = {}
        self._seen: set[str] = set()  # modalities of the template
        self._count = 1  # frames seen, this one included
        self._learn(frames, rate=1)
        self.last_branches = tuple(self._template)

    # --- Every other frame ---

    def track(
        self, rgb: np.ndarray | None, ir: np.ndarray | None
    ) -> tuple[tuple[float, float, float, float], float]:
        """Find the target in the next frame.

        Args:
            rgb, ir: see `init`.

        Returns:
            The box ``(x, y, width, height)`` in pixels, and its score in 0..1. If both modalities
            are missing, the last box and a score of 0.

        Raises:
            ValueError: `init` was not called, or a frame has a different shape or type.
        """
        if self._target is None:
            raise ValueError("track needs a target: call init first")
        with torch.inference_mode(), self._in_threads():
            return self._track(rgb, ir, self._target)

    def _track(
        self, rgb: np.ndarray | None, ir: np.ndarray | None, target: _Target
    ) -> tuple[tuple[float, float, float, float], float]:
        self._count += 1
        frames = self._frames(rgb, ir)
        score = 0.0
        self.last_branches = ()
        side = context_side(target.width, target.height, self.settings.context)
        side *= self.network.search_size / self.network.exemplar_size
        known = {name: frame for name, frame in frames.items() if name in self._seen}
        if known:
            frame_size = next(iter(known.values())).shape[:2]
            centre = self._expected(frame_size)
            inputs = self._inputs(known, centre, side, self.network.search_size)
            self.last_branches, response = self.search(inputs)
            found = self._best(response, target).tolist()
            score = self._follow(found, centre, frame_size)
        if (
            frames
            and self.settings.update_interval
            and self._count % self.settings.update_interval == 0
        ):
            self._learn(frames, rate=self.settings.update_rate)
        assert self._target is not None
        return self._target.box(), score

    def _expected(self, frame_size: tuple[int, int]) -> tuple[float, float]:
        """Where the search region is centred: at the last box, or ahead of it."""
        target, ahead = self._target, self.settings.velocity
        assert target is not None
        height, width = frame_size
        return (
            _clip(target.x + ahead * self._velocity[0], 0, width),
            _clip(target.y + ahead * self._velocity[1], 0, height),
        )

    def _best(self, response: Response, target: _Target) -> Tensor:
        """The best candidate: x and y from the search region's centre, width and height, all in
        frame pixels, score, and rate of change.

        Stays on the device; reading the six numbers is the only synchronisation of a frame.
        """
        side = context_side(target.width, target.height, self.settings.context)
        scale = self.network.exemplar_size / side
        candidates = self.network.candidates(response)
        score = torch.sigmoid(candidates.logits[0])
        x, y, width, height = candidates.boxes[0].unbind(0)

        size_change = _change(
            context_side(width, height, self.settings.context) / self.network.exemplar_size
        )
        shape_change = _change((target.width / target.height) / (width / height))
        penalty = torch.exp(-(size_change * shape_change - 1) * self.settings.penalty)
        ranked = penalty * score * (1 - self.settings.window) + self._hanning * self.settings.window
        best = ranked.nan_to_num(nan=0).argmax().view(1)  # a box of infinite size has no shape
        rows = torch.stack((x / scale, y / scale, width / scale, height / scale, score, penalty))
        return rows.flatten(1).index_select(1, best).squeeze(1)

    def _follow(
        self, found: Sequence[float], centre: tuple[float, float], frame_size: tuple[int, int]
    ) -> float:
        """Move the target to the best candidate, adapt its size by a rate, keep it in the frame.

        Args:
            found: of `_best`.
            centre: of the search region.
            frame_size: height and width.
        """
        dx, dy, width, height, score, penalty = found
        frame_height, frame_width = frame_size
        target, settings = self._target, self.settings
        assert target is not None
        rate = penalty * score * settings.rate
        least = settings.minimum_side
        width = max(least, target.width + rate * (width - target.width))
        height = max(least, target.height + rate * (height - target.height))
        # Towards the first shape at equal area.
        back = (self._first_shape * height / width) ** (settings.shape / 2)
        self._target = _Target(
            _clip(centre[0] + dx, 0, frame_width),
            _clip(centre[1] + dy, 0, frame_height),
            _clip(width * back, least, frame_width),
            _clip(height / back, least, frame_height),
        )
        moved = (self._target.x - target.x, self._target.y - target.y)
        share = settings.velocity_rate
        vx, vy = (v + share * (m - v) for v, m in zip(self._velocity, moved, strict=True))
        self._velocity = (vx, vy)
        return score

    # --- Template ---

    def _learn(self, frames: dict[str, np.ndarray], rate: float) -> None:
        """Blend the template at the target into the existing one, branch by branch.

        For a branch without a template, the new one is used as it is. As published, the mean colour
        that fills crops outside the frame is also measured here and kept until the next update.
        """
        colours = {name: mean_colour(frame) for name, frame in frames.items()}
        if self.settings.border == "rounded":
            colours = {name: np.rint(colour) for name, colour in colours.items()}
        self._fill |= colours
        if "ir" in frames and "ir" not in self._template:
            # An infrared template without RGB is not shifted, so its search regions are not either.
            self._ir_follows_rgb = "rgb" in frames
        target = self._target
        assert target is not None
        side = context_side(target.width, target.height, self.settings.context)
        inputs = self._inputs(frames, (target.x, target.y), side, self.network.exemplar_size)
        for branch, new in self.network.template(inputs).items():
            self._template[branch] = _blend(self._template.get(branch, new), new, rate)
        self._seen |= set(frames)
        self.search.learn(self.network.kernels(self._template))

    # --- Crops ---

    def _frames(self, rgb: Any, ir: Any) -> dict[str, np.ndarray]:
        """The usable frames by modality, of those the network has a branch for."""
        frames = {}
        for name, frame in (("rgb", rgb), ("ir", ir)):
            if frame is None or name not in self.network.modalities:
                continue
            frame = as_array(frame, name)
            if frame.dtype == np.uint16:
                frame = to_8bit(frame)
            elif frame.dtype != np.uint8 and frame.dtype.kind != "f":
                raise ValueError(
                    f"{name} must be uint8, uint16 or floating point, got {frame.dtype}; "
                    "fusion.images.pixels.to_8bit converts"
                )
            if is_usable(frame):
                frames[name] = frame if frame.dtype == np.uint8 else self._in_255(frame, name)
                self._met.add(name)
        self.repeated = self._standstill.still(frames)
        for name in self.repeated:
            del frames[name]
        sizes = {frame.shape[:2] for frame in frames.values()}
        if len(sizes) > 1:
            raise ValueError(
                f"rgb {frames['rgb'].shape[:2]} and ir {frames['ir'].shape[:2]} differ in height "
                "and width; the tracker needs registered frames of one size"
            )
        return frames

    def _in_255(self, frame: np.ndarray, name: str) -> np.ndarray:
        """Floating point in 0..255. A first frame of 0..1 is refused: later ones may be dark."""
        if name not in self._met and is_unit_range(frame):
            raise ValueError(f"{name} must be in 0..255, got values in 0..1; multiply them by 255")
        low, high = float(frame.min()), float(frame.max())
        if low < 0 or high > 255:
            raise ValueError(f"{name} must be in 0..255, got values from {low:g} to {high:g}")
        return frame.astype(np.float32)

    def _inputs(
        self,
        frames: dict[str, np.ndarray],
        centre: tuple[float, float],
        side: float,
        size: int,
    ) -> dict[str, Tensor]:
        """Crops about a point as the network takes them."""
        crops = {}
        replicate = self.settings.border == "replicate"
        for name, frame in frames.items():
            fill = None if replicate else self._fill[name]
            crop = crop_square(frame, centre, side, size, fill)
            crop = crop[None] if crop.ndim == 2 else crop.transpose(2, 0, 1)
            crops[name] = self._to_device(torch.from_numpy(np.ascontiguousarray(crop))[None])
        if self._ir_follows_rgb and len(crops) == 2:
            # Kept for frames without RGB, so that the infrared stays like its template.
            self._ir_shift = infrared_shift(crops["rgb"], crops["ir"])
        return self.network.prepare(crops, self._ir_shift)

    def _to_device(self, tensor: Tensor) -> Tensor:
        if self.device.type == "cuda":  # from pinned memory the host need not wait for the copy
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)


def _change(ratio: Tensor) -> Tensor:
    """A ratio or its inverse, whichever is above 1."""
    return torch.maximum(ratio, 1 / ratio)


def _clip(value: float, low: float, high: float) -> float:
    return float(max(low, min(value, high)))


def _blend(old: Any, new: Any, rate: float) -> Any:
    """``old`` moved towards ``new`` by a rate, tensor by tensor of a template."""
    if isinstance(old, Tensor):
        return torch.lerp(old, new, rate)
    return [_blend(a, b, rate) for a, b in zip(old, new, strict=True)]
