"""Writes run folders in the true on-disk format, with a hit rate of one's choice."""

import json

import numpy as np
import pandas as pd

from anatomy_clip.inference.decisions import Decisions, LabelRule

ORGANS = ["brain", "lungs", "heart", "liver", "knee"]
STATIONS = ["head", "chest", "abdomen", "lower body"]
AT = {"brain": "head", "lungs": "chest", "heart": "chest", "liver": "abdomen", "knee": "lower body"}
SETS = {"set1": ("CT", "MR"), "shifted": ("CT", "MR"), "samples_ct": ("CT",), "samples_mr": ("MR",)}
PATIENTS = {"set1": 8, "shifted": 6, "samples_ct": 3, "samples_mr": 1}


NO_SCORE = {"cell": "test/x", "value": None, "n": 0, "lo": None, "hi": None}


def rows_of(test_set, rng):
    """Slices of a test set; the same for every run."""
    rows = []
    for patient in range(PATIENTS[test_set]):
        for modality in SETS[test_set]:
            for index in range(12):
                organs = sorted(rng.choice(ORGANS, size=rng.integers(0, 3), replace=False).tolist())
                rows.append({
                    "set": test_set, "row": len(rows), "source": "fake", "patient": f"{test_set}-{patient}",
                    "series": f"{patient}-{modality}", "index": index, "modality": modality,
                    "protocol": "T2" if modality == "MR" else "",
                    "orientation": ("axial", "coronal", "sagittal")[index % 3], "organ_targets": organs,
                    "station_targets": sorted({AT[o] for o in organs}),
                })  # fmt: skip
    return rows


def scores_for(targets, labels, rate, rng):
    """Cosines whose best label is right with a probability of `rate`."""
    scores = rng.uniform(-0.2, 0.2, size=len(labels))
    wanted = targets if rng.random() < rate else [x for x in labels if x not in targets]
    if wanted:
        scores[labels.index(wanted[int(rng.integers(len(wanted)))])] = 0.25
    return scores.tolist()


def decisions(abstain_below=0.3):
    """Rules by hand: an organ from a cosine of 0.15 upwards, a station from 0.2."""
    organ = LabelRule(tuple(ORGANS), np.full(5, 20.0), np.full(5, -3.0), np.full(5, 0.5))
    station = LabelRule(tuple(STATIONS), np.full(4, 20.0), np.full(4, -4.0), np.full(4, 0.5))
    return Decisions(organ, station, np.array([[AT[o] == s for s in STATIONS] for o in ORGANS]), abstain_below)


def evaluated(folder, name):
    """Note in a run's results that an evaluator left its rows."""
    results = json.loads((folder / "results.json").read_text())
    results["scores"][name] = [NO_SCORE]
    (folder / "results.json").write_text(json.dumps(results))


def write_lists(folder, right=0.8):
    """Add decisions and captions to a run: the given share of every slot is right."""
    (folder / "decisions.json").write_text(json.dumps(decisions().to_dict()))
    evaluated(folder, "captions")
    rows = [
        {"set": row["set"], "row": row["row"], "source": row["source"], "patient": row["patient"], "way": way,
         "caption": "words", "truth": "words", "score": 0.5, "reachable": row["row"] % 2 == 0,
         **{f"{slot}_right": float("nan") if slot == "station" and not row["station_targets"] else right
            for slot in ("modality", "orientation", "station", "organ_f1", "organ_exact", "all")}}
        for s in SETS for row in rows_of(s, np.random.default_rng(len(s))) for way in ("seen", "grown")
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(folder / "captions.parquet", index=False)


def write_run(outputs, name, seed, rate, sets=tuple(SETS), suite="table3"):
    """Write one finished run and return its folder."""
    slices = [row for s in sets for row in rows_of(s, np.random.default_rng(len(s)))]
    rng = np.random.default_rng(seed + int(1000 * rate))
    for row in slices:
        row["organ_scores"] = scores_for(row["organ_targets"], ORGANS, rate, rng)
        row["station_scores"] = scores_for(row["station_targets"], STATIONS, rate, rng)
    folder = outputs / suite / name / f"seed_{seed}"
    folder.mkdir(parents=True)
    # Evaluation promises no order: shuffle it.
    pd.DataFrame(slices).sample(frac=1.0, random_state=seed).to_parquet(folder / "zero_shot.parquet", index=False)
    results = {"suite": suite, "name": name, "seed": seed, "labels": {"organ": ORGANS, "station": STATIONS},
               "scores": {"zero_shot": [NO_SCORE]}, "versions": {}, "notes": {"zero_shot": []}}  # fmt: skip
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def write_suite(outputs, sets=tuple(SETS), seeds=(0, 1)):
    """Write the four columns, each better than the one before."""
    for name, rate in {"pmc": 0.3, "pmc_m": 0.6, "pmc_ms": 0.7, "pmc_msa": 0.95}.items():
        for seed in seeds:
            write_run(outputs, name, seed, rate, sets)
