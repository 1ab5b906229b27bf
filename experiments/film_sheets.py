"""Two pictures of the simulated radiographs: every view, and every finding on the same films without it and with it.

python experiments/film_sheets.py data/films
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from anatomy_clip.cli.plain_errors import plain_errors
from anatomy_clip.sources.phantom.structures import SIDES
from anatomy_clip.sources.phantom.xray.cohorts import limb_views
from anatomy_clip.sources.phantom.xray.film import Film, make_film, take_stack
from anatomy_clip.sources.phantom.xray.findings.plan import CHEST, Plan, heart_factor, part_findings, plan_findings
from anatomy_clip.sources.phantom.xray.nuisances import draw_nuisances
from anatomy_clip.sources.phantom.xray.sheet import film_sheet, finding_sheet
from anatomy_clip.sources.phantom.xray.views import View, pose_body, views

SIZE = 96
SEED = 20_000  # bodies that no cohort has
CHEST_VIEWS = ("chest_pa", "chest_pa", "chest_ap", "chest_pa", "chest_lateral", "chest_pa", "chest_ap", "chest_lateral")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of the pictures")
    parser.add_argument("--films", type=int, default=8, help="number of films in a row")
    parser.add_argument("--tile", type=int, default=160, help="side length of a film in the picture, in pixels")
    options = parser.parse_args(arguments)
    taken = [film(view, n, {}) for view in views().values() for n in range(options.films)]
    film_sheet(taken, options.folder / "views.png", tile=options.tile)
    pairs = {name: [pair(CHEST, name, n) for n in range(options.films)] for name in part_findings(CHEST)}
    pairs |= {f"{name}, limbs": [pair("limb", name, n) for n in range(options.films)] for name in part_findings("limb")}
    finding_sheet(pairs, options.folder / "findings.png", tile=options.tile)
    print(f"{options.folder}: views.png, findings.png")
    return 0


def pair(part: str, finding: str, number: int) -> tuple[Film, Film]:
    """The same body, view and nuisances without a finding and with it."""
    if part == CHEST:
        view = views()[CHEST_VIEWS[number % len(CHEST_VIEWS)]]
    else:
        limbs = list(limb_views().values())
        view = limbs[number % len(limbs)][0]
    plans = plan_findings(view.part, np.random.default_rng([SEED, number]), only=finding)
    return film(view, number, {}), film(view, number, plans)


def film(view: View, number: int, plans: dict[str, Plan]) -> Film:
    """One film of a body."""
    side = SIDES[number % 2] if view.sided else ""
    rng = np.random.default_rng([SEED, number, 1])
    drawn = replace(draw_nuisances(view, side, rng), marker_mirrored=False)
    body = pose_body(SEED + number, view, float(np.mean(view.breath)), heart=heart_factor(plans))
    stack = take_stack(body, view, drawn, rng, side=side, size=SIZE)
    return make_film(body, view, rng, side=side, size=SIZE, nuisances=drawn, plans=plans, stack=stack)


if __name__ == "__main__":
    with plain_errors():
        raise SystemExit(main())
