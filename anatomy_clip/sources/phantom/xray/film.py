"""One simulated radiograph: its picture, how it was taken, and where its structures are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from anatomy_clip.core.radiographs import Box, Finding
from anatomy_clip.sources.phantom.body import Body
from anatomy_clip.sources.phantom.structures import STRUCTURES, label_id
from anatomy_clip.sources.phantom.xray.attenuation import spectrum, transmission
from anatomy_clip.sources.phantom.xray.detector import Detector, collimation, display, expose
from anatomy_clip.sources.phantom.xray.findings.effects import Mask
from anatomy_clip.sources.phantom.xray.findings.heart import cardiomegaly
from anatomy_clip.sources.phantom.xray.findings.plan import CHEST, Plan
from anatomy_clip.sources.phantom.xray.findings.planting import make_scene
from anatomy_clip.sources.phantom.xray.findings.truth import all_findings, box_of, planted_truth
from anatomy_clip.sources.phantom.xray.geometry import F32, F64, U8, Stack, cast
from anatomy_clip.sources.phantom.xray.nuisances import Nuisances, draw_marker, draw_nuisances
from anatomy_clip.sources.phantom.xray.views import View, limb_only, make_beam

_MASK_MM = {"chest": 10.0, "bones": 3.0}  # of path that makes a pixel part of a mask
_BONES = ("cortical_bone", "trabecular_bone", "marrow_fat")
_NO_NOISE = 1e9  # photons a square millimetre, with which quanta can't be seen
_GAS, _FLUID = label_id("stomach", "bowel_gas"), label_id("stomach", "stomach_content")


def _labels(*starts: str, end: str = "") -> F32:
    return np.array([s.name.startswith(starts) and s.name.endswith(end) for s in STRUCTURES], dtype=np.float32)


MASKS: dict[str, dict[str, F32]] = {
    "chest": {
        "lung_right": _labels("lung_", end="right"),
        "lung_left": _labels("lung_", end="left"),
        "heart": _labels("heart", "atrial_appendage"),
    },
    "bones": {"bones": np.array([s.tissue in _BONES for s in STRUCTURES], dtype=np.float32)},
}


@dataclass(frozen=True)
class Film:
    """One radiograph of a body.

    Attributes:
        image: (H, W) grey values; dense tissue is bright; the patient's right is on the image's left in frontal views.
        view: name of the view (`views.yaml`).
        part: what was examined, as "chest".
        projection: "PA", "AP" or "lateral".
        side: "left" or "right" of a limb, else "".
        breath_mm: rise of the diaphragm, mm (negative: deep breath).
        nuisances: how the film was taken.
        spacing_mm: pixel step at the detector.
        magnification: at the point that the view is centred on.
        masks: (H, W) by name: where a ray runs 10 mm or more through a lung or the heart, 3 mm or more through bone, in
            the lit field; the lungs' masks go on behind heart and diaphragm. And where each planted finding is,
            seen or not.
        findings: all that the part can have, but what the film can't tell; those that aren't there are negative.
        boxes: of the findings that are seen.
    """

    image: U8
    view: str
    part: str
    projection: str
    side: str
    breath_mm: float
    nuisances: Nuisances
    spacing_mm: float
    magnification: float
    masks: dict[str, Mask]
    findings: dict[str, Finding]
    boxes: tuple[Box, ...]


def make_film(
    body: Body,
    view: View,
    rng: np.random.Generator,
    *,
    side: str = "",
    size: int = 96,
    nuisances: Nuisances | None = None,
    plans: Mapping[str, Plan] | None = None,
    stack: Stack | None = None,
) -> Film:
    """Take a film of a body; the same generator state gives the same film to the byte.

    Args:
        body: posed for the view (`views.pose_body`).
        view: which projection.
        rng: for the nuisances, where none are given, and for the quanta.
        side: "left" or "right" where the view is sided.
        size: pixels a side.
        nuisances: how the film is taken, or None to draw it.
        plans: findings that are planted.
        stack: labels along the rays as `take_stack` gives them for these nuisances, or None to take it.

    Raises:
        ValueError: the body's pose or the side doesn't fit the view.
    """
    drawn = nuisances or draw_nuisances(view, side, rng)
    stack = stack or take_stack(body, view, drawn, rng, side=side, size=size)
    scene = make_scene(stack, body, view, side, plans or {})
    beam = stack.beam
    field = collimation(beam.shape, drawn.margins)
    lit = field > 0.5
    detector = drawn.detector(view)
    shares = spectrum(drawn.spectrum or view.spectrum)

    def taken(paths: F32, through: Detector, quanta: np.random.Generator) -> U8:
        signal = expose(transmission(paths, shares), through, field, beam.pixel_mm, quanta)
        return display(signal, through, field)

    def clean(paths: F32) -> F32:
        return taken(paths, replace(detector, quanta_mm2=_NO_NOISE), np.random.default_rng(0)).astype(np.float32)

    shown = taken(scene.material_paths(), detector, rng)
    least = _MASK_MM[view.masks]
    masks = {name: (stack.path(weights) >= least) & lit for name, weights in MASKS[view.masks].items()}
    planted = planted_truth(scene, clean, shown.astype(np.float32), lit)
    findings, boxes = _with_heart(view, masks, *planted)
    return Film(
        image=draw_marker(shown, drawn, _marker_on_left(view, drawn, beam.axes)),
        view=view.name,
        part=view.part,
        projection=view.projection,
        side=side,
        breath_mm=body.breath_mm,
        nuisances=drawn,
        spacing_mm=beam.pixel_mm,
        magnification=beam.magnification,
        masks=masks | {effect.name: effect.mask & lit for effect in scene.effects},
        findings=findings,
        boxes=boxes,
    )


def _with_heart(
    view: View, masks: Mapping[str, Mask], found: dict[str, Finding], boxes: tuple[Box, ...]
) -> tuple[dict[str, Finding], tuple[Box, ...]]:
    """All findings of a film and their boxes: those that were planted, and the heart's measured size."""
    if view.part != CHEST:
        return all_findings(view.part, found, ()), boxes
    heart = cardiomegaly(masks["heart"], masks["lung_right"] | masks["lung_left"], view.projection)
    if heart is None:
        return all_findings(view.part, found, ("cardiomegaly",)), boxes
    boxes += box_of("cardiomegaly", masks["heart"]) if heart.shown else ()
    return all_findings(view.part, found | {"cardiomegaly": heart}, ()), boxes


