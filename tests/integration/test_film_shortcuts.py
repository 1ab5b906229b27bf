from __future__ import annotations

import numpy as np

from anatomy_clip.core.radiographs import Finding, RadiographRecord
from anatomy_clip.core.terms import Projection, State
from experiments.film_shortcuts import probe, shortcuts


def films(seed, leak, patients=150):
    """Films whose exposure says nothing of the nodule, or else something; a device goes with every edema."""
    rng = np.random.default_rng(seed)
    for n in range(patients):
        for k in range(2):
            nodule, edema = rng.random(2) < 0.3
            states = {"nodule": nodule, "edema": edema, "support_devices": edema}
            findings = {name: Finding(State.POSITIVE if there else State.NEGATIVE) for name, there in states.items()}
            yield RadiographRecord(
                "films", "train", f"{seed}-{n}", "s", f"{n}-{k}", part="chest", projection=Projection.PA,
                findings=findings, acquisition={"quanta": rng.normal(leak * nodule), "tilt": rng.normal()},
            )  # fmt: skip


def test_a_leak_is_found_and_none_is_found_where_there_is_none():
    found = {leak: probe(list(films(1, leak)), list(films(2, leak))) for leak in (0, 1)}
    assert shortcuts(found[0]) == []
    assert [row.finding for row in shortcuts(found[1])] == ["nodule"]
    (nodule,) = (row for row in found[1] if row.finding == "nodule")
    assert abs(nodule.auroc - 0.76) < 0.08  # of two normal distributions that lie one deviation apart


def test_what_goes_with_devices_is_told_apart():
    rows = probe(list(films(1, 0)), list(films(2, 0)), with_device=True)
    assert [row.finding for row in shortcuts(rows)] == ["edema"]
    assert all(row.finding != "support_devices" for row in rows)
