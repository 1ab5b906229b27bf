"""From plans to what they do on one film."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from anatomy_clip.sources.phantom.body import Body
from anatomy_clip.sources.phantom.structures import label_id
from anatomy_clip.sources.phantom.xray.attenuation import label_mixtures
from anatomy_clip.sources.phantom.xray.findings.airspace import atelectasis, consolidation, covid_pattern, edema, nodule
from anatomy_clip.sources.phantom.xray.findings.devices import chest_devices, limb_plate
from anatomy_clip.sources.phantom.xray.findings.effects import Effect, lung_change
from anatomy_clip.sources.phantom.xray.findings.fractures import limb_fracture, rib_fracture
from anatomy_clip.sources.phantom.xray.findings.lungs import Lungs, gather_lungs
from anatomy_clip.sources.phantom.xray.findings.plan import CHEST, Plan
from anatomy_clip.sources.phantom.xray.findings.pleura import effusion, pneumothorax
from anatomy_clip.sources.phantom.xray.geometry import F32, F64, Stack
from anatomy_clip.sources.phantom.xray.vessels import LUNG, lung_vessels, vessel_path
from anatomy_clip.sources.phantom.xray.views import View

_BLOOD = label_id("pulmonary_vein")
_RECESS_MM = 45.0  # how deep the pleural recess reaches below the dome of the diaphragm
_UPRIGHT: F64 = np.array([0.0, 0.0, 1.0])
_RECLINED: F64 = np.array([0.0, 0.5, 0.87])  # a patient in bed, half sitting


@dataclass(frozen=True)
class Scene:
    """A film's rays, and the findings on it.

    Attributes:
        paths: (2, H, W) mm of water and cortical bone without findings and without the lungs' fine vessels.
        effects: findings in the order in which they take their place.
        lungs: samples of the lungs; None where no finding needs them.
        vessels: segments (V, 2, 3) mm and radii (V,) mm of the lungs' fine vessels.
        stack: labels along the rays.
    """

    paths: F32
    effects: tuple[Effect, ...]
    lungs: Lungs | None
    vessels: tuple[F64, F64]
    stack: Stack

    def material_paths(self, without: str = "") -> F32:
        """Path (2, H, W) in cm through water and cortical bone, with all findings but the one named."""
        effects = [effect for effect in self.effects if effect.name != without]
        paths = self.paths.copy()
        segments, radii = self.vessels
        if self.lungs is not None:
            gain, share = lung_change(effects, self.lungs, self.stack.beam.shape)
            paths[0] += gain
            radii = radii * np.sqrt(share)
        if len(segments):
            mixtures = label_mixtures()
            more = mixtures[0, _BLOOD] - mixtures[0, LUNG].mean()
            paths[0] += more * vessel_path(segments, radii, self.stack.beam)
        for effect in effects:
            if effect.added is not None:
                paths += effect.added
        return np.asarray(paths / 10, dtype=np.float32)


def make_scene(stack: Stack, body: Body, view: View, side: str, plans: Mapping[str, Plan]) -> Scene:
    """Plant the planned findings on the rays of a film."""
    paths = np.stack([stack.path(share) for share in label_mixtures()])
    if view.part != CHEST:
        where = (stack, view.part, side, body.landmarks)
        found = _maybe(plans, "limb_fracture", lambda plan: limb_fracture(plan, *where))
        seed = next((plan.seed for plan in plans.values()), 0)  # a broken bone's plate is where it is broken
        found += _maybe(plans, "support_devices", lambda plan: limb_plate(plan, seed, *where))
        return Scene(paths, found, None, (np.zeros((0, 2, 3)), np.zeros(0)), stack)
    vessels, carina = lung_vessels(body), body.landmarks["carina"]
    floor = float(body.landmarks["liver_dome"][2]) + body.breath_mm - _RECESS_MM
    needed = any(name in _IN_LUNGS for name in plans)
    lungs = gather_lungs(stack, carina, floor, vessels[0].mean(axis=1)) if needed else None
    effects = () if lungs is None else _in_lungs(plans, lungs, stack, view)
    effects += _maybe(plans, "rib_fracture", lambda plan: rib_fracture(plan, stack, carina))
    effects += _maybe(plans, "support_devices", lambda plan: chest_devices(plan, body.landmarks, stack.beam))
    return Scene(paths, effects, lungs, vessels, stack)


def _maybe(plans: Mapping[str, Plan], name: str, make: Callable[[Plan], Effect | None]) -> tuple[Effect, ...]:
    """The effect of a finding, if it is planned and can be planted."""
    effect = make(plans[name]) if name in plans else None
    return () if effect is None else (effect,)


def _in_lungs(plans: Mapping[str, Plan], lungs: Lungs, stack: Stack, view: View) -> tuple[Effect, ...]:
    return tuple(make(plans[name], lungs, stack, view) for name, make in _IN_LUNGS.items() if name in plans)


# in the order in which they take their place
_IN_LUNGS: dict[str, Callable[[Plan, Lungs, Stack, View], Effect]] = {
    "edema": lambda plan, lungs, stack, _: edema(plan, lungs, stack.beam.shape),
    "consolidation": lambda plan, lungs, stack, _: consolidation(plan, lungs, stack.beam.shape),
    "covid_pattern": lambda plan, lungs, stack, _: covid_pattern(plan, lungs, stack.beam.shape),
    "atelectasis": lambda plan, lungs, stack, _: atelectasis(plan, lungs, stack.beam.shape),
    "nodule": lambda plan, lungs, stack, _: nodule(plan, lungs, stack.beam),
    "pleural_effusion": lambda plan, lungs, stack, view: effusion(
        plan, lungs, _UPRIGHT if view.upright else _RECLINED, stack.beam.shape
    ),
    "pneumothorax": lambda plan, lungs, stack, view: pneumothorax(plan, lungs, view.upright, stack.beam.shape),
}