def take_stack(
    body: Body, view: View, drawn: Nuisances, rng: np.random.Generator, *, side: str = "", size: int = 96
) -> Stack:
    """Labels along the rays of a view, with what isn't on the film taken away and the stomach's gas on top.

    Args and errors are those of `make_film`.
    """
    beam = make_beam(body, view, side, size, drawn.field_scale, drawn.turn_deg)
    step = view.step * float(np.sqrt(96 / size))
    stack = cast(body, beam, view.depths, step, rng)
    if view.limb is not None:
        stack = stack.with_labels(lambda labels, plane: limb_only(view, body, side, labels, plane))
    if view.upright:
        level = float(body.landmarks["stomach_fundus"][2]) + drawn.bubble_mm
        stack = stack.with_labels(lambda labels, plane: _gas_on_top(labels, plane, level))
    return stack


def _gas_on_top(labels: U8, plane: F64, level_mm: float) -> U8:
    """The stomach's gas and fluid parted at a height, as in a patient who stands."""
    stomach = (labels == _GAS) | (labels == _FLUID)
    if not stomach.any():
        return labels
    i, j = np.nonzero(stomach)
    height = plane[0, 2] + i * plane[1, 2] + j * plane[2, 2]
    out = labels.copy()
    out[i, j] = np.where(height > level_mm, _GAS, _FLUID)
    return out


def _marker_on_left(view: View, drawn: Nuisances, axes: F64) -> bool:
    """Whether the marker lies in the image's left corner: on its side of the patient."""
    toward_right = float(axes[1, 0])  # how far the image's right is the patient's right
    if abs(toward_right) < 0.5:
        return True
    return (toward_right < 0) == (drawn.marker == "R")
