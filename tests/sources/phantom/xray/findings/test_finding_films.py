"""Films with findings: repeatable, true in all views of a study, and seen the better the larger they are."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest

from anatomy_clip.core.terms import Side, State, Visibility
from anatomy_clip.sources.phantom.xray.film import Film, make_film, take_stack
from anatomy_clip.sources.phantom.xray.findings.plan import Plan, finding_table, part_findings, plan_findings
from anatomy_clip.sources.phantom.xray.nuisances import draw_nuisances
from anatomy_clip.sources.phantom.xray.sheet import finding_sheet
from anatomy_clip.sources.phantom.xray.views import pose_body, view_of

SIZE = 64


@cache
def scene(name: str, side: str = "", heart: float = 0.95):
    view = view_of(name)
    body = pose_body(5, view, -30.0, (0.2, 0.4), heart=heart)
    drawn = draw_nuisances(view, side, np.random.default_rng(2))
    return body, view, drawn, take_stack(body, view, drawn, np.random.default_rng(1), side=side, size=SIZE)


def film(name: str, plans: dict[str, Plan], side: str = "", heart: float = 0.95) -> Film:
    body, view, drawn, stack = scene(name, side, heart)
    rng = np.random.default_rng(4)
    return make_film(body, view, rng, side=side, size=SIZE, nuisances=drawn, plans=plans, stack=stack)


def one(name: str, size: float, side: Side | None = Side.LEFT, zone: str = "middle") -> dict[str, Plan]:
    return {name: Plan(name, "moderate", size, 11, side, zone)}


def middle(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask).mean(axis=0)


def test_the_same_seed_gives_the_same_bytes() -> None:
    plans = {name: plan_findings("chest", np.random.default_rng(8), only=name)[name] for name in part_findings("chest")}
    first, second = film("chest_pa", plans), film("chest_pa", plans)
    assert first.image.tobytes() == second.image.tobytes()
    assert (first.findings, first.boxes) == (second.findings, second.boxes)
    assert {name: mask.tobytes() for name, mask in first.masks.items()} == {
        name: mask.tobytes() for name, mask in second.masks.items()
    }
    assert first.image.tobytes() != film("chest_pa", {}).image.tobytes()


def test_a_film_without_plans_has_all_findings_negative() -> None:
    frontal, lateral = film("chest_pa", {}), film("chest_lateral", {})
    assert {f.state for name, f in frontal.findings.items() if name != "no_finding"} == {State.NEGATIVE}
    assert frontal.findings["no_finding"].state is State.POSITIVE
    assert set(frontal.findings) - set(lateral.findings) == {"cardiomegaly"}
    assert frontal.boxes == ()


def test_an_effusion_has_one_volume_in_all_films_of_a_study() -> None:
    plans = one("pleural_effusion", 600, Side.RIGHT, "lower")
    films = [film(name, plans) for name in ("chest_pa", "chest_lateral", "chest_ap")]
    assert [f.findings["pleural_effusion"].measure for f in films] == pytest.approx([600] * 3, rel=0.01)
    for f in films:
        (box,) = (box for box in f.boxes if box.finding == "pleural_effusion")
        rows, columns = np.nonzero(f.masks["pleural_effusion"])
        assert (box.left, box.top, box.height) == (columns.min(), rows.min(), np.ptp(rows) + 1)
    assert middle(films[0].masks["pleural_effusion"])[1] < SIZE / 2  # the patient's right is on the left
    bright = films[0].masks["pleural_effusion"] & films[0].masks["lung_right"]
    assert films[0].image[bright].mean() > film("chest_pa", {}).image[bright].mean() + 10


@pytest.mark.parametrize("name, sizes, side, zone", [
    ("nodule", (4.0, 40.0), Side.LEFT, "middle"),
    ("pleural_effusion", (20.0, 900.0), Side.LEFT, "lower"),
    ("pneumothorax", (2.0, 45.0), Side.LEFT, "upper"),
    ("consolidation", (12.0, 90.0), Side.RIGHT, "middle"),
    ("edema", (0.2, 1.0), Side.BOTH, ""),
])  # fmt: skip
def test_visibility_falls_with_size(name, sizes, side, zone) -> None:
    small, large = (film("chest_pa", one(name, size, side, zone)) for size in sizes)
    assert small.findings[name].visibility is Visibility.INVISIBLE
    assert large.findings[name].visibility is not Visibility.INVISIBLE
    assert small.findings[name].state is State.POSITIVE
    assert [box for box in small.boxes if box.finding == name] == []
    assert [box for box in large.boxes if box.finding == name] != []


def test_the_heart_is_judged_by_its_ratio_and_not_by_its_plan() -> None:
    large, usual = film("chest_pa", {}, heart=1.4), film("chest_pa", one("cardiomegaly", 1.4))
    assert large.findings["cardiomegaly"].state is State.POSITIVE
    assert large.findings["cardiomegaly"].measure > 0.5
    assert usual.findings["cardiomegaly"].state is State.NEGATIVE
    (box,) = large.boxes
    columns = np.nonzero(large.masks["heart"].any(axis=0))[0]
    assert (box.finding, box.left, box.width) == ("cardiomegaly", columns.min(), np.ptp(columns) + 1)


def test_devices_are_counted_and_boxed() -> None:
    f = film("chest_pa", one("support_devices", 3, None, ""))
    assert f.findings["support_devices"].measure == 3
    assert len(f.findings["support_devices"].zone.split(", ")) == 3
    assert len([box for box in f.boxes if box.finding == "support_devices"]) == 3
    assert f.findings["no_finding"].state is State.POSITIVE


def test_a_limb_breaks_at_a_bone_of_its_part_and_not_below_a_pixel() -> None:
    f = film("knee_ap", one("limb_fracture", 10.0, None, ""), side="left")
    found = f.findings["limb_fracture"]
    assert (found.state, found.side) == (State.POSITIVE, Side.LEFT)
    assert found.zone in {row[0] for row in finding_table()["sites"]["knee"]}
    assert (f.masks["limb_fracture"] & f.masks["bones"]).sum() > 0.5 * f.masks["limb_fracture"].sum()
    tiny = film("knee_ap", one("limb_fracture", f.spacing_mm / f.magnification - 0.1, None, ""), side="left")
    assert tiny.findings["limb_fracture"].state is State.NEGATIVE
    assert "limb_fracture" not in tiny.masks


def test_the_sheet_has_two_rows_a_finding(tmp_path) -> None:
    pairs = {"nodule": [(film("chest_pa", {}), film("chest_pa", one("nodule", 30)))]}
    finding_sheet(pairs, tmp_path / "sheet.png", tile=80)
    sheet = cv2.imread(str(tmp_path / "sheet.png"), cv2.IMREAD_GRAYSCALE)
    assert sheet.shape == (160, 190)
    assert np.abs(sheet[:80, 110:].astype(int) - sheet[80:, 110:]).max() > 50
    with pytest.raises(ValueError, match="no films"):
        finding_sheet({}, tmp_path / "none.png")
