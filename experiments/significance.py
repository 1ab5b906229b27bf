"""How often intervals and p-values are right where the truth is known: simulated trainings on simulated patients.

python experiments/significance.py    # the table of docs/STATISTICS.md
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from anatomy_clip.metrics.crossed import moments, p_values

GAINS = (2.0, 5.0, 10.0)  # points
_SLICES = 20  # a patient
_AT_ONCE = 250  # suites drawn at once: 100 MB
# Standard deviations of a slice's chance of a hit: between patients, between slices of a patient (most are easy or hard
# for every training), of what a system makes of a patient, and of what a training does. Hit@1 differs between patients
# by 11 points, and a gain of three seeds and 30 patients has a standard error of 0.9 over patients: as in Table III.
_PATIENT, _SLICE, _SYSTEM, _TRAINING = 0.12, 0.8, 0.02, 0.02


class Found(NamedTuple):
    """Shares of simulated suites, percent.

    Attributes:
        false_positives: p < 0.05 without a true difference.
        patients_only: the same of a t test over patients, which takes the mean over seeds for certain.
        coverage: one system's 95 % interval holds its true value.
        power: p < 0.05 with a true gain of each of `GAINS`.
    """

    false_positives: float
    patients_only: float
    coverage: float
    power: tuple[float, ...]


def simulate(seeds: int, patients: int, deviation: float, suites: int = 4000) -> Found:
    """Draw suites of two systems that are equally good on average, and test them.

    Args:
        seeds: trainings of each system.
        patients: patients of 20 slices each.
        deviation: standard deviation of a training's hit@1 that all patients share, points.
        suites: how many.
    """
    rng = np.random.default_rng(0)
    parts = [_hit_at_1(rng, _AT_ONCE, seeds, patients, deviation) for _ in range(suites // _AT_ONCE)]
    values = np.concatenate(parts)  # (R, 2, S, P) percent
    gains = values[:, 0] - values[:, 1]
    by_patient = gains.mean(axis=1, keepdims=True)
    one = moments(values[:, 0])
    held = np.abs(one.value - values.mean()) <= stdtrit(one.df, 0.975) * one.error
    return Found(
        false_positives=_rejected(gains),
        patients_only=_rejected(by_patient),
        coverage=100 * float(held.mean()),
        power=tuple(_rejected(gains + gain) for gain in GAINS),
    )


def _hit_at_1(
    rng: np.random.Generator, suites: int, seeds: int, patients: int, deviation: float
) -> NDArray[np.float64]:
    """(R, 2, S, P) percent, from 0/1 hits; slices and patients are the same for both systems and all seeds."""
    chance = 0.75 + rng.normal(0, _PATIENT, (suites, 1, 1, patients, 1))
    chance = chance + rng.normal(0, _SLICE, (suites, 1, 1, patients, _SLICES))
    chance = chance + rng.normal(0, _SYSTEM, (suites, 2, 1, patients, 1))
    open_share = ((chance > 0) & (chance < 1)).mean()  # only these slices feel a deviation
    chance = chance + rng.normal(0, deviation / 100 / open_share, (suites, 2, seeds, 1, 1))
    chance = chance + rng.normal(0, _TRAINING, (suites, 2, seeds, patients, 1))
    hits = rng.random(chance.shape, dtype=np.float32) < chance  # a chance over 1 is a sure hit
    return np.asarray(100 * hits.mean(axis=-1))


def _rejected(gains: NDArray[np.float64]) -> float:
    return 100 * float((p_values(*moments(gains)) < 0.05).mean())


def main() -> None:
    """Print the table as Markdown."""
    head = ["seeds", "patients", "deviation", "false positives", "patients only", "coverage"]
    head += [f"power, {gain:.0f} points" for gain in GAINS]
    print("| " + " | ".join(head) + " |\n|" + "---:|" * len(head))
    for seeds in (3, 5):
        for patients in (30, 10, 5):
            for deviation in (0, 1, 2):
                found = simulate(seeds, patients, deviation)
                numbers = (found.false_positives, found.patients_only, found.coverage)
                cells = [f"{x:.1f}" for x in numbers] + [f"{x:.0f}" for x in found.power]
                print("| " + " | ".join([str(seeds), str(patients), str(deviation), *cells]) + " |", flush=True)


if __name__ == "__main__":
    main()
