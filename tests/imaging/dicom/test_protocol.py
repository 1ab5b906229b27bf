"""The MR protocol from each rank of evidence, and which rank wins."""

import pytest

from anatomy_clip.core.terms import Protocol
from anatomy_clip.imaging.dicom.protocol import Facts, decide
from anatomy_clip.imaging.dicom.series import find_series

SE, GR, EP, IR = (frozenset(kind.split("/")) for kind in ("SE", "GR", "EP/SE", "IR/SE"))


def said(text):
    return (("Series Description (0008,103E)", text.lower()),)


@pytest.mark.parametrize(
    ("contrast", "protocol"),
    [
        ("T1", "T1"), ("T2", "T2"), ("FLUID_ATTENUATED", "FLAIR"), ("STIR", "STIR"), ("DIFFUSION", "DWI"),
        ("PROTON_DENSITY", "other"), ("T2_STAR", "other"), ("PERFUSION", "other"), ("UNKNOWN", "other"),
    ],
)  # fmt: skip
def test_acquisition_contrast(contrast, protocol):
    found, evidence = decide(Facts(contrast=contrast))
    assert found == protocol
    assert ("(0008,9209)" in evidence) == (contrast != "UNKNOWN")


@pytest.mark.parametrize(
    ("facts", "protocol"),
    [
        (Facts(b_value=800, b_source="x"), "DWI"),
        (Facts(b_value=0, b_source="x"), "other"),  # written into plain series too
        (Facts(b_value=0, frame_type=("DERIVED", "DIFFUSION")), "DWI"),
        (Facts(b_value=800, frame_type=("DERIVED", "ADC")), "ADC"),
        (Facts(contrast="DIFFUSION", frame_type=("DERIVED", "PRIMARY", "DIFFUSION", "ADC")), "ADC"),
        (Facts(b_value=800, frame_type=("DERIVED", "FA")), "other"),
        (Facts(frame_type=("DERIVED", "TRACEW")), "DWI"),
        (Facts(sequence=SE, te=12, tr=550), "T1"),
        (Facts(sequence=SE, te=100, tr=4000), "T2"),
        (Facts(sequence=SE, te=14, tr=3000), "other"),  # proton density
        (Facts(sequence=SE, te=90, tr=1000), "T2"),  # single shot
        (Facts(sequence=IR, te=90, tr=9000, ti=2500), "FLAIR"),
        (Facts(sequence=IR, te=40, tr=5000, ti=160), "STIR"),
        (Facts(sequence=IR, te=10, tr=2000, ti=860), "T1"),
        (Facts(sequence=GR, variant=frozenset({"SP"}), te=2, tr=4, flip=12), "T1"),  # fast 3D
        (Facts(sequence=GR, variant=frozenset({"SP"}), te=4.8, tr=170, flip=70), "T1"),
        (Facts(sequence=GR, variant=frozenset({"SP"}), te=2, tr=800, flip=14), "other"),
        (Facts(sequence=GR, te=20, tr=600, flip=20), "other"),  # T2*
        (Facts(sequence=GR, variant=frozenset({"SP"}), te=2, tr=4), "other"),  # no flip angle
        (Facts(sequence=EP, te=80, tr=4000), "other"),  # diffusion, perfusion or function
        (Facts(), "other"),
    ],
)
def test_how_the_scanner_measured(facts, protocol):
    assert decide(facts)[0] == protocol


@pytest.mark.parametrize(
    ("text", "protocol"),
    [
        ("T1 axial", "T1"), ("sag T1w TSE", "T1"), ("IBSI_1_STS_019_MR_T1_image", "T1"), ("t1_mprage_sag", "T1"),
        ("ax T2", "T2"), ("HASTE cor", "T2"), ("t2_tse_dark-fluid_tra", "FLAIR"), ("AX T2 FLAIR", "FLAIR"),
        ("T1 FLAIR sag", "T1"), ("cor STIR", "STIR"), ("ep2d_diff_b1000", "DWI"), ("DWI", "DWI"), ("dADC", "other"),
        ("ADC (10^-6 mm2/s)", "ADC"), ("Apparent Diffusion Coefficient", "ADC"), ("T2* GRE", "other"), ("SWI", "other"),
        ("pd fs", "other"), ("survey", "other"), ("3-plane localizer", "other"), ("post1", "other"), ("", "other"),
    ],
)  # fmt: skip
def test_what_people_wrote(text, protocol):
    found, evidence = decide(Facts(written=said(text)))
    assert found == protocol
    if found is not Protocol.OTHER:
        assert evidence.startswith("Series Description (0008,103E) says ")


def test_stronger_evidence_wins():
    facts = dict(sequence=SE, te=100, tr=4000, written=said("T1 axial"))
    assert decide(Facts(**facts))[0] == "T2"
    assert decide(Facts(**facts, frame_type=("ORIGINAL", "ADC")))[0] == "ADC"
    assert decide(Facts(**facts, b_value=400))[0] == "DWI"
    assert decide(Facts(**facts, b_value=400, contrast="STIR"))[0] == "STIR"


def test_a_description_is_never_quoted_beyond_its_word():
    _, evidence = decide(Facts(written=said("T1 of SECRET PERSON")))
    assert evidence == "Series Description (0008,103E) says t1"
    assert "secret" not in repr(Facts(written=said("SECRET")))


@pytest.mark.parametrize(
    ("changes", "b_value", "where"),
    [
        (dict(DiffusionBValue=1000.0), 1000, "(0018,9087)"),
        (dict(SequenceName="*ep_b400t", ScanningSequence="EP"), 400, "(0018,0024)"),
        (dict(SequenceName="*ep_b50_800", ScanningSequence="EP"), None, ""),
        (dict(SequenceName="*ep_b400t"), None, ""),
        (dict(DiffusionBValue=1000.0, ImageType=["DERIVED", "PRIMARY", "ADC"]), None, "(0008,0008)"),
    ],
)
def test_b_values_of_small_files(write, changes, b_value, where):
    (series,), _ = find_series([write("x.dcm", modality="MR", **changes)])
    assert series.b_value == b_value
    assert where in series.evidence[0]


@pytest.mark.parametrize(
    ("creator", "group", "element", "vr", "value", "b_value"),
    [
        ("SIEMENS MR HEADER", 0x19, 0x0C, "IS", "800", 800),
        ("SIEMENS MR HEADER", 0x19, 0x0C, "UN", b"800 ", 800),
        ("GEMS_PARM_01", 0x43, 0x39, "IS", ["1000000800", "8", "0", "0"], 800),
        ("GEMS_PARM_01", 0x43, 0x39, "UN", b"800\\8\\0\\0 ", 800),
        ("Philips Imaging DD 001", 0x2001, 0x03, "FL", 700.0, 700),
        ("SOMEBODY ELSE", 0x19, 0x0C, "IS", "800", None),
    ],
)
def test_private_b_values_want_their_maker_s_name(write, creator, group, element, vr, value, b_value):
    import pydicom

    path = write("x.dcm", modality="MR", ScanningSequence="EP")
    data = pydicom.dcmread(path)
    data.private_block(group, creator, create=True).add_new(element, vr, value)
    data.save_as(path)
    (series,), _ = find_series([path])
    assert series.b_value == b_value


def test_real_chest_is_t1_by_its_inversion(real):
    (series,), _ = find_series([real / "dicom/seg3d/chest_mr"])
    assert series.protocol is Protocol.T1
    assert "Inversion Time (0018,0082) 360 ms" in series.evidence[0]
