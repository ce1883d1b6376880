"""Metrics of information theory, from histograms of 256 grey levels.

Every function takes uint8 images ``HxW`` of one size and returns a float. Keyword arguments are
the variants that the conventions of `fusion.evaluation.metrics.conventions` choose from.
"""

import numpy as np

from fusion.evaluation.metrics.catalogue import register

LEVELS = 256
LOG2_LEVELS = 8


def counts(image: np.ndarray) -> np.ndarray:
    """Pixels per grey level, 256 counts."""
    return np.bincount(image.ravel(), minlength=LEVELS)


def joint_counts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pixels per pair of grey levels, ``256x256``."""
    index = a.ravel().astype(np.intp)
    index *= LEVELS
    index += b.ravel()
    return np.bincount(index, minlength=LEVELS * LEVELS).reshape(LEVELS, LEVELS)


def entropy_of(occurrences: np.ndarray, epsilon: float = 0.0) -> float:
    """Shannon entropy in bits of counts of any shape: ``-sum p log2(p + epsilon)``."""
    p = occurrences[occurrences > 0] / occurrences.sum()
    return float(-(p * np.log2(p + epsilon)).sum())


def mutual_information_of(a: np.ndarray, b: np.ndarray, merge_top: bool = False) -> float:
    """``H(a) + H(b) - H(a, b)`` in bits; ``merge_top`` as for `mutual_information`."""
    joint = joint_counts(a, b)
    marginals = entropy_of(joint.sum(0)) + entropy_of(joint.sum(1))
    if merge_top:
        joint[:, 254] += joint[:, 255]
        joint[254] += joint[255]
        joint = joint[:255, :255]
    return marginals - entropy_of(joint)


@register("en", title="En", unit="bit")
def entropy(
    fused: np.ndarray,
    ir: np.ndarray | None = None,
    vis: np.ndarray | None = None,
    *,
    epsilon: float = 0.0,
) -> float:
    """Entropy of the fused image's histogram, ``-sum p log2(p + epsilon)``, 0..8 bits.

    Noise and a stretched histogram increase it; the sources have no influence. Higher is better.
    """
    return entropy_of(counts(fused), epsilon)


@register("2en", title="2En", unit="bit")
def doubled_entropy(
    fused: np.ndarray, ir: np.ndarray | None = None, vis: np.ndarray | None = None
) -> float:
    """Exactly twice `entropy`, which the tables of RFN-Nest and LRRNet call MI.

    It does not depend on the sources; `mutual_information` does.
    """
    return 2 * entropy(fused)


@register("mi", title="MI sum", unit="bit")
def mutual_information(
    fused: np.ndarray,
    ir: np.ndarray,
    vis: np.ndarray,
    *,
    base: float = 2,
    merge_top: bool = False,
) -> float:
    """Mutual information of fused and infrared plus that of fused and visible.

    Copying a source maximises it: the plain maximum of the sources scores far above every network.
    Higher is better.

    Args:
        fused, ir, vis: uint8 ``HxW``.
        base: base of the logarithm: 2 for bits, ``math.e`` for nats.
        merge_top: count levels 254 and 255 as one level in the joint histogram but not in the
            marginals, as 8-bit index arithmetic does in one family of programs.
    """
    bits = sum(mutual_information_of(fused, source, merge_top) for source in (ir, vis))
    return bits / float(np.log2(base))


_TINY = 1e-10


@register("nmi", title="NMI", unit="")
def normalised_mutual_information(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """``2 (MI(F, A) + MI(F, B)) / (H(A) + H(B))``, with ``p + 1e-10`` in the logarithms.

    Rewards copying, as `mutual_information` does. Higher is better. NaN where both sources are
    flat.
    """
    h_fused = entropy_of(counts(fused), _TINY)
    h_sources = information = 0.0
    for source in (ir, vis):
        h_source = entropy_of(counts(source), _TINY)
        h_sources += h_source
        information += h_fused + h_source - entropy_of(joint_counts(fused, source), _TINY)
    return 2 * information / h_sources if h_sources > _TINY else float("nan")


@register("te", title="TE", unit="bit")
def total_entropy(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """``H(A) + H(B) - H(F)``, with ``p + 1e-10`` in the logarithms.

    Higher values are marked as better, as the name suggests. However, the value decreases with the
    entropy of the fused image, so it contradicts `entropy` and is of little use for ranking.
    """
    a, b, f = (entropy_of(counts(image), _TINY) for image in (ir, vis, fused))
    return a + b - f


@register("ce", title="CE", unit="bit", higher_is_better=False)
def cross_entropy(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """Mean over the sources of ``sum p_S log2(p_S / p_F)`` over the levels that both have.

    Levels that the fused image lacks are dropped instead of counting as infinite, so an image
    with few levels can score well, even below 0. Lower is better.
    """
    q = counts(fused) / fused.size
    total = 0.0
    for source in (ir, vis):
        p = counts(source) / source.size
        both = (p > 0) & (q > 0)
        total += float((p[both] * np.log2(p[both] / q[both])).sum())
    return total / 2


@register("ce_logistic", title="CE logistic", unit="nat", higher_is_better=False)
def logistic_cross_entropy(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """Binary cross entropy of logistic functions of raw grey levels, in float32.

    ``BCE(s(F), (s(A) + s(B)) / 2)`` with ``s(x) = 1 / (1 + exp(-x))`` of the levels 0..255, clamped
    to 1e-7..1 - 1e-7. Every level above 16 saturates, so the value is near 0 except in the dark. It
    reproduces IVIF_ZOO's column and is not a measure of fusion. Lower is better.
    """
    levels = np.arange(LEVELS, dtype=np.float32)
    low, high = np.float32(1e-7), np.float32(1) - np.float32(1e-7)
    logistic = np.clip(np.float32(1) / (np.float32(1) + np.exp(-levels)), low, high)
    target = (logistic[ir] + logistic[vis]) / 2
    log_f, log_not_f = np.log(logistic)[fused], np.log(np.float32(1) - logistic)[fused]
    return float(-(target * log_f + (1 - target) * log_not_f).mean(dtype=np.float64))


@register("qncie", title="QNCIE", unit="")
def nonlinear_correlation_information(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """``1 + sum_i (l_i / 3) log_256(l_i / 3)`` of the eigenvalues of the correlation matrix.

    The 3x3 matrix holds the linear correlations of infrared, visible and fused, so despite its name
    this variant measures only linear dependence. Copying increases it. Higher is better. NaN if an
    image is flat.
    """
    stacked = np.stack([image.ravel() for image in (ir, vis, fused)]).astype(np.float64)
    if (np.ptp(stacked, axis=1) == 0).any():
        return float("nan")
    eigenvalues = np.maximum(np.linalg.eigvalsh(np.corrcoef(stacked)), 0) / 3
    positive = eigenvalues[eigenvalues > 0]
    return float(1 + (positive * np.log2(positive)).sum() / LOG2_LEVELS)
