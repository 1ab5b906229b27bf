"""What a reviewer wants to see of one run, as plain numbers and rows; a pure function of its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.trees import leaves
from anatomy_clip.metrics.classification import auroc, average_precision, hits
from anatomy_clip.results.contrast import wins
from anatomy_clip.results.examples import choose_half_wrong, verdict
from anatomy_clip.results.layout import Layout
from anatomy_clip.results.read import TASKS, Run
from anatomy_clip.results.slices import Slices, percent_of, select
from anatomy_clip.runs.settings import PLACES, deciding

LABEL_COLUMNS = ("cell", "label", "n", "slices", "hit@1", "auroc", "average precision")
GALLERY_COLUMNS = (
    *("slice", "patient", "set", "modality", "protocol", "orientation"),
    *("station", "station share", "true stations", "station right"),
    *("organ", "organ share", "true organs", "organ right"),
)


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide a run's numbers as dotted keys, without the places of its files."""
    flat = leaves(deciding(config, "seed", *PLACES))  # where stores and weights lie is nobody's business
    return {key: value for key, value in flat.items() if not _has_path(value)}


def cells(run: Run) -> dict[str, Slices]:
    """Every cell of a run, such as `organ/set1_ct`: organs by modality, stations of all modalities together."""
    found = {}
    for name, frame in run.tables["zero_shot"].groupby("set", sort=False):
        present = [m for m in ("MR", "CT") if (frame["modality"] == m).any()]
        for task in TASKS:
            for modalities in [[m] for m in present] if task == "organ" else [present]:
                slices = select(run, task, str(name), modalities)
                if slices is not None and slices.targets.any():
                    found[f"{task}/{name}_{'_'.join(m.lower() for m in modalities)}"] = slices
    return found


def summary(run: Run, base: Run | None = None) -> dict[str, float]:
    """Hit@1 of every cell with interval and n, its gain over a base run on the same slices, and its AUROC by label.

    Intervals are over patients alone: one run doesn't tell what another training would change.

    Args:
        run: the run.
        base: the run of the first column; None where there is none.

    Returns:
        Shares, 0 to 1: `test/<cell>` with `/lo`, `/hi` and `/n`, `delta/<cell>` likewise, and
        `test/<cell>/auroc/<label>` with `test/<cell>/auroc_n/<label>`; what is undefined is left out.
    """
    values: dict[str, float] = {}
    of_base = cells(base) if base is not None else {}
    for cell, slices in cells(run).items():
        hit, counted = _hits(slices)
        values |= _measured(f"test/{cell}", hit[counted], slices.patients[counted])
        other = of_base.get(cell)
        if other is not None and other.keys == slices.keys:
            gain = hit - _hits(other)[0]
            values |= _measured(f"delta/{cell}", gain[counted], slices.patients[counted], -100.0)
        areas = auroc(slices.scores, slices.targets, ~slices.unsure)
        for label, area, n in zip(slices.labels, areas.value, areas.positives, strict=True):
            values |= {f"test/{cell}/auroc/{label}": float(area), f"test/{cell}/auroc_n/{label}": int(n)}
    return {key: value for key, value in values.items() if not np.isnan(value)}


def contrast_summary(run: Run, layout: Layout) -> dict[str, float]:
    """How often right captions win, and by how much: `contrast/<slot>/<set>` with `/lo`, `/hi`, `/n`, `/margin`."""
    values: dict[str, float] = {}
    for (name, slot), columns in wins([run], layout).items():
        for won in columns.values():
            shares = {"": won.value, "/lo": won.lo, "/hi": won.hi}
            values |= {f"contrast/{slot}/{name}{end}": share / 100 for end, share in shares.items()}
            values |= {f"contrast/{slot}/{name}/n": won.n, f"contrast/{slot}/{name}/margin": won.margin}
    return {key: value for key, value in values.items() if not np.isnan(value)}


def label_rows(run: Run) -> list[tuple[Any, ...]]:
    """Every label that a cell's slices show, as rows of `LABEL_COLUMNS`; None where a number is undefined."""
    rows = []
    for cell, slices in cells(run).items():
        hit, _ = _hits(slices)
        pairs = (slices.scores, slices.targets, ~slices.unsure)
        areas, precision = auroc(*pairs), average_precision(*pairs)
        for k, label in enumerate(slices.labels):
            shown = slices.targets[:, k]
            if shown.any():
                numbers = [float(x) for x in (hit[shown].mean(), areas.value[k], precision[k])]
                known = (None if np.isnan(x) else x for x in numbers)
                rows.append((cell, label, int(shown.sum()), len(slices.of_label(k)[1]), *known))
    return rows


def gallery_rows(
    run: Run, images: Mapping[str, NDArray[np.uint8]], count: int, pseudonym: Callable[..., str]
) -> list[tuple[NDArray[np.uint8], tuple[Any, ...]]]:
    """Choose slices of every test set that has images, half of them among wrong ones, by the gallery's rule.

    Args:
        run: the run.
        images: test set -> (N, S, S) uint8, by the predictions' rows.
        count: most slices of a test set.
        pseudonym: makes an id of a kind and its parts, which can't be traced back.

    Returns:
        Pairs of an image (S, S) and its row of `GALLERY_COLUMNS`.
    """
    chosen = choose_half_wrong(run, images, count)
    return [(np.asarray(images[row["set"]][row["row"]]), _gallery_row(run, row, pseudonym)) for row in chosen]


def _gallery_row(run: Run, row: Mapping[str, Any], pseudonym: Callable[..., str]) -> tuple[Any, ...]:
    patient = pseudonym("patient", row["source"], row["patient"])
    place = pseudonym("slice", row["source"], row["patient"], row["series"], str(row["index"]))
    judged: list[Any] = []
    for task in ("station", "organ"):
        named = verdict(run, row, task, 1)
        judged += [named.names[0], round(named.share[0], 4), named.shown, named.is_right]
    return (place, patient, *(str(row[k]) for k in ("set", "modality", "protocol", "orientation")), *judged)


def _hits(slices: Slices) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    hit, counted = hits(slices.ranked, slices.targets)
    return hit.astype(np.float64), counted


def _measured(
    key: str, values: NDArray[np.float64], patients: NDArray[np.str_], lowest: float = 0.0
) -> dict[str, float]:
    mean = percent_of(values, patients, lowest)
    return {key: mean.value / 100, f"{key}/lo": mean.lo / 100, f"{key}/hi": mean.hi / 100, f"{key}/n": len(values)}


def _has_path(value: Any) -> bool:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(_has_path(v) for v in value)
    return isinstance(value, str) and ("/" in value or "\\" in value)
