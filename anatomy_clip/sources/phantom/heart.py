"""The heart of a body for radiographs: the outlines of its chambers, and a factor on its size."""

from __future__ import annotations

import numpy as np

from anatomy_clip.sources.phantom.builder import INNER, ORGAN, Builder, layer, rotation
from anatomy_clip.sources.phantom.frame import Frame
from anatomy_clip.sources.phantom.shapes import F64

_HELD = np.array([22.0, 40, -24])  # near right atrium, sternum and diaphragm: stays where it is as the heart grows
_WALL = 9.0


def add_film_heart(b: Builder, f: Frame) -> None:
    """Adds the heart: right atrium, both ventricles, left atrium, and the outflow to the pulmonary trunk.

    A factor above 1 widens it in full, and lengthens and deepens it by the factor's square root. It grows to the left
    and the back, so that the apex stays within the rib cage.
    """
    factor = float(f.heart or 1.0)
    grow = f.size * f.normal(1.0, 0.06)
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
    chamber((36, 2, 2), (23, 28, 38), straight)  # right atrium
    chamber((-4, 20, -10), (44, 24, 33), straight)  # right ventricle
    chamber((8, -26, 18), (34, 20, 26), straight)  # left atrium
    b.cone(at(-16, 14, 18), at(-7, 8, 60), 29 * grow * factor**0.5, 16 * grow)  # outflow
    b.paint(layer(ORGAN, "heart", "heart_muscle"), layer(INNER, "heart", "blood", _WALL * grow))
    chamber((-26, -14, 36), (12, 9, 9), straight)
    b.paint(layer(ORGAN, "atrial_appendage_left"))
