"""How tissues weaken the beam: each is a mixture of water and cortical bone (two-material decomposition).

A label's Hounsfield units, taken at the effective energy of computed tomography, say how much of each: soft tissue is
water of another density, and from water upwards bone is mixed in. Then two path lengths a pixel serve all energies
(Alvarez and Macovski, Phys Med Biol 21 (1976) 733).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from anatomy_clip.sources.phantom.structures import STRUCTURES
from anatomy_clip.sources.phantom.tissues import label_tissues

F32 = NDArray[np.float32]

MATERIALS = ("water", "cortical_bone")
CT_KEV = 70.0  # effective energy of a scanner at 120 kV
_BONES = ("cortical_bone", "trabecular_bone", "tooth")


@cache
def attenuation_table() -> dict[str, Any]:
    """The table `attenuation.yaml`."""
    text = resources.files(__package__).joinpath("attenuation.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return table


def attenuation(material: str, kev: float) -> float:
    """Linear attenuation of a material, 1/cm, interpolated on logarithmic axes.

    Args:
        material: one of `MATERIALS`.
        kev: photon energy, keV.

    Raises:
        ValueError: the material or the energy isn't in the table.
    """
    table = attenuation_table()
    energies = np.array(table["energies_kev"], dtype=np.float64)
    if material not in MATERIALS:
        raise ValueError(f"attenuation.yaml: no material {material!r}; use one of {', '.join(MATERIALS)}")
    if not energies[0] <= kev <= energies[-1]:
        raise ValueError(f"attenuation.yaml: {kev} keV isn't within {energies[0]:g} to {energies[-1]:g} keV")
    return float(np.exp(np.interp(np.log(kev), np.log(energies), np.log(table[material]))))


def spectrum(name: str) -> dict[float, float]:
    """A spectrum of the table: energy, keV -> share of the photons.

    Raises:
        ValueError: the table has no such spectrum.
    """
    spectra = attenuation_table()["spectra"]
    if name not in spectra:
        raise ValueError(f"attenuation.yaml: no spectrum {name!r}; use one of {', '.join(spectra)}")
    return {float(kev): float(share) for kev, share in spectra[name].items()}


@cache
def label_mixtures() -> F32:
    """Shares (2, L) of `MATERIALS` in each label: cm of the material in a cm of the label's tissue."""
    tissues = label_tissues()
    hu = tissues.hu.astype(np.float64)
    is_bone = np.array([s.tissue in _BONES for s in STRUCTURES])
    bone_hu = 1000 * (attenuation("cortical_bone", CT_KEV) / attenuation("water", CT_KEV) - 1)
    bone = np.where(is_bone, hu / bone_hu, 0)
    # a shell of a millimetre or two is whole bone: what scanners read of it is blurred
    bone[[s.tissue == "cortical_bone" for s in STRUCTURES]] = 1.0
    for name, share in attenuation_table()["even_bones"].items():
        bone[[s.name.startswith(name) for s in STRUCTURES]] = share
    water = np.where(is_bone, 1 - bone, np.clip(1 + hu / 1000, 0, None))
    return np.stack([water, bone]).astype(np.float32)


def transmission(paths: F32, shares: Mapping[float, float]) -> F32:
    """Share of the photons that pass (Beer-Lambert, summed over the spectrum).

    Args:
        paths: (2, ...) cm of `MATERIALS` along each ray.
        shares: energy, keV -> share of the photons.

    Returns:
        (...) within [0, 1] for shares that sum to 1.
    """
    out = np.zeros(paths.shape[1:], dtype=np.float32)
    for kev, share in shares.items():
        mu = [np.float32(attenuation(material, kev)) for material in MATERIALS]
        out += np.float32(share) * np.exp(-mu[0] * paths[0] - mu[1] * paths[1])
    return out
