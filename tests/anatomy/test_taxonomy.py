from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.terms import Orientation

AXIAL, CORONAL, SAGITTAL = Orientation.AXIAL, Orientation.CORONAL, Orientation.SAGITTAL
BODY = Taxonomy.load("whole_body")

ORGANS = tuple(
    "brain,mandible,neck,shoulder,humerus,elbow,forearm,wrist,hand,lungs,heart,liver,kidneys,intestine,"
    "pelvic bone,thigh,knee,leg,ankle,foot".split(",")
)
CODES = {
    "brain": "12738006", "mandible": "91609006", "neck": "45048000", "shoulder": "16982005",
    "humerus": "85050009", "elbow": "16953009", "forearm": "14975008", "wrist": "74670003",
    "hand": "85562004", "lungs": "39607008", "heart": "80891009", "liver": "10200004",
    "kidneys": "64033007", "intestine": "30315005 14742008", "pelvic bone": "118645006",
    "thigh": "68367000", "knee": "72696002", "leg": "30021000", "ankle": "70258002",
    "foot": "56459004", "head": "69536005", "chest": "816094009", "abdomen": "818981001",
    "pelvis": "816092008", "lower body": "61685007",
}  # fmt: skip


def test_names_order_and_codes():
    assert BODY.organs == ORGANS
    assert BODY.stations == ("head", "chest", "abdomen", "pelvis", "lower body")
    parts = [BODY.organ(o) for o in BODY.organs] + [BODY.station(s) for s in BODY.stations]
    assert {part.name: " ".join(code.value for code in part.codes) for part in parts} == CODES
    assert [code.meaning for code in BODY.organ("intestine").codes] == ["Small intestine", "Large intestine"]


