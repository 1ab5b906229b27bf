"""Plans: how often, what together, and that each draw stands by itself."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from anatomy_clip.core.terms import Side
from anatomy_clip.sources.phantom.xray.findings.plan import finding_table, heart_factor, part_findings, plan_findings
from anatomy_clip.sources.phantom.xray.views import views
from anatomy_clip.text.reports.vocabulary import findings as described

STUDIES = 3000


@pytest.fixture(scope="module")
def chests() -> list[dict]:
    return [plan_findings("chest", np.random.default_rng(seed)) for seed in range(STUDIES)]


def test_normal_chests_are_as_common_as_the_table_says(chests) -> None:
    normal = sum(not plans for plans in chests) / STUDIES
    assert normal == pytest.approx(finding_table()["normal"], abs=4 * np.sqrt(0.38 * 0.62 / STUDIES))


def test_every_chest_finding_is_in_more_than_nine_percent_of_studies(chests) -> None:
    counts = Counter(name for plans in chests for name in plans)
    assert set(counts) == set(part_findings("chest"))
    assert min(counts.values()) / STUDIES > 0.09


@pytest.mark.parametrize("given, finding, more", [
    ("cardiomegaly", "edema", True), ("edema", "pleural_effusion", True), ("pneumothorax", "rib_fracture", True),
    ("consolidation", "covid_pattern", False),
])  # fmt: skip
def test_findings_come_together_as_the_table_says(chests, given, finding, more) -> None:
    ill = [plans for plans in chests if plans]
    with_it = np.mean([finding in plans for plans in ill if given in plans])
    without = np.mean([finding in plans for plans in ill if given not in plans])
    assert (with_it > without + 0.05) if more else (with_it < without - 0.05)


def test_limbs_break_in_two_of_five_studies() -> None:
    plans = [plan_findings("knee", np.random.default_rng(seed)) for seed in range(STUDIES)]
    share = np.mean(["limb_fracture" in p for p in plans])
    assert share == pytest.approx(0.4, abs=4 * np.sqrt(0.24 / STUDIES))
    assert {name for p in plans for name in p} == {"limb_fracture", "support_devices"}


def test_an_exclusive_plan_has_that_finding_alone() -> None:
    for name in part_findings("chest"):
        plans = plan_findings("chest", np.random.default_rng(1), only=name)
        assert list(plans) == [name]
        # the same draw, whatever else the study would have had
        assert plans[name] == plan_findings("chest", np.random.default_rng(1), only=name)[name]
    assert plan_findings("chest", np.random.default_rng(1), only="no_finding") == {}
    with pytest.raises(ValueError, match="did you mean 'nodule'"):
        plan_findings("chest", np.random.default_rng(1), only="nodul")


def test_sizes_sides_and_zones_lie_within_the_table(chests) -> None:
    for plans in chests:
        for name, plan in plans.items():
            row = part_findings("chest")[name]
            _, low, high = row["severity"][plan.severity]
            assert low <= plan.size <= high
            assert (plan.side is None) == ("sides" not in row)
            assert plan.zone in row.get("zones", {"": 1})
    sides = Counter(plans["nodule"].side for plans in chests if "nodule" in plans)
    assert set(sides) == {Side.LEFT, Side.RIGHT}


def test_only_cardiomegaly_enlarges_the_heart() -> None:
    large = plan_findings("chest", np.random.default_rng(2), only="cardiomegaly")
    assert heart_factor(large) == large["cardiomegaly"].size > 1.1
    assert heart_factor(plan_findings("chest", np.random.default_rng(2), only="edema")) < 1


def test_names_and_parts_are_those_of_reports_and_views() -> None:
    names = {*part_findings("chest"), *part_findings("knee"), "no_finding"}
    assert names == set(described())
    assert set(finding_table()["sites"]) == {view.part for view in views().values()} - {"chest"}
