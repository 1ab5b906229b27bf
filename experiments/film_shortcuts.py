"""Can findings be guessed from how a film was taken? A probe that sees no pixels, as a table; it should be at chance.

python experiments/film_shortcuts.py data/films/train data/films/test

The probe learns on one store and is tested on another: boosted trees on what `acquisition` says of a film (exposure,
scatter, display, tilt, field, shutters, marker, breath). A second one is also told whether the film shows a device,
which a patient with some findings has more often: the table of findings says which (sources/phantom/xray/findings).
Films of one view are compared, since films from the front and from the side don't show the same findings.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.special import stdtrit
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from anatomy_clip.cli.plain_errors import plain_errors
from anatomy_clip.core.radiographs import RADIOGRAPHS, RadiographRecord
from anatomy_clip.core.terms import State
from anatomy_clip.metrics.classification import resampled_auroc
from anatomy_clip.metrics.comparisons import holm
from anatomy_clip.metrics.crossed import p_values, pseudo_values
from anatomy_clip.stores.store import Store

DEVICES = "support_devices"
ENOUGH = 10  # patients with a finding, and without it, in both stores
LIMIT = 0.55  # AUROC below which a shortcut is of no account
Floats = NDArray[np.float64]


class Row(NamedTuple):
    """What a probe makes of one finding.

    Attributes:
        finding: its name.
        view: of the films.
        films: that show it, of those tested.
        auroc: of the probe.
        error: standard error of the AUROC over patients.
        df: degrees of freedom.
    """

    finding: str
    view: str
    films: int
    auroc: float
    error: float
    df: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both probes' tables; returns 1 where the first, which sees nuisances alone, isn't at chance."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("train", type=Path, help="store of radiographs on which the probe is trained")
    parser.add_argument("test", type=Path, help="store of radiographs on which the probe is tested")
    stores = parser.parse_args(arguments)
    train, test = (list(Store.open(path, kind=RADIOGRAPHS).manifest) for path in (stores.train, stores.test))
    console, bad = Console(width=96), 0
    for told, title in ((False, "from how the film was taken"), (True, "and from whether it shows a device")):
        rows = probe(train, test, told)
        console.print(table(rows, f"Findings guessed {title}"))
        bad += 0 if told else len(shortcuts(rows))
    return int(bad > 0)


def probe(train: Sequence[RadiographRecord], test: Sequence[RadiographRecord], with_device: bool = False) -> list[Row]:
    """Guess each finding of each view from what is known of how a film was taken."""
    rows = []
    pairs = sorted({(name, view_of(film)) for film in test for name, one in film.findings.items() if one.shown})
    for finding, view in pairs:
        if with_device and finding == DEVICES:
            continue
        (x, y, _), (x_test, y_test, patients) = (known(films, finding, view, with_device) for films in (train, test))
        if min(map(len, (patients[y_test], patients[~y_test], x[y], x[~y]))) < ENOUGH:
            continue
        model = HistGradientBoostingClassifier(max_iter=60, max_depth=3, learning_rate=0.05, random_state=0)
        with threadpool_limits(1):  # so small a fit's threads only wait for each other
            scores = model.fit(x, y).predict_proba(x_test)[:, 1:]
        by_patient = pseudo_values(lambda counts: resampled_auroc(scores, y_test[:, None], counts)[:, 0], patients)  # noqa: B023
        error = float(by_patient.std(ddof=1) / np.sqrt(len(by_patient)))
        rows.append(Row(finding, view, int(y_test.sum()), float(by_patient.mean()), error, len(by_patient) - 1))
    return rows


def known(
    films: Sequence[RadiographRecord], finding: str, view: str, with_device: bool
) -> tuple[Floats, NDArray[np.bool_], NDArray[np.str_]]:
    """Numbers (N, F), whether each film shows the finding (N,), and patients (N,), of films that can tell."""
    kept = [film for film in films if view_of(film) == view and _tells(film, finding)]
    numbers = [
        [*film.acquisition.values(), *([float(film.findings[DEVICES].shown)] if with_device else [])] for film in kept
    ]
    shown = np.array([film.findings[finding].shown for film in kept], dtype=bool)
    return np.array(numbers, dtype=np.float64).reshape(len(kept), -1), shown, np.array([film.patient for film in kept])


def view_of(film: RadiographRecord) -> str:
    """Part and projection, as "chest PA"; all limbs are one part, or none would have films enough."""
    return f"chest {film.projection}" if film.part == "chest" else "limb"


def shortcuts(rows: Sequence[Row]) -> list[Row]:
    """Those that a probe guesses better than by chance: AUROC of `LIMIT` or more, and p below 0.05 after Holm."""
    return [row for row, p in zip(rows, adjusted(rows), strict=True) if row.auroc >= LIMIT and p < 0.05]


def adjusted(rows: Sequence[Row]) -> Floats:
    """p-values of an AUROC of 0.5, after Holm; 0 where patients don't differ, as for a perfect guess."""
    return holm([float(p_values(row.auroc - 0.5, row.error, row.df)) if row.error > 0 else 0.0 for row in rows])


def table(rows: Sequence[Row], title: str) -> Table:
    """The probe's table; intervals are as wide as Bonferroni's correction for all rows makes them."""
    out = Table("finding", "view", "films", "AUROC", "interval", "p (Holm)", "", title=title, box=None)
    found = shortcuts(rows)
    for row, p in zip(rows, adjusted(rows), strict=True):
        wide = float(stdtrit(row.df, 1 - 0.025 / len(rows))) * row.error
        said = "shortcut" if row in found else ""
        interval = f"{row.auroc - wide:.2f} to {row.auroc + wide:.2f}"
        out.add_row(row.finding, row.view, str(row.films), f"{row.auroc:.2f}", interval, f"{p:.2f}", said)
    return out


def _tells(film: RadiographRecord, finding: str) -> bool:
    one = film.findings.get(finding)
    return one is not None and (one.shown or one.state is State.NEGATIVE)


if __name__ == "__main__":
    with plain_errors():
        raise SystemExit(main())