# Hand-made cases: (plane, structures with mm2, organs that the slice shows)
CASES = [
    (AXIAL, {"brain": 200}, "brain"),
    (AXIAL, {"brain": 199}, ""),
    (AXIAL, {"mandible": 60, "teeth_lower": 40}, "mandible"),
    (AXIAL, {"lower_jawbone": 120}, "mandible"),
    (AXIAL, {"thyroid_gland": 150, "larynx_air": 60}, "neck"),
    (AXIAL, {"thyroid_gland": 150, "vertebrae_C7": 60}, ""),
    (AXIAL, {"vertebrae_C5": 110}, "neck"),
    (AXIAL, {"hyoid": 250}, "neck"),
    (AXIAL, {"vertebrae_C2": 900}, ""),
    (CORONAL, {"vertebrae_C7": 450}, ""),  # the upper edge of a chest image
    (SAGITTAL, {"vertebrae_C5": 350, "vertebrae_C6": 350}, "neck"),
    (AXIAL, {"humerus_left": 900, "scapula_left": 300}, "shoulder;humerus"),
    (AXIAL, {"humerus_left": 900, "scapula_right": 300}, "humerus"),
    (AXIAL, {"humerus": 900, "scapula": 300}, "shoulder;humerus"),
    (AXIAL, {"humerus_right": 99}, ""),
    (AXIAL, {"humerus_left": 300, "ulna_left": 80, "radius_left": 40}, "humerus;elbow"),
    (AXIAL, {"humerus_left": 300, "ulna_right": 150}, "humerus;forearm"),
    (AXIAL, {"ulna_left": 120, "radius_left": 130}, "forearm"),
    (AXIAL, {"radius_left": 200, "carpal_left": 120}, "wrist"),
    (
        CORONAL,
        {"radius_left": 1000, "ulna_left": 900, "carpal_left": 900, "metacarpal_left": 700},
        "wrist;hand",
    ),
    (CORONAL, {"radius_left": 1500, "ulna_left": 1400, "carpal_left": 900}, "forearm;wrist"),
    (AXIAL, {"metacarpal": 150}, "hand"),
    (AXIAL, {"phalanges_hand_right": 110}, "hand"),
    (AXIAL, {"lung_upper_lobe_left": 120, "lung_lower_lobe_right": 90}, "lungs"),
    (AXIAL, {"lung_left": 5000}, "lungs"),  # MR class name
    (AXIAL, {"heart": 3000}, "heart"),
    (AXIAL, {"heart_atrium_left": 150, "heart_myocardium": 60}, "heart"),
    (AXIAL, {"liver": 300, "kidney_left": 120, "kidney_right": 90}, "liver;kidneys"),
    (AXIAL, {"colon": 70, "small_bowel": 70, "duodenum": 70}, "intestine"),
    (AXIAL, {"hip_left": 150, "hip_right": 150, "sacrum": 3000}, "pelvic bone"),
    (AXIAL, {"sacrum": 3000}, ""),
    (AXIAL, {"femur_left": 1900, "hip_left": 1300}, "pelvic bone"),
    (AXIAL, {"femur_left": 620, "femur_right": 640}, "thigh"),
    (AXIAL, {"quadriceps_femoris_left": 4000}, "thigh"),
    (AXIAL, {"femur_left": 900, "patella": 300}, "knee"),
    (AXIAL, {"femur_left": 3600}, "knee"),  # condyles: more than any shaft
    (AXIAL, {"femur_left": 600, "tibia_left": 500}, "knee"),
    (AXIAL, {"femur_left": 600, "tibia_right": 500}, "thigh;leg"),  # crossed or bent legs
    (AXIAL, {"tibia_right": 2900, "fibula_right": 200}, "knee"),  # plateau
    (AXIAL, {"tibia": 500, "fibula": 100}, "leg"),
    (AXIAL, {"fibula_left": 210}, "leg"),
    (AXIAL, {"tibia_left": 900, "fibula_left": 200, "tarsal_left": 700}, "ankle;foot"),
    (AXIAL, {"tarsal": 900, "metatarsal": 300}, "foot"),
    (AXIAL, {"phalanges_feet": 120}, "foot"),
    (CORONAL, {"femur_left": 3900, "hip_left": 4000}, "pelvic bone"),  # head and neck
    (CORONAL, {"femur_left": 8000, "hip_left": 4000}, "pelvic bone;thigh"),
    (CORONAL, {"quadriceps_femoris_left": 20000, "hip_left": 900}, "pelvic bone;thigh"),
    (SAGITTAL, {"femur_left": 3000}, "thigh"),
    (SAGITTAL, {"femur_left": 4500, "patella": 700, "tibia_left": 3500}, "knee"),
    (SAGITTAL, {"tibia_left": 2200, "tarsal_left": 4000, "metatarsal_left": 900}, "ankle;foot"),
    (CORONAL, {"tibia_left": 5000, "fibula_left": 1200, "femur_left": 900}, "knee;leg"),
    (CORONAL, {"tibia_left": 2000}, "leg"),
]


@pytest.mark.parametrize(("plane", "structures", "organs"), CASES)
def test_organs(plane, structures, organs):
    assert ";".join(BODY.organs_of(structures, plane)) == organs


def test_every_organ_has_a_case():
    assert {organ for _, _, organs in CASES for organ in organs.split(";")} - {""} == set(BODY.organs)


