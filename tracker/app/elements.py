"""The three elements that the tabs need and NiceGUI lacks; their other half is in ``browser/``.

NiceGUI's own image element sends every movement of the mouse to the server and back. These draw in
the browser, and send a result: a box, a point, a file.
"""

from collections.abc import Callable, Sequence
from typing import Any

from nicegui import ui

Box = tuple[float, float, float, float]


class _Element(ui.element):
    """An element whose properties are set by name."""

    def show(self, **properties: Any) -> None:
        """Change properties; a name ``left_title`` is ``left-title`` in the browser."""
        for name, value in properties.items():
            self._props[name.replace("_", "-")] = value
        self.update()


class DropZone(_Element, component="browser/dropzone.js"):
    """An area to choose a file or to drop one onto.

    Args:
        title, hint: what it is for, and what it takes.
        icon: name of a Material icon, shown until there is a thumbnail.
        accept: suffixes that the browser offers, or an empty string.
        address: where the browser sends the file.
        limit: its maximum size in bytes, which the server checks again.
        on_arrival: called when the file was received.
        on_refusal: called with the reason why it was not.
    """

    def __init__(
        self,
        title: str,
        hint: str,
        icon: str,
        accept: str,
        address: str,
        limit: int,
        on_arrival: Callable[[], Any],
        on_refusal: Callable[[str], Any],
    ):
        super().__init__()
        self.show(title=title, hint=hint, icon=icon, accept=accept, address=address, limit=limit)
        self.on("arrived", lambda: on_arrival())
        self.on("refused", lambda event: on_refusal(event.args))


class Picture(_Element, component="browser/picture.js"):
    """A picture with a box or numbered points.

    Args:
        title: its caption.
        mode: ``box`` to draw one, ``points`` to set them, or an empty string to show only.
        on_box: called with ``x, y, width, height`` in pixels.
        on_point: called with ``x, y`` of a new point.
        on_move: called with the index of a point and its new ``x, y``.
    """

    def __init__(
        self,
        title: str,
        mode: str = "",
        on_box: Callable[[Box], Any] | None = None,
        on_point: Callable[[float, float], Any] | None = None,
        on_move: Callable[[int, float, float], Any] | None = None,
    ):
        super().__init__()
        self.show(title=title, mode=mode, width=1, height=1)
        if on_box is not None:
            self.on("box", lambda event: on_box(_numbers(event.args, 4)))
        if on_point is not None:
            self.on("point", lambda event: on_point(*_numbers(event.args, 2)))
        if on_move is not None:
            self.on("moved", lambda event: _move(on_move, event.args), throttle=0.03)

    def show_picture(self, address: str, size: tuple[int, int]) -> None:
        """Show the picture at an address, whose full size is ``(width, height)``."""
        self.show(src=address, width=size[0], height=size[1])

    def show_points(self, points: Sequence[Sequence[float]]) -> None:
        """Show numbered points ``x, y`` in pixels."""
        self.show(points=[list(map(float, point)) for point in points])


class Compare(_Element, component="browser/compare.js"):
    """Two pictures of one view and a line between them to drag."""

    def show_pictures(self, left: tuple[str, str], right: tuple[str, str]) -> None:
        """Show two pictures, each a title and an address."""
        self.show(left_title=left[0], left=left[1], right_title=right[0], right=right[1])


def _numbers(values: Any, count: int) -> Any:
    """Numbers that a browser sent, which may be anything."""
    numbers = tuple(float(value) for value in values)
    if len(numbers) != count:
        raise ValueError(f"{count} numbers expected, got {len(numbers)}")
    return numbers


def _move(call: Callable[[int, float, float], Any], values: Any) -> None:
    index, x, y = _numbers(values, 3)
    call(int(index), x, y)
