"""The interface of all fusion networks: tensors in `forward`, images in `fuse`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile, gettempdir
from typing import IO, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from fusion.base.errors import UserError
from fusion.images.arrays import as_picture
from fusion.images.pixels import PixelScaling, is_color, luminance, with_luminance
from fusion.llrr.fast.windows import windows

#: Input ``x / 255``, output ``round(255 x)``, clipped: the convention of most published networks.
UNIT_SCALING = PixelScaling(input="unit", output="clamp", rounding="round")


@dataclass(frozen=True)
class PublishedWeights:
    """How to recognise the authors' files of a network, and how to rename their tensors.

    Attributes:
        markers: for each file, the name of a tensor by which it is recognised.
        names: prefixes of our tensor names mapped to prefixes of theirs.
        shifted: for some of these prefixes, the offset of the layer number that follows: layers
            without tensors, such as activations or padding, may be counted in their files.
        prepare: converts the tensors, by their names, to what our network expects.
    """

    markers: tuple[str, ...]
    names: Mapping[str, str]
    shifted: Mapping[str, int] = field(default_factory=dict)
    prepare: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = dict

    def name_in_file(self, name: str) -> str:
        """The name in the authors' file of one of our tensors."""
        start = max((s for s in self.names if name.startswith(f"{s}.")), key=len)
        rest = name[len(start) + 1 :]
        if start in self.shifted:
            number, _, rest = rest.partition(".")
            rest = f"{int(number) + self.shifted[start]}.{rest}"
        return f"{self.names[start]}.{rest}"