STATION_CASES = [
    (AXIAL, {"brain": 9000, "skull": 3000}, "head"),
    (AXIAL, {"mandible": 900, "vertebrae_C3": 600}, "head"),
    (AXIAL, {"brain": 9000, "humerus_left": 900, "ulna_left": 300}, "head"),  # raised arms
    (AXIAL, {"vertebrae_C7": 900, "thyroid_gland": 300}, "head"),
    (AXIAL, {"vertebrae_C7": 900, "scapula_left": 700, "clavicula_left": 400, "thyroid_gland": 20}, "chest"),
    (AXIAL, {"vertebrae_T7": 1300, "lung_lower_lobe_left": 9000}, "chest"),
    (AXIAL, {"vertebrae_T12": 1300, "liver": 9000, "lung_lower_lobe_left": 900}, "abdomen"),
    (AXIAL, {"vertebrae_T11": 1300, "lung_lower_lobe_left": 9000, "heart": 3000, "liver": 500}, "chest"),
    (AXIAL, {"vertebrae_T11": 1300, "lung_lower_lobe_left": 8000, "liver": 8000}, "chest;abdomen"),
    (
        AXIAL,
        {"vertebrae_L3": 1500, "lung_lower_lobe_left": 9000, "aorta": 900},
        "abdomen",
    ),  # level before class
    (AXIAL, {"vertebrae_L5": 1500, "colon": 3000}, "abdomen"),
    (AXIAL, {"vertebrae_L5": 1500, "hip_left": 1000, "colon": 9000}, "pelvis"),
    (AXIAL, {"vertebrae_L4": 1500, "hip_left": 700, "hip_right": 700}, "abdomen;pelvis"),
    (AXIAL, {"hip_left": 1300, "femur_left": 2000, "quadriceps_femoris_left": 4000}, "pelvis"),
    (
        AXIAL,
        {"hip_left": 3000, "hip_right": 3000, "phalanges_hand_left": 300},
        "pelvis",
    ),  # hands beside the pelvis
    (AXIAL, {"femur_left": 600, "gluteus_maximus_left": 3000}, "lower body"),
    (AXIAL, {"quadriceps_femoris_left": 3000}, "lower body"),
    (AXIAL, {"tarsal": 900}, "lower body"),
    (AXIAL, {"liver": 9000, "vertebrae": 1000}, "abdomen"),  # MR: one class for all vertebrae
    (AXIAL, {"colon": 900}, "abdomen"),
    (AXIAL, {"colon": 900, "urinary_bladder": 4000}, "pelvis"),
    (AXIAL, {"humerus_left": 400}, "chest"),
    (AXIAL, {"aorta": 900, "spinal_cord": 300, "iliopsoas_left": 2000}, ""),
    (AXIAL, {"carpal": 900, "radius": 300}, ""),
    (AXIAL, {}, ""),
    (CORONAL, {"metacarpal_left": 900, "carpal_left": 700, "ulna_left": 900}, ""),
    (
        CORONAL,
        {"liver": 15000, "kidney_left": 3000, "hip_left": 5000, "lung_lower_lobe_left": 900},
        "abdomen;pelvis",
    ),
    (CORONAL, {"lung_left": 20000, "lung_right": 20000, "heart": 9000, "liver": 12000}, "chest;abdomen"),
    (CORONAL, {"hip_left": 6000, "femur_left": 5000, "urinary_bladder": 4000}, "pelvis"),
    (CORONAL, {"hip_left": 6000, "femur_left": 12000}, "pelvis;lower body"),
    (SAGITTAL, {"femur_left": 4500, "patella": 700, "tibia_left": 3500}, "lower body"),
    (SAGITTAL, {"vertebrae_C4": 400, "brain": 12000, "vertebrae_T1": 300}, "head"),
    (SAGITTAL, {"scapula_left": 900, "humerus_left": 1500}, "chest"),
]


@pytest.mark.parametrize(("plane", "structures", "stations"), STATION_CASES)
def test_stations(plane, structures, stations):
    assert ";".join(BODY.stations_of(structures, plane)) == stations


def test_boundaries_are_monotonous():
    """From hip to L4 a slice goes from pelvis over both to abdomen, and never back."""
    seen = [BODY.stations_of({"vertebrae_L4": 100.0 * k, "hip_left": 100.0 * (20 - k)}, AXIAL) for k in range(21)]
    order = [("pelvis",), ("abdomen", "pelvis"), ("abdomen",)]
    ranks = [order.index(stations) for stations in seen]
    assert ranks == sorted(ranks) and set(ranks) == {0, 1, 2}


def test_left_and_right_are_treated_alike():
    swap = {"left": "right", "right": "left"}
    for plane, structures, organs in CASES:
        mirrored = {"_".join(swap.get(p, p) for p in name.split("_")): area for name, area in structures.items()}
        assert ";".join(BODY.organs_of(mirrored, plane)) == organs


def test_vectors():
    vector = BODY.organ_vector(["foot", "brain"])
    assert vector.dtype == np.bool_ and vector.shape == (20,) and np.flatnonzero(vector).tolist() == [0, 19]
    assert BODY.station_vector([]).tolist() == [False] * 5
    assert BODY.station_vector(("pelvis", "abdomen")).tolist() == [False, False, True, True, False]


