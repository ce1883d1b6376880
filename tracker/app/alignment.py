"""The calibration that a visitor has made or loaded, for the tabs that use it."""

from collections.abc import Callable
from typing import Any

from nicegui import binding, ui

from fusion.images.alignment import Calibration


class Alignment:
    """A visitor's calibration, and whether the other tabs use it.

    Attributes:
        calibration: None as long as there is none.
        is_known, is_used: bound to the switches, which all show the same.
    """

    is_known = binding.BindableProperty()
    is_used = binding.BindableProperty()

    def __init__(self) -> None:
        self.calibration: Calibration | None = None
        self.is_known = self.is_used = False

    def set(self, calibration: Calibration) -> None:
        """Use a calibration from now on."""
        self.calibration = calibration
        self.is_known = self.is_used = True

    def leave(self) -> None:
        """Use it no longer, for pictures that are aligned already."""
        self.is_used = False

    @property
    def chosen(self) -> Calibration | None:
        """The calibration, if it is used."""
        return self.calibration if self.is_used else None

    def build_switch(self, on_change: Callable[[], Any] | None = None) -> None:
        """Show whether it is used, in the current tab."""
        switch = ui.switch("Align by the Align tab's calibration", on_change=on_change)
        switch.bind_value(self, "is_used").bind_enabled_from(self, "is_known")
