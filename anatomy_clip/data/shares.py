"""Weights of slices by their source or by their rarest label, so that neither is drowned by what is common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from anatomy_clip.core.names import did_you_mean
from anatomy_clip.core.rng import sample_rng

_DRAW = 1 << 62  # index of the generator that draws an epoch's rows; no sample's, and not that of `epoch_order`


def source_weights(sources: Sequence[str], shares: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """Weigh slices so that each source gets its share of the draws; slices of one source are equally likely.

    Args:
        sources: the source of each of N slices.
        shares: source -> share, of any sum.

    Returns:
        (N,) that sum to 1.

    Raises:
        ValueError: a source has no share, or a share names no source or isn't above 0.
    """
    counts = Counter(sources)
    for source, share in shares.items():
        if source not in counts:
            hint = did_you_mean(source, counts) or f"; the stores hold {', '.join(sorted(counts))}"
            raise ValueError(f"data.shares.{source}: no slice is of this source{hint}")
        if not share > 0:
            raise ValueError(f"data.shares.{source}={share}: give a share above 0, or leave its stores out")
    missing = sorted(set(counts) - set(shares))
    if missing:
        raise ValueError(f"data.shares: give a share for {', '.join(missing)} too, or leave their stores out")
    weights = np.array([shares[source] / counts[source] for source in sources], dtype=np.float64)
    weights /= weights.sum()
    return weights


def weighted_order(
    weights: npt.NDArray[np.float64], images_per_image: int, seed: int, epoch: int
) -> npt.NDArray[np.int64]:
    """Draw the samples of one epoch by weight, in random order.

    Systematic sampling (Madow 1949): of D draws a row of weight w gets floor(w * D) or ceil(w * D), and the rows of
    a source together get their share to within one draw. A function of (seed, epoch).

    Args:
        weights: (N,) that sum to 1.
        images_per_image: draws, in multiples of N.
        seed: seed of the run.
        epoch: number of the epoch.

    Returns:
        (N * images_per_image,) samples, none twice; sample `n` shows row `n % N`, variant `n // N`.
    """
    rng = sample_rng(seed, epoch, _DRAW)
    draws = len(weights) * images_per_image
    points = (np.arange(draws) + rng.random()) / draws
    rows = np.searchsorted(np.cumsum(weights), points, side="right").clip(max=len(weights) - 1)  # ascending
    variant = np.arange(draws) - np.searchsorted(rows, rows)  # how often the row has come up before
    return rng.permutation(rows + variant * len(weights)).astype(np.int64)


def repeat_weights(labels: npt.NDArray[np.int8], threshold: float) -> npt.NDArray[np.float64]:
    """Weigh slices so that those with rare labels come up more often (repeat factor sampling).

    A label that a share f of the slices shows has the factor max(1, sqrt(threshold / f)); a slice has its rarest
    label's. A slice of unknown labels doesn't count in f and has the factor 1. Source: Gupta et al. 2019, "LVIS",
    section 3.3 (appendix B.2).

    Args:
        labels: (N, K) of each slice: 1 shown, 0 not shown, -1 unknown.
        threshold: share below which a label counts as rare, 0 to 1.

    Returns:
        (N,) that sum to 1.

    Raises:
        ValueError: `threshold` isn't above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"data.rare_below={threshold}: give a share above 0 and at most 1, or null")
    shown = labels == 1
    share = shown.sum(axis=0) / np.maximum((labels >= 0).sum(axis=0), 1)
    factor = np.sqrt(np.maximum(1.0, threshold / np.where(share > 0, share, 1.0)))  # (K,)
    weights: npt.NDArray[np.float64] = np.where(shown, factor, 1.0).max(axis=1)
    weights /= weights.sum()
    return weights
