"""The same damaged files through `describe`: each ends as a description or with a reason and a remedy.

The network is a random projection here: it takes any picture, and what can go wrong lies before and behind it.
"""

import io
import json
import re

import numpy as np
import pydicom
import pytest
from describe.studies import decisions
from fuzz.harness import LIMITS, SEEDS, count, drive
from fuzz.mutations import mutate
from fuzz.seeds import USELESS

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.limits import SUSPECT
from anatomy_clip.describe.bundle.folder import Bundle, Sentence
from anatomy_clip.describe.bundle.preprocessing import Preprocessing
from anatomy_clip.describe.predictor import Describer
from anatomy_clip.imaging.intensity import Display

RAISED = re.compile(r"[A-Z]\w*(Error|Exception|Exit|Warning)\b")  # what a refusal says of anything but a ValueError
TAXONOMY = Taxonomy.load("whole_body")
WIDTH, SIDE = 16, 64


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def make_describer():
    rng = np.random.default_rng(0)
    captions = [Sentence(f"a {m} {plane} image", m, plane) for m in ("CT", "MR T1", "MR") for plane in
                ("axial", "coronal", "sagittal")]  # fmt: skip
    counts = {"organ": len(TAXONOMY.organs), "station": len(TAXONOMY.stations), "caption": len(captions)}
    bundle = Bundle(
        "fuzz", TAXONOMY, decisions(TAXONOMY), Preprocessing(Display(), SIDE, SIDE), {}, tuple(captions),
        {kind: unit(rng.normal(size=(n, WIDTH))) for kind, n in counts.items()}, (), {},
    )  # fmt: skip
    projection = rng.normal(size=(SIDE * SIDE, WIDTH))
    describer = Describer(bundle)
    describer._encoder = lambda grey: unit((grey.reshape(len(grey), -1) + 1.0) @ projection)
    return describer


DESCRIBER = make_describer()


def read(path, seed):
    description = DESCRIBER.describe(path, workers=0)  # the harness sees to limits
    text = json.dumps(description.plain(), allow_nan=False)
    assert not [name for name in private(seed) if name in text.replace(str(path), "")]
    reasons = [(one.reason, one.remedy) for one in description.refusals]
    for reason, remedy in reasons:
        if RAISED.match(reason) and not (reason.startswith("RecursionError") and remedy == SUSPECT):
            raise AssertionError(reason)
    return sum(len(one.slices) for one in description.series), reasons


def private(seed):
    """Names and numbers of a seed's patient that are long enough not to turn up by chance."""
    if seed.suffix != ".dcm":
        return []
    data = pydicom.dcmread(io.BytesIO(seed.data), stop_before_pixels=True)
    keywords = ("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "AccessionNumber", "StudyInstanceUID")
    return [text for keyword in keywords if len(text := str(data.get(keyword, ""))) > 4]


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_what_fuzzing_starts_from_is_described(tmp_path, seed):
    path = tmp_path / f"file{seed.suffix}"
    path.write_bytes(seed.data)
    slices, reasons = read(path, seed)
    assert (slices == 0) == (seed.name in USELESS) and bool(reasons) == (seed.name in USELESS)


def test_every_file_ends_as_a_description_or_with_a_reason(tmp_path):
    dicom = sum(seed.suffix == ".dcm" for seed in SEEDS)
    drive(read, SEEDS, tmp_path, count(400) * len(SEEDS) // dicom)  # so many DICOM files, and NIfTI beside them


def test_bombs_are_refused_by_describe_itself_and_the_rest_is_described(tmp_path):
    made, number = {}, 0
    while len(made) < 3:
        rng = np.random.default_rng(number)
        seed = next(seed for seed in SEEDS if seed.name == ("ct deflated", "nifti packed")[number % 2])
        data, ways = mutate(seed, rng)
        if ways == "bomb":
            made[f"bomb{number}{seed.suffix}"] = data
        number += 1
    assert {name.partition(".")[2] for name in made} == {"dcm", "nii.gz"}
    assert max(map(len, made.values())) < 4 * 2**20
    made["whole.dcm"] = next(seed for seed in SEEDS if seed.name == "ct").data
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    description = DESCRIBER.describe(tmp_path, workers=1, limits=LIMITS)
    assert [one.path for one in description.series] == [str(tmp_path / "whole.dcm")]
    assert {one.where for one in description.refusals} == {str(tmp_path / name) for name in made if name != "whole.dcm"}
    for one in description.refusals:
        assert one.remedy and (one.where.endswith(".nii.gz") or "its decompressed content has more than" in one.reason)
