"""Weights of slices by source, patient or rarest label, so that frequent ones do not dominate a training."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.names import did_you_mean
from anatomy_clip.core.rng import sample_rng

_DRAW = 1 << 62  # index of the generator that draws an epoch's rows; no sample's, and not that of `epoch_order`


@dataclass(frozen=True)
class Weighing:
    """How training slices are weighed; each is drawn equally often where nothing is said.

    Attributes:
        shares: source -> its share of the draws, see `source_weights`; goes with nothing else.
        rare_below: see `repeat_weights`.
        balance: source -> its share of the draws, see `balanced_weights`; {}: no source has a given share.

    Raises:
        ValueError: `shares` and another are given.
    """

    shares: Mapping[str, float] | None = None
    rare_below: float | None = None
    balance: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        for name in ("rare_below", "balance"):
            if self.shares and getattr(self, name) is not None:
                raise ValueError(
                    f"data.shares and data.{name} both set the weights of the training slices; give only one of them"
                )

    def weights(self, records: Manifest[Any], labels: npt.NDArray[np.int8]) -> npt.NDArray[np.float64] | None:
        """Weights of the training slices, (N,) that sum to 1; None: all are equal.

        Args:
            records: of the N slices.
            labels: (N, K) labels of which none is to be too rare: 1 shown, 0 not shown, -1 unknown.

        Raises:
            ValueError: see the functions that make them.
        """
        if self.shares:
            return source_weights(records.column("source"), self.shares)
        rare = None if self.rare_below is None else repeat_weights(labels, self.rare_below)
        return rare if self.balance is None else balanced_weights(records.owners(), self.balance, rare)


def balanced_weights(
    owners: Sequence[tuple[str, str]], shares: Mapping[str, float], factors: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.float64]:
    """Weigh slices by patient and source, so that a volume of 200 slices hasn't two hundred votes.

    A patient has as many votes as the square root of the number of their slices, a source as the square root of the sum
    of its patients' votes. Slices of one patient are equally likely.

    Args:
        owners: (source, patient) of each of N slices.
        shares: source -> its share of all draws; the other sources divide the rest by their votes.
        factors: (N,) that the weights are multiplied by; each source in `shares` keeps its share, and so does the rest.

    Returns:
        (N,) that sum to 1.

    Raises:
        ValueError: a share names no source or isn't above 0, or the shares leave nothing to the other sources, or
            something where there is no other.
    """
    slices = Counter(owners)
    votes: dict[str, float] = defaultdict(float)
    for (source, _), count in slices.items():
        votes[source] += sqrt(count)
    _check_shares("balance", shares, votes)
    rest, others = 1 - sum(shares.values()), sum(sqrt(votes[one]) for one in votes if one not in shares)
    if (rest <= 0) if others else (abs(rest) > 1e-9):
        wanted = "less than 1, because there are other sources" if others else "1, because there is no other source"
        raise ValueError(f"data.balance: the shares sum to {1 - rest:g}; give shares that sum to {wanted}")
    of_source = {one: shares[one] if one in shares else rest * sqrt(votes[one]) / others for one in votes}
    each = {who: of_source[who[0]] / (votes[who[0]] * sqrt(count)) for who, count in slices.items()}
    weights = np.array([each[who] for who in owners], np.float64)  # (N,)
    if factors is not None:
        weights *= factors
        groups = np.array([source if source in shares else "" for source, _ in owners])  # (N,)
        for group in np.unique(groups):
            own = groups == group
            weights[own] *= shares.get(group, rest) / weights[own].sum()
    weights /= weights.sum()
    return weights


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
    _check_shares("shares", shares, counts)
    missing = sorted(set(counts) - set(shares))
    if missing:
        raise ValueError(f"data.shares: give a share for {', '.join(missing)} too, or leave their stores out")
    weights = np.array([shares[source] / counts[source] for source in sources], dtype=np.float64)
    weights /= weights.sum()
    return weights


def _check_shares(key: str, shares: Mapping[str, float], sources: Collection[str]) -> None:
    for source, share in shares.items():
        if source not in sources:
            hint = did_you_mean(source, sources) or f"; the stores contain {', '.join(sorted(sources))}"
            raise ValueError(f"data.{key}.{source}: no slice comes from this source{hint}")
        if not share > 0:
            raise ValueError(f"data.{key}.{source}={share}: give a share above 0, or leave its stores out")


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
