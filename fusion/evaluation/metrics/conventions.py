"""Conventions: which variant of each metric a family of papers tabulates.

A convention consists of a grey conversion and columns. Each column is a metric of the catalogue
with its arguments, a title and a unit. Columns with the same title and unit have the same
definition, whatever their convention. `docs/metrics.md` explains how the conventions differ and
which faults of published programs are reproduced.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fusion.base.errors import UserError
from fusion.base.registry import unknown
from fusion.evaluation.metrics import inputs


@dataclass(frozen=True)
class Column:
    """A column of a convention's table.

    Attributes:
        metric: name in the catalogue.
        title: column title; together with the unit, it identifies the definition.
        unit: unit of the values; empty for dimensionless values.
        variant: keyword arguments of the metric's function.
        fault: the mistake in the published program, if the value reproduces one.
    """

    metric: str
    title: str
    unit: str = ""
    variant: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True)
class Convention:
    """A named set of definitions.

    Attributes:
        name: name for ``--convention``.
        about: the tables that it reproduces, in one line.
        grey: converts RGB uint8 ``HxWx3`` to ``HxW``; None if metrics are computed per channel.
        grey_name: the conversion in words.
        columns: columns by their name for ``--metrics``.
    """

    name: str
    about: str
    grey: Callable[[np.ndarray], np.ndarray] | None
    grey_name: str
    columns: Mapping[str, Column]


#: All conventions, by name; users can add their own.
CONVENTIONS: dict[str, Convention] = {}


def find_convention(name: str) -> Convention:
    """The convention with this name.

    Raises:
        UserError: the name is unknown; the message suggests a similar name and lists all.
    """
    if name not in CONVENTIONS:
        raise UserError(unknown("convention", name, CONVENTIONS))
    return CONVENTIONS[name]


def list_conventions() -> tuple[str, ...]:
    """Names of the conventions.

    >>> list_conventions()
    ('lrrnet', 'cddfuse', 'ivif_zoo', 'tang2023', 'tang2022', 'vifb', 'color', 'tang')
    """
    return tuple(CONVENTIONS)


def _add(
    name: str,
    about: str,
    grey: Callable[[np.ndarray], np.ndarray] | None,
    grey_name: str,
    columns: Mapping[str, Column],
) -> None:
    CONVENTIONS[name] = Convention(name, about, grey, grey_name, dict(columns))


# --- Columns that several conventions have --------------------------------------------------------

_EN = Column("en", "EN", "bit")
_SD = Column("sd", "SD", "level")
_SF = Column("sf", "SF", "level")
_AG_INNER = Column("ag", "AG /(H-1)(W-1)", "level", {"differences": "central", "divisor": "inner"})
_AG_CENTRAL = Column("ag", "AG central", "level", {"differences": "central"})
_MI_BITS = Column("mi", "MI sum", "bit")
_MI_NATS = Column("mi", "MI sum", "nat", {"base": math.e})
_CC = Column("cc", "CC", "")
_SCD = Column("scd", "SCD", "")
_MSE = Column("mse", "MSE", "level²")
_MSE_UNIT = Column("mse", "MSE 0..1", "", {"peak": 1})
_QABF = Column("qabf", "Qabf", "", {"equal": "strength"})
_VIFP = Column("vifp", "VIFP sum", "")
_PSNR_HIGH = Column(
    "psnr",
    "PSNR +48.13",
    "dB",
    {"scale": 1},
    fault="MSE on 0..1 with the peak 255: 48.1308 dB too high",
)
_SMALL_PEAK = "constants for images on 0..{}, used on 0..255: far below the usual SSIM"

# --- This package's own: LRRNet's and RFN-Nest's table, and the original papers -------------------

_add(
    "lrrnet",
    "LRRNet's and RFN-Nest's tables where they can be reproduced, else the metrics' own papers",
    inputs.grey_opencv,
    "BT.601 luma, rounded",
    {
        "en": _EN,
        "sd_sqrt_n": Column("sd_sqrt_n", "SD·√N", ""),
        "2en": Column("2en", "2En", "bit"),
        "mi": _MI_BITS,
        "ssim": Column("ssim", "SSIM mean", ""),
        "vif": Column("vif", "VIFm", ""),
        "nabf": Column("nabf", "Nabf", ""),
        "sf": _SF,
        "ag": Column("ag", "AG forward", "level"),
        "scd": _SCD,
        "qabf": Column("qabf", "Qabf equal 1", ""),
        "ms_ssim": Column("ms_ssim", "MS-SSIM mean", ""),
        "viff": Column("viff", "VIFF", ""),
        "cc": _CC,
        "psnr": Column("psnr", "PSNR", "dB"),
    },
)

# --- CDDFuse --------------------------------------------------------------------------------------

_add(
    "cddfuse",
    "the evaluator of CDDFuse (Zhao et al., CVPR 2023), which many later papers use",
    inputs.grey_float,
    "0.299 R + 0.587 G + 0.114 B, rounded half to even",
    {
        "en": _EN,
        "sd": _SD,
        "sf": _SF,
        "mi": _MI_NATS,
        "scd": _SCD,
        "vif": _VIFP,
        "qabf": _QABF,
        "ssim": Column(
            "ssim",
            "SSIM sum box L=2",
            "",
            {"window": "box", "border": "crop", "peak": 2, "combine": "sum"},
            fault=_SMALL_PEAK.format(2) + "; reaches 2, as a sum over the sources",
        ),
        "ag": _AG_CENTRAL,
        "mse": _MSE,
        "cc": _CC,
        "psnr": Column("psnr", "PSNR peak max F", "dB", {"peak": "fused"}),
    },
)

# --- IVIF_ZOO -------------------------------------------------------------------------------------

_add(
    "ivif_zoo",
    "the evaluator of the survey IVIF_ZOO (Liu et al., 2024), in double precision",
    inputs.grey_pillow,
    "Pillow's mode L",
    {
        "ce": Column(
            "ce_logistic",
            "CE logistic",
            "nat",
            fault="a logistic function of raw levels, near 0 except in the dark",
        ),
        "nmi": Column("nmi", "NMI", ""),
        "qncie": Column("qncie", "QNCIE", ""),
        "te": Column("te", "TE", "bit"),
        "ei": Column("ei", "EI zero border", "level", {"border": "zero"}),
        "qy": Column("qy", "Qy", "", fault="the window's sum is 7 instead of 1"),
        "qcb": Column("qcb", "Qcb 0..1", "", {"levels": "unit"}, fault="scaled to 0..1 unrounded"),
        "en": Column("en", "EN p+1e-7", "bit", {"epsilon": 1e-7}),
        "mi": _MI_BITS,
        "sf": _SF,
        "ag": _AG_CENTRAL,
        "sd": _SD,
        "cc": _CC,
        "scd": _SCD,
        "vif": Column(
            "vifp",
            "VIFP sum shifted",
            "",
            {"window": "shifted"},
            fault="windows off centre, with a border of zeros",
        ),
        "mse": _MSE_UNIT,
        "psnr": _PSNR_HIGH,
        "qabf": _QABF,
        "nabf": Column(
            "nabf",
            "Nabf 0..255 weak 0",
            "",
            {"peak": 255, "weak": 0.0},
            fault="on 0..255, and edges below strength 2 weigh 0",
        ),
        "ssim": Column(
            "ssim",
            "SSIM sum L=1",
            "",
            {"border": "crop", "peak": 1, "combine": "sum"},
            fault=_SMALL_PEAK.format(1) + "; reaches 2, as a sum over the sources",
        ),
        "ms_ssim": Column(
            "ms_ssim",
            "MS-SSIM sum L=1",
            "",
            {"halving": "zero", "peak": 1, "combine": "sum"},
            fault=_SMALL_PEAK.format(1) + "; odd sides are halved with lines of zeros",
        ),
    },
)

# --- Tang's Evaluation-for-Image-Fusion -----------------------------------------------------------

_SSIM_TANG = Column("ssim", "SSIM mean L=1", "", {"peak": 1}, fault=_SMALL_PEAK.format(1))
_MI_TANG = Column(
    "mi",
    "MI sum 254=255",
    "bit",
    {"merge_top": True},
    fault="levels 254 and 255 are one level in the joint histogram alone",
)
_MEF_MULTI = Column("mef_ssim", "MEF-SSIM 3 scales", "", {"scales": 3})
_FMI_DCT = Column("fmi", "FMI dct", "")

_add(
    "tang2023",
    "Evaluation-for-Image-Fusion (Tang) since 2023",
    inputs.grey_matlab,
    "MATLAB's rgb2gray",
    {
        "en": _EN,
        "mi": _MI_TANG,
        "psnr": _PSNR_HIGH,
        "mse": _MSE_UNIT,
        "sf": _SF,
        "sd": _SD,
        "vif": _VIFP,
        "ag": _AG_INNER,
        "cc": _CC,
        "scd": _SCD,
        "qabf": _QABF,
        "nabf": Column(
            "nabf",
            "Nabf of infrared",
            "",
            {"peak": 255, "judged": "ir"},
            fault="arguments exchanged: measures the infrared against visible and fused",
        ),
        "ssim": _SSIM_TANG,
        "ms_ssim": _MEF_MULTI,
        "fmi_dct": _FMI_DCT,
    },
)

_add(
    "tang2022",
    "Evaluation-for-Image-Fusion (Tang), first version, which its spreadsheet is from",
    inputs.grey_matlab,
    "MATLAB's rgb2gray",
    {
        "en": _EN,
        "mi": _MI_TANG,
        "psnr": _PSNR_HIGH,
        "mse": _MSE_UNIT,
        "sf": Column("sf", "SF /255", "", {"peak": 1}),
        "sd": Column(
            "sd",
            "SD 8-bit",
            "level",
            {"saturate": True},
            fault="saturating 8-bit arithmetic, never above 16",
        ),
        "vif": Column(
            "vifp",
            "VIFP sum 8-bit",
            "",
            {"saturate": True},
            fault="products saturate at the first scale, which removes it from the score",
        ),
        "ag": _AG_INNER,
        "cc": _CC,
        "scd": _SCD,
        "qabf": Column(
            "qabf",
            "Qabf 0..1",
            "",
            {"equal": "strength", "peak": 1},
            fault="the strength stands for the ratio of equal strengths, which punishes "
            "perfect edges on 0..1",
        ),
        "nabf": Column("nabf", "Nabf", ""),
        "ssim": Column("mef_ssim", "MEF-SSIM", "", fault="named SSIM"),
        "ms_ssim": _MEF_MULTI,
        "fmi_dct": _FMI_DCT,
    },
)

# --- VIFB -----------------------------------------------------------------------------------------

_add(
    "vifb",
    "the benchmark VIFB (Zhang, Ye and Xiao, 2020): per colour channel, then the mean",
    None,
    "none: each channel with the sources' same channel, then the mean",
    {
        "ce": Column("ce", "CE per channel", "bit"),
        "en": Column("en", "EN per channel", "bit"),
        "mi": Column("mi", "MI sum per channel", "nat", {"base": math.e}),
        "psnr": Column(
            "psnr_rmse",
            "PSNR of RMSE/√N",
            "dB",
            fault="uses an RMSE over √N instead of the MSE: about 40 dB too high",
        ),
        "ag": Column(
            "ag", "AG per channel", "level", {"differences": "central", "divisor": "inner"}
        ),
        "ei": Column("ei", "EI per channel", "level"),
        "qabf": Column("qabf", "Qabf per channel", "", {"equal": "strength", "peak": 255 * 255}),
        "sd": Column("sd", "SD per channel", "level"),
        "sf": Column(
            "sf_seams",
            "SF with seams",
            "level",
            fault="channels side by side as one image, with the differences across the seams",
        ),
        "rmse": Column("rmse_over_n", "RMSE/√N", "level", fault="N outside the root"),
        "ssim": Column("ssim", "SSIM sum per channel", "", {"border": "crop", "combine": "sum"}),
        "qcb": Column("qcb", "Qcb per channel", ""),
        "qcv": Column("qcv", "Qcv per channel", ""),
    },
)

# --- Colour images ------------------------------------------------------------------------------

_add(
    "color",
    "colour images: this package's definitions per channel, and two measures of colour",
    None,
    "none: each channel with the sources' same channel, then the mean",
    {
        "colorfulness": Column("colorfulness", "Colourfulness", "level"),
        "chroma_error": Column("chroma_error", "ΔC", "CIELAB"),
        "en": Column("en", "EN per channel", "bit"),
        "sd": Column("sd", "SD per channel", "level"),
        "mi": Column("mi", "MI sum per channel", "bit"),
        "ssim": Column("ssim", "SSIM mean per channel", ""),
        "qabf": Column("qabf", "Qabf equal 1 per channel", ""),
        "cc": Column("cc", "CC per channel", ""),
        "psnr": Column("psnr", "PSNR per channel", "dB"),
    },
)

#: The family's name without a year means the current program.
CONVENTIONS["tang"] = CONVENTIONS["tang2023"]
