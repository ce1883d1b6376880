"""Settings of online tracking, which are stored with the weights."""

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tracker.data.crops import CONTEXT


@dataclass(frozen=True)
class OnlineSettings:
    """Parameters of online tracking that are not learned; the defaults are DFAT's as published.

    Attributes:
        context: what a crop adds to width and to height, as a fraction of their sum.
        penalty: strength of the penalty on changes of size and shape.
        window: weight of the cosine window, which penalises displacement.
        rate: learning rate of the size, multiplied by score and penalty.
        update_interval: frames between template updates; 0 for none.
        update_rate: weight of the new template in an update.
        minimum_side: minimum width and height of a box in pixels.
        border: what lies outside the frame in a crop: "mean", the frame's mean colour without its
            fraction, as DFAT has it; "rounded", the same rounded, as OpenCV and NanoTrack have it;
            or "replicate", the frame's edge.
        velocity: how far the search region moves ahead of the last box, as a share of the target's
            smoothed motion in a frame.
        velocity_rate: weight of the last motion in the smoothed one.
        shape: how far the ratio of width to height returns in each frame to that of the first box,
            as a share of the distance of their logarithms. Targets such as people keep their shape
            over long times, and errors of the shape would otherwise add up.
        still_after: a modality whose image was repeated this often in succession, while the other
            one's changes, counts as missing until it changes; 0 for never.
    """

    context: float = CONTEXT
    penalty: float = 0.10
    window: float = 0.41
    rate: float = 0.32
    update_interval: int = 15
    update_rate: float = 0.1
    minimum_side: float = 10
    border: Literal["mean", "rounded", "replicate"] = "mean"
    velocity: float = 0.0
    velocity_rate: float = 0.4
    shape: float = 0.0
    still_after: int = 0


def check_online(settings: Mapping[str, Any]) -> None:
    """Check values of some of the fields of `OnlineSettings`, as read from a file or an option.

    Raises:
        ValueError: no setting has a name, or a value is not possible for it.
    """
    known = typing.get_type_hints(OnlineSettings)
    for name, value in settings.items():
        if name not in known:
            raise ValueError(f"unknown online setting {name}; known are {', '.join(known)}")
        choices = typing.get_args(known[name])
        if choices:
            if value not in choices:
                raise ValueError(f"online setting {name} is {value}; give {' or '.join(choices)}")
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e4:
            raise ValueError(f"online setting {name} is {value}; give a number from 0 to 10000")