class FusionNetwork(nn.Module):
    """Base of the networks that fuse an infrared and a visible image.

    A subclass defines ``forward(ir, vis)`` on scaled tensors ``(B, 1, H, W)`` and records its
    constructor arguments in `architecture`. Reading, pairing, colour and writing then work through
    `fuse`.

    Attributes:
        architecture: the constructor arguments, as JSON types; a weights file rebuilds the network
            from them.
        scaling: the pixel convention of the weights.
        rules: the available fusion rules by name; empty if fusion is learned.
        min_side: minimum length of the shorter side of an image, in pixels.
        published: how to read the authors' own files; None if they are not supported.
        steady: whether frames of a video are made steady by default, see
            `fusion.networks.video.FrameFusion`.
        video_threads: number of threads that compute a frame of a video; None for all of PyTorch's.
            A small network has too little work for two threads to share, and reading and writing
            occupy the second core.
        verified: what of the authors' the network was verified against, in a few words for
            ``fusion methods``; empty if nothing.
    """

    architecture: dict
    scaling: PixelScaling
    rules: ClassVar[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = {}
    min_side: ClassVar[int] = 2
    published: ClassVar[PublishedWeights | None] = None
    steady: ClassVar[bool] = False
    video_threads: ClassVar[int | None] = None
    verified: ClassVar[str] = ""

    @property
    def reach(self) -> int | None:
        """The largest distance, in pixels, at which an input pixel affects the output, or None if
        it is unbounded.

        If it is bounded, images of any size are fused in windows.
        """
        return None

    def to_input(self, image: np.ndarray, value_range: tuple[float, float] | None = None) -> Tensor:
        """Greyscale image ``HxW`` in 0..255 to the ``(1, 1, H, W)`` tensor that `forward` takes.

        Args:
            value_range: see `fusion.images.pixels.PixelScaling.to_network`.
        """
        parameter = next(self.parameters())
        return torch.from_numpy(self.scaling.to_network(image, value_range))[None, None].to(
            parameter.device, parameter.dtype
        )

    def to_picture(self, output: Tensor, vis: np.ndarray | None = None) -> np.ndarray:
        """Output ``(1, 1, H, W)`` of `forward` to a uint8 image.

        Args:
            vis: the visible image, whose chroma is kept if it has any; None for a greyscale result.
        """
        grey = self.scaling.to_pixels(output[0, 0].float().cpu().numpy())
        return grey if vis is None or not is_color(vis) else with_luminance(vis, grey)

    def fuse(
        self,
        ir: np.ndarray,
        vis: np.ndarray,
        color: bool = True,
        ranges: Sequence[tuple[float, float]] | None = None,
    ) -> np.ndarray:
        """Fuse one pair of images.

        Args:
            ir: infrared, ``HxW`` (or with channels, of which the luminance is taken): an array or
                tensor as `fusion.images.arrays` describes, or what `fusion.read_infrared` gives.
                Floating point of any range where `scaling` stretches pixels by their own.
            vis: visible, ``HxW`` or RGB ``HxWx3``, likewise: `fusion.read_visible`. Floating point
                of any range likewise, but only where no colour is kept.
            color: keep the chroma of a coloured visible picture around the fused luminance; False
                gives the grey picture of the papers.
            ranges: lowest and highest level of the infrared's and of the visible's luminance, which
                a `scaling` by the range of levels uses instead of the images' own; for frames of a
                video, which should not be stretched each in its own way.

        Returns:
            uint8, RGB ``HxWx3`` if the visible image has colour and ``color`` is set, else ``HxW``.

        Raises:
            ValueError: other shapes, types or values than these, NaN among them; sizes differ, or
                a side is shorter than `min_side`.
        """
        any_range = self.scaling.input == "min-max"
        ir = as_picture(ir, "infrared", any_range)
        keeps_colour = color and np.ndim(vis) > 2
        vis = as_picture(vis, "visible", any_range and not keeps_colour)
        if ir.shape[:2] != vis.shape[:2]:
            raise ValueError(
                f"infrared is {ir.shape[1]}x{ir.shape[0]}, visible {vis.shape[1]}x{vis.shape[0]}; "
                "both must have the same size"
            )
        if min(ir.shape[:2]) < self.min_side:
            raise ValueError(
                f"pictures of at least {self.min_side}x{self.min_side} pixels are needed, got "
                f"{ir.shape[1]}x{ir.shape[0]}"
            )
        if self.reach is not None and ir.shape[0] * ir.shape[1] > self.WHOLE_PIXELS:
            return self._fuse_in_windows(ir, vis, color and is_color(vis), self.reach, ranges)
        inputs = [
            self.to_input(luminance(image), value_range)
            for image, value_range in zip((ir, vis), ranges or (None, None), strict=True)
        ]
        with torch.inference_mode():
            output = self(*inputs)
        return self.to_picture(output, vis if color else None)

    # An image with more pixels is fused in windows with this side, which bounds memory. Its raw
    # output is kept until its range is known, in a file if it exceeds this number of bytes.
    WHOLE_PIXELS: ClassVar[int] = 1 << 22
    WINDOW: ClassVar[int] = 1024
    RAW_BYTES: ClassVar[int] = 1 << 24

    def _fuse_in_windows(
        self,
        ir: np.ndarray,
        vis: np.ndarray,
        color: bool,
        reach: int,
        ranges: Sequence[tuple[float, float]] | None = None,
    ) -> np.ndarray:
        height, width = ir.shape[:2]
        areas = [
            (rows, columns)
            for rows in windows(height, self.WINDOW, reach)
            for columns in windows(width, self.WINDOW, reach)
        ]
        if ranges is None:
            ranges = [_range(luminance(image[row]) for row in _rows(image)) for image in (ir, vis)]

        def outputs() -> Iterator[np.ndarray]:
            for rows, columns in areas:
                inputs = [
                    self.to_input(luminance(image[rows.read, columns.read]), value_range)
                    for image, value_range in zip((ir, vis), ranges, strict=True)
                ]
                with torch.inference_mode():
                    output = self(*inputs)[0, 0, rows.inner, columns.inner]
                yield output.float().cpu().numpy()

        try:
            with SpooledTemporaryFile(self.RAW_BYTES) as raw:
                value_range = _range(_stored(outputs(), raw))
                raw.seek(0)
                fused = np.empty((height, width, 3) if color else (height, width), np.uint8)
                for rows, columns in areas:
                    place = rows.kept, columns.kept
                    shape = ir[place].shape[:2]
                    output = np.frombuffer(raw.read(4 * shape[0] * shape[1]), np.float32)
                    grey = self.scaling.to_pixels(output.reshape(shape), value_range)
                    fused[place] = with_luminance(vis[place], grey) if color else grey
        except OSError as error:
            raise UserError(
                f"{gettempdir()}: no room for {4 * height * width >> 20} MiB ({error.strerror}); "
                "set TMPDIR to another folder"
            ) from error
        return fused


def _rows(image: np.ndarray) -> Iterator[slice]:
    """Successive blocks of an image's rows."""
    return (slice(row, row + 256) for row in range(0, image.shape[0], 256))


def _range(parts: Iterable[np.ndarray]) -> tuple[float, float]:
    """Smallest and largest value over all parts."""
    extremes = [(float(part.min()), float(part.max())) for part in parts]
    return min(low for low, _ in extremes), max(high for _, high in extremes)


def _stored(parts: Iterable[np.ndarray], file: IO[bytes]) -> Iterator[np.ndarray]:
    """Yield the arrays unchanged, writing each to a file."""
    for part in parts:
        file.write(np.ascontiguousarray(part).data)
        yield part