def test_organ_station_pairs():
    assert set(BODY.organ_stations) == set(BODY.organs)
    assert all(set(stations) <= set(BODY.stations) and stations for stations in BODY.organ_stations.values())
    assert BODY.organ_stations["neck"][0] == "head" and BODY.organ_stations["humerus"][0] == "chest"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BODY.organ_vector(["livr"]), "organ 'livr'.*'liver'"),
        (lambda: BODY.station_vector(["thorax"]), "station 'thorax'"),
        (lambda: BODY.organ("kidney"), "'kidneys'"),
        (lambda: Taxonomy.load("whole_bdy"), "'whole_body'"),
        (lambda: Taxonomy.load("whole_body", {"larg": 1}), "'large'"),
    ],
)
def test_unknown_names_come_with_the_nearest_right_one(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_unknown_structures_are_ignored_but_named():
    structures = {"liver": 900.0, "plumbus_left": 900.0, "aorta": 10.0, "rib_left_12": 4.0}
    assert BODY.organs_of(structures, AXIAL) == ("liver",)
    assert BODY.unknown(structures) == ("plumbus_left",)


def test_plain_dict_round_trip(tmp_path):
    data = json.loads(json.dumps(BODY.to_dict()))
    again = Taxonomy.from_dict(data)
    assert again == BODY and again.digest == BODY.digest and again.organs == BODY.organs
    assert pickle.loads(pickle.dumps(BODY)) == BODY
    data["settings"]["large"] = 300
    assert Taxonomy.from_dict(data) != BODY and BODY.to_dict()["settings"]["large"] == 200
    (tmp_path / "own.yaml").write_text(json.dumps(data))  # JSON is YAML
    assert Taxonomy.load(str(tmp_path / "own.yaml")).digest == Taxonomy.from_dict(data).digest


def test_faults_in_a_taxonomy_are_named(tmp_path):
    data = BODY.to_dict()
    del data["votes"]
    with pytest.raises(ValueError, match="votes"):
        Taxonomy.from_dict(data)
    data = BODY.to_dict()
    data["organs"]["liver"]["stations"] = ["abdomn"]
    with pytest.raises(ValueError, match="'abdomen'"):
        Taxonomy.from_dict(data)
    data = BODY.to_dict()
    data["organs"]["liver"]["rules"] = [{"all": {"liver": "huge"}}]
    with pytest.raises(ValueError, match="setting 'huge'"):
        Taxonomy.from_dict(data)


def test_settings_replace_thresholds():
    body = Taxonomy.load("whole_body", {"large": 400, "include_sacrum": 1})
    assert body.organs_of({"liver": 300}, AXIAL) == ()
    assert body.organs_of({"sacrum": 900}, AXIAL) == ("pelvic bone",)
    assert body != BODY


# Structures of the reference table that stand in for an organ, one at a time with a large area.
def test_reference_table_agrees():
    path = Path(__file__).resolve().parents[3] / "shared" / "reference" / "totalsegmentator_classes.csv"
    if not path.exists():
        pytest.skip("no reference table beside the repository")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert not BODY.unknown({row["ts_class"] for row in rows})
    simple = [row for row in rows if row["rule"] == "presence" and row["organ"] not in ("shoulder", "")]
    for row in simple:
        assert BODY.organs_of({row["ts_class"]: 1500.0}, AXIAL) == (row["organ"],), row["ts_class"]


def test_the_area_of_an_organ_is_that_of_the_rule_that_finds_most():
    areas = {
        "kidney_left": 300.0,
        "kidney_right": 200.0,
        "liver": 900.0,
        "femur_left": 400.0,
        "quadriceps_femoris_left": 50.0,
    }
    # thigh: bone, not muscle
    assert BODY.organ_areas(["kidneys", "thigh", "brain"], areas) == {"kidneys": 500.0, "thigh": 400.0, "brain": 0.0}
    with pytest.raises(ValueError, match="did you mean 'kidneys'"):
        BODY.organ_areas(["kidney"], areas)
