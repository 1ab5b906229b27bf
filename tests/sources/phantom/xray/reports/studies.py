"""Studies drawn by hand: records of films without their pixels."""

from dataclasses import replace

from anatomy_clip.core.radiographs import Finding, RadiographRecord
from anatomy_clip.core.terms import Projection, Side, State, Visibility

LEFT, RIGHT, BOTH = Side.LEFT, Side.RIGHT, Side.BOTH
ZONES = ("upper", "middle", "lower")
ROWS = {  # finding -> its sides and zones
    "cardiomegaly": ([None], [""]),
    "edema": ([BOTH], [""]),
    "pleural_effusion": ([LEFT, RIGHT, BOTH], ["lower"]),
    "pneumothorax": ([LEFT, RIGHT, BOTH], ["upper", ""]),
    "consolidation": ([LEFT, RIGHT, BOTH], ZONES),
    "covid_pattern": ([BOTH], ["", "lower"]),
    "atelectasis": ([LEFT, RIGHT, BOTH], ZONES),
    "nodule": ([LEFT, RIGHT], ZONES),
    "rib_fracture": ([LEFT, RIGHT, BOTH], ["", "upper", "middle", "7", "rib 3"]),
    "support_devices": (
        [None],
        ["", "pacemaker", "tracheal_tube, venous_line", "chest_drain, ecg_leads, gastric_tube"],
    ),
}
BONES = {
    "hand": ["metacarpal", "phalanges_hand"], "wrist": ["radius", "ulna"], "elbow": ["humerus", ""],
    "shoulder": ["clavicle", ""], "hip": ["femoral neck"], "knee": ["patella", "tibia"], "ankle": ["fibula", ""],
    "foot": ["metatarsal", "phalanges_feet"],
}  # fmt: skip
HARDWARE = ["", "plate", "screws", "plate, screws", "Kirschner wires", "intramedullary nail"]
SEEN = (Visibility.CLEAR, Visibility.CLEAR, Visibility.SUBTLE, Visibility.INVISIBLE)


def one_of(choices, rng):
    return choices[int(rng.integers(len(choices)))]


def draw_study(rng, number=0, part="", prevalence=0.15):
    """The films of one study, with findings, sides, zones and visibility by chance."""
    part = part or ("chest" if rng.uniform() < 0.7 else one_of(list(BONES), rng))
    chest = part == "chest"
    side = None if chest else one_of([LEFT, RIGHT], rng)
    rows = ROWS if chest else {"limb_fracture": ([side], BONES[part]), "support_devices": ([None], HARDWARE)}
    there = {name: draw_finding(name, row, rng) for name, row in rows.items() if rng.uniform() < prevalence}
    views = [["PA", "lateral"], ["AP"], ["PA"], ["lateral"]] if chest else [["AP", "lateral"], ["PA"]]
    films = []
    for projection in map(Projection, one_of(views, rng)):
        findings = {
            name: replace(there[name], visibility=one_of(SEEN, rng)) if name in there else Finding(State.NEGATIVE)
            for name in rows
            if name != "cardiomegaly" or projection is not Projection.LATERAL
        }
        ids = (f"p{number}", f"s{number}", f"f{number}_{len(films)}")
        films.append(RadiographRecord("sim", "train", *ids, part, projection, side, findings=findings))
    return films


def draw_finding(name, row, rng):
    sides, zones = row
    measure = float(rng.uniform(5, 30)) if name == "nodule" else None
    severity = one_of(["mild", "moderate", "severe"], rng)
    return Finding(State.POSITIVE, one_of(sides, rng), one_of(zones, rng), severity, measure)


def film(part="chest", projection="PA", side=None, **findings):
    """One film; a finding is "no", or a visibility or a `Finding`."""
    made = {}
    for name, one in findings.items():
        if one == "no":
            made[name] = Finding(State.NEGATIVE)
        else:
            made[name] = one if isinstance(one, Finding) else Finding(State.POSITIVE, visibility=Visibility(one))
    ids = ("sim", "train", "p", "s", f"{projection}")
    return RadiographRecord(*ids, part, Projection(projection), side, findings=made)
