"""Headers that were altered: what they would change in a description is refused, noted, or found by --audit."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from anatomy_clip.describe.predictor import Describer
from anatomy_clip.describe.table import print_audit
from anatomy_clip.inference.decisions import Decisions

CORONAL, SAGITTAL = [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]


@pytest.fixture
def sees_a_head(describer):
    """A describer whose network sees a brain in every picture."""
    bundle = describer.bundle
    rules = bundle.decisions.to_dict()
    names = {"organ": bundle.taxonomy.organs, "station": bundle.taxonomy.stations}
    for kind, labels in names.items():
        values = {"slope": 40.0, "intercept": -5.0, "threshold": 0.5}
        rules[kind] |= {key: [value] * len(labels) for key, value in values.items()}
    organs, stations = map(len, names.values())
    axes = np.eye(organs + stations, dtype=np.float32)
    embeddings = {
        "organ": axes[:organs], "station": axes[organs:], "caption": np.repeat(axes[:1], len(bundle.captions), axis=0),
    }  # fmt: skip
    rules = Decisions.from_dict(rules | {"abstain_below": 0.2})
    made = Describer(replace(bundle, decisions=rules, embeddings=embeddings))
    head = (axes[names["organ"].index("brain")] + axes[organs + names["station"].index("head")]) * 0.7
    made._encoder = lambda pictures: np.tile(head, (len(pictures), 1))
    return made


def audit(description):
    out = io.StringIO()
    print_audit(description, Console(file=out, width=200))
    return out.getvalue()


@pytest.fixture
def series(write, tmp_path):
    """Write a series of 6 slices, some of them changed, into a folder."""

    def save(changed=(), **changes):
        for n in range(6):
            write(f"s/{n}.dcm", z=3.0 * n, **(changes if n in changed else {}))
        return tmp_path / "s"

    return save


@pytest.mark.parametrize(("said", "right"), [("HEAD", True), ("KNEE", False), ("ABDOMEN", False)])
def test_another_body_part_is_found_by_the_audit(sees_a_head, series, said, right):
    description = sees_a_head.describe(series(range(6), BodyPartExamined=said), workers=0)
    (one,) = description.series
    assert [finding.name for finding in one.stations] == ["head"]
    assert one.agrees is right and one.body_part == said
    text = audit(description)
    assert (said in text) is not right and f"{int(not right)} of 1 series" in text


def test_an_untouched_series_has_no_doubts(sees_a_head, series):
    (one,) = sees_a_head.describe(series(), workers=0).series
    assert one.notes == () and len(one.slices) == 6


def test_another_modality_contradicts_the_kind_of_file(sees_a_head, series):
    description = sees_a_head.describe(series([2], Modality="MR"), workers=0)
    (refusal,) = description.refusals
    assert (
        refusal.where.endswith("2.dcm")
        and "SOP Class UID (0008,0016) is CT Image Storage: it does not fit the modality MR" in refusal.reason
    )


def test_a_whole_file_made_an_mr_is_a_stranger_to_its_series(sees_a_head, series):
    mr = "1.2.840.10008.5.1.4.1.1.4"
    description = sees_a_head.describe(series([2], Modality="MR", SOPClassUID=mr), workers=0)
    notes = {one.modality: one.notes for one in description.series}
    assert any("5 other slice(s) with another modality (CT)" in note for note in notes["MR"])
    assert any("1 other slice(s) with another modality (MR)" in note for note in notes["CT"])


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"ImageOrientationPatient": CORONAL}, "plane (coronal)"),
        ({"ImageOrientationPatient": SAGITTAL}, "plane (sagittal)"),
        (
            {"ImageOrientationPatient": [-1, 0, 0, 0, 1, 0]},
            "direction (turned or mirrored) have the same Series Instance UID: is the header right?",
        ),
        ({"PixelSpacing": [8, 5]}, "pixel spacing (8 x 5 mm) have the same Series Instance UID: is the header right?"),
    ],
)
def test_one_slice_turned_or_scaled_is_a_stranger_to_its_series(sees_a_head, series, changes, what):
    description = sees_a_head.describe(series([4], **changes), workers=0)
    assert sorted(len(one.slices) for one in description.series) == [1, 5]
    whole = max(description.series, key=lambda one: len(one.slices))
    assert [note for note in whole.notes if f"1 other slice(s) with another {what}" in note]
    assert whole.orientation == "axial"


@pytest.mark.parametrize(("cosines", "plane"), [(CORONAL, "coronal"), (SAGITTAL, "sagittal")])
def test_a_whole_series_turned_contradicts_its_positions(sees_a_head, series, cosines, plane):
    description = sees_a_head.describe(series(range(6), ImageOrientationPatient=cosines), workers=0)
    assert {one.orientation for one in description.series} == {plane}
    for one in description.series:
        assert any("side by side in one plane, not one behind the other" in note for note in one.notes)


@pytest.mark.parametrize(
    "changes", [{"RescaleIntercept": 0}, {"RescaleSlope": 2}, {"RescaleSlope": 0.5}, {"RescaleSlope": -1}]
)
def test_a_rescale_that_leaves_no_soft_tissue_is_noted(sees_a_head, series, changes):
    (one,) = sees_a_head.describe(series(range(6), **changes), workers=0).series
    assert any("are Rescale Slope and Rescale Intercept" in note for note in one.notes)


def test_a_tilted_gantry_is_no_contradiction(sees_a_head, write, tmp_path):
    for n in range(6):
        write(f"t/{n}.dcm", ImagePositionPatient=[0, 1.5 * n, 3.0 * n])
    (one,) = sees_a_head.describe(tmp_path / "t", workers=0).series
    assert not any("side by side" in note for note in one.notes)


def test_another_protocol_of_one_slice_is_noted(sees_a_head, write, tmp_path):
    for n in range(6):
        times = {"RepetitionTime": 500, "EchoTime": 10} if n else {"RepetitionTime": 4000, "EchoTime": 100}
        write(f"m/{n}.dcm", z=3.0 * n, modality="MR", ScanningSequence="SE", ProtocolName=None,
              SeriesDescription=None, **times)  # fmt: skip
    (one,) = sees_a_head.describe(tmp_path / "m", workers=0).series
    assert one.protocol == "T1" and one.evidence
    assert any("headers disagree on the MR protocol: 1 T2" in note for note in one.notes)


@pytest.mark.parametrize("lost", ["missing", "damaged"])
def test_slices_that_are_missing_part_the_ranges(sees_a_head, write, tmp_path, lost):
    for n in range(8):
        path = write(f"h/{n}.dcm", z=3.0 * n)
        if n in (3, 4):
            path.unlink() if lost == "missing" else path.write_bytes(b"no DICOM")
    (one,) = sees_a_head.describe(tmp_path / "h", workers=0).series
    assert [(found.station, found.first, found.last, found.to_mm) for found in one.ranges] == [
        ("head", 0, 2, 6.0),
        ("head", 3, 5, 21.0),
    ]
    assert any("there are gaps (9 mm after slice 2): are slices missing?" in note for note in one.notes)
