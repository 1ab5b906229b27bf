"""The phantom's labels: what each voxel is called and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass

CERVICAL = tuple(f"C{i}" for i in range(1, 8))
THORACIC = tuple(f"T{i}" for i in range(1, 13))
LUMBAR = tuple(f"L{i}" for i in range(1, 6))
SPINE = CERVICAL + THORACIC + LUMBAR

SIDES = ("left", "right")

_RED = "cortical_bone trabecular_bone"
_YELLOW = "cortical_bone trabecular_bone marrow_fat"

# name (a trailing "*" stands for _left and _right) -> its tissues
_TABLE: tuple[tuple[str, str], ...] = (
    ("skin", "skin"),
    ("subcutaneous_fat", "fat"),
    ("torso_fat", "fat"),
    ("intermuscular_fat", "fat"),
    ("skeletal_muscle", "muscle"),
    ("breast_*", "breast"),
    # chest
    ("lung_upper_lobe_*", "lung"),
    ("lung_middle_lobe_right", "lung"),
    ("lung_lower_lobe_*", "lung"),
    ("trachea", "cartilage air"),
    ("esophagus", "bowel_wall air"),
    ("heart", "heart_muscle blood blood_venous fat"),
    ("atrial_appendage_left", "blood"),
    ("aorta", "blood"),
    ("pulmonary_vein", "blood"),
    ("pulmonary_artery", "blood_venous"),
    ("superior_vena_cava", "blood_venous"),
    ("inferior_vena_cava", "blood_venous"),
    ("brachiocephalic_trunk", "blood"),
    ("brachiocephalic_vein_*", "blood_venous"),
    ("subclavian_artery_*", "blood"),
    ("common_carotid_artery_*", "blood"),
    ("internal_jugular_vein_*", "blood_venous"),
    ("diaphragm", "muscle"),
    # abdomen
    ("liver", "liver blood_venous"),
    ("gallbladder", "bile"),
    ("spleen", "spleen"),
    ("stomach", "stomach_wall stomach_content bowel_gas"),
    ("pancreas", "pancreas"),
    ("duodenum", "bowel_wall bowel_content"),
    ("kidney_*", "kidney_cortex kidney_medulla urine"),
    ("adrenal_gland_*", "gland"),
    ("small_bowel", "bowel_wall bowel_content bowel_gas"),
    ("colon", "bowel_wall stool bowel_gas"),
    ("portal_vein_and_splenic_vein", "blood_venous"),
    ("iliac_artery_*", "blood"),
    ("iliac_vena_*", "blood_venous"),
    # pelvis
    ("urinary_bladder", "bowel_wall urine"),
    ("prostate", "prostate"),
    ("uterus", "uterus"),
    ("sacrum", _RED),
    ("hip_*", _RED),
    ("genitals", "gland"),
    # muscles
    ("autochthon_*", "muscle"),
    ("iliopsoas_*", "muscle"),
    ("gluteus_maximus_*", "muscle"),
    ("gluteus_medius_*", "muscle"),
    ("gluteus_minimus_*", "muscle"),
    ("quadriceps_femoris_*", "muscle"),
    ("thigh_medial_compartment_*", "muscle"),
    ("thigh_posterior_compartment_*", "muscle"),
    ("sartorius_*", "muscle"),
    # spine and thorax
    ("spinal_cord", "nerve csf"),
    ("intervertebral_discs", "disc"),
    # a uint8 holds 256 labels: the vertebrae share one cortex, the ribs one marrow
    ("vertebrae", "cortical_bone"),
    *((f"vertebrae_{v}", "trabecular_bone") for v in (*SPINE, "S1")),
    ("rib_marrow", "trabecular_bone"),
    *((f"rib_{s}_{i}", "cortical_bone") for s in SIDES for i in range(1, 13)),
    ("sternum", _RED),
    ("costal_cartilages", "cartilage"),
    ("clavicula_*", _RED),
    ("scapula_*", _RED),
    # arms
    ("humerus_*", _YELLOW),
    ("radius_*", "cortical_bone marrow_fat"),
    ("ulna_*", "cortical_bone marrow_fat"),
    ("carpal_*", _RED),
    ("metacarpal_*", "cortical_bone marrow_fat"),
    ("phalanges_hand_*", "cortical_bone marrow_fat"),
    # legs
    ("femur_*", _YELLOW),
    ("patella_*", _RED),
    ("tibia_*", _YELLOW),
    ("fibula_*", "cortical_bone marrow_fat"),
    ("tarsal_*", _RED),
    ("metatarsal_*", "cortical_bone marrow_fat"),
    ("phalanges_feet_*", "cortical_bone marrow_fat"),
    ("tendons", "tendon"),
    ("joint_cartilage", "cartilage"),
    ("limb_vessels", "blood_venous"),
    # head and neck
    ("skull", _RED),
    ("mandible", _RED),
    ("teeth", "tooth"),
    ("brain", "brain_grey brain_white csf"),
    ("eye_*", "eye"),
    ("eye_lens_*", "lens"),
    ("sinus_air", "air"),
    ("tongue", "muscle"),
    ("parotid_gland_*", "gland"),
    ("larynx_air", "air"),
    ("larynx", "cartilage"),
    ("thyroid_gland", "thyroid"),
    ("hyoid", "cortical_bone"),
)


@dataclass(frozen=True)
class Structure:
    """What one label id stands for.

    Args:
        name: TotalSegmentator's class name where it has one; several ids may share a name.
        tissue: the tissue id, a key of the tissue table.
    """

    name: str
    tissue: str


def _expand() -> tuple[Structure, ...]:
    rows = [Structure("air", "air")]
    for pattern, tissues in _TABLE:
        names = [pattern.replace("*", side) for side in SIDES] if "*" in pattern else [pattern]
        rows += [Structure(name, tissue) for name in names for tissue in tissues.split()]
    if len(rows) > 256:
        raise ValueError(f"structures: {len(rows)} labels do not fit into uint8; remove some from the table")
    return tuple(rows)


STRUCTURES: tuple[Structure, ...] = _expand()

_IDS = {(s.name, s.tissue): i for i, s in reversed(list(enumerate(STRUCTURES)))}
_FIRST = {s.name: i for i, s in reversed(list(enumerate(STRUCTURES)))}


def label_id(name: str, tissue: str = "") -> int:
    """The label id of a structure's tissue (the first tissue of the structure when none is named).

    Raises:
        ValueError: when the table has no such structure or it has no such tissue.
    """
    found = _IDS.get((name, tissue)) if tissue else _FIRST.get(name)
    if found is None:
        raise ValueError(f"structures: no label for {name!r} with tissue {tissue!r}; add it to the table")
    return found
