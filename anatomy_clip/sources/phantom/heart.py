"""What a radiograph shows between the lungs: heart with a factor on its size, aortic knob, hila."""

from __future__ import annotations

import numpy as np

from anatomy_clip.sources.phantom.builder import DOME, INNER, ORGAN, VESSEL, Builder, layer, rotation
from anatomy_clip.sources.phantom.frame import Frame
from anatomy_clip.sources.phantom.shapes import F64

_HELD = np.array([34.0, 40, -24])  # near right atrium, sternum and diaphragm: stays where it is as the heart grows
_WALL = 9.0


# narrower than that of sections, so that vessels make the outline
_MEDIASTINUM = (
    (1205, -4, 0, 34, 72, 62, 0.2),
    (1250, -6, 0, 34, 72, 62, 0.2),
    (1300, -4, 4, 22, 60, 66, 0.1),
    (1345, 0, 0, 20, 60, 66, 0.1),
    (1385, 0, -2, 22, 52, 62, 0.2),
    (1415, 0, -12, 26, 40, 46, 0.3),
    (1445, 0, -16, 30, 26, 38, 0.3),
    (1475, 0, -18, 30, 16, 30, 0.3),
)


def add_film_mediastinum(b: Builder, f: Frame) -> None:
    """Adds the fat between the lungs, the knob where the aortic arch turns back, and the arteries of the hila."""
    f.loft(b, _MEDIASTINUM, layer(DOME, "torso_fat"))
    # beside the vertebrae: lung among their processes would make the outline a saw
    gutter = [(0, f.spine(z)[1] - 36, z) for z in (1190.0, 1260.0, 1320.0, 1380.0, 1440.0, 1480.0)]
    b.tube(f.at(gutter), np.array([38, 38, 35, 34, 34, 32]) * f.size, (0, 1, 0), 1.7)
    b.paint(layer(DOME, "torso_fat"))
    b.ellipsoid(f.at((-27, -12, 1401)), np.array([19, 25, 19]) * f.size)
    b.paint(layer(VESSEL, "aorta"))
    b.tube(f.at([(40, -16, 1362), (53, -20, 1344), (60, -26, 1312)]), np.array([9, 8, 5]) * f.size)
    b.tube(f.at([(-40, -14, 1372), (-53, -26, 1362), (-60, -34, 1326)]), np.array([10, 8.5, 5]) * f.size)
    b.paint(layer(VESSEL, "pulmonary_artery"))


def add_film_heart(b: Builder, f: Frame) -> None:
    """Adds the heart: right atrium, both ventricles, left atrium, and the outflow to the pulmonary trunk.

    A factor above 1 widens it in full, and lengthens and deepens it by the factor's square root. It grows to the left
    and the back, so that the apex stays within the rib cage.
    """
    factor = float(f.heart or 1.0)
    grow = 0.96 * f.size * f.normal(1.0, 0.06)
    spin = rotation(z=0.5 * f.normal(0, 6)) @ rotation(y=0.5 * f.normal(0, 6))
    middle = f.at((-22, 22, 1297 + 0.6 * f.breath))
    stretch = np.array([factor, factor**0.5, factor**0.5])

    def at(x: float, y: float, z: float) -> F64:
        moved = _HELD + stretch * (np.array([x, y, z]) - _HELD)
        moved[1] -= 0.5 * (factor - 1) * max(-x, 0)
        return np.asarray(middle + spin @ (moved * grow))

    def chamber(centre: tuple[float, float, float], radii: tuple[float, float, float], turn: F64) -> None:
        # the turned ellipsoid stretched along the patient's axes: its own axes and radii are a singular decomposition
        axes, size, _ = np.linalg.svd((spin * stretch) @ turn * (np.array(radii) * grow))
        b.ellipsoid(at(*centre), size, axes)

    straight = np.eye(3)
    chamber((-12, 0, -6), (56, 38, 39), rotation(z=24) @ rotation(y=-32))  # left ventricle and septum
    chamber((41, 2, 2), (24, 28, 39), straight)  # right atrium
    chamber((-4, 20, -10), (44, 24, 33), straight)  # right ventricle
    chamber((8, -26, 18), (34, 20, 26), straight)  # left atrium
    b.cone(at(-16, 14, 18), at(-7, 8, 60), 29 * grow * factor**0.5, 16 * grow)  # outflow
    b.paint(layer(ORGAN, "heart", "heart_muscle"), layer(INNER, "heart", "blood", _WALL * grow))
    chamber((-26, -14, 36), (12, 9, 9), straight)
    b.paint(layer(ORGAN, "atrial_appendage_left"))
