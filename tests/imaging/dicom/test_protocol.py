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


SPOILED = dict(sequence=GR, variant=frozenset({"SP"}), te=3.6, tr=21, flip=18)  # T1 by its timing
FLAIR = dict(sequence=IR, te=90, tr=9000, ti=2500)


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        (SPOILED | dict(angio=True), "Angio Flag (0018,0025) is Y"),
        (SPOILED | dict(options=("FAST_GEMS", "VASCTOF_GEMS")), "Scan Options (0018,0022) holds TOF"),
        (SPOILED | dict(frame_type=("ORIGINAL", "PRIMARY", "M_PCA", "M", "PCA")), "holds M_PCA"),
        (SPOILED | dict(frame_type=("ORIGINAL", "PRIMARY", "VELOCITY MAP")), "holds VELOCITY MAP"),
        (SPOILED | dict(frame_type=("DERIVED", "PRIMARY", "B1_MAP")), "holds B1_MAP"),
        (SPOILED | dict(part="PHASE", part_source="x"), "x says PHASE"),
        (SPOILED | dict(written=said("3D TOF multi-slab")), "says tof"),
        (SPOILED | dict(written=said("gre_field_mapping 2mm")), "says gre_field_map"),
        (SPOILED | dict(written=(("Sequence Name (0018,0024)", "*fl2d1r_v150in"),)), "says _v150"),
        (FLAIR | dict(part="REAL", part_source="x", contrast="FLUID_ATTENUATED"), "x says REAL"),
        (FLAIR | dict(inversions=2), "Inversion Times (0018,9079) are 2"),
        (FLAIR | dict(written=said("t2_spc_DIR_sag")), "says dir"),
        (FLAIR | dict(written=said("Double Inversion 3D")), "says double inversion"),
    ],
)
def test_what_a_header_says_outright_beats_timing(facts, field):
    found, evidence = decide(Facts(**facts))
    assert found is Protocol.OTHER and evidence.endswith(field)


@pytest.mark.parametrize(
    ("facts", "protocol"),
    [
        (SPOILED, "T1"),
        (FLAIR, "FLAIR"),
        (FLAIR | dict(inversions=1, written=said("direct flair")), "FLAIR"),
        (SPOILED | dict(written=said("t1_fl3d flow comp")), "T1"),
        (SPOILED | dict(written=said("t1_fl3d"), frame_type=("ORIGINAL", "PRIMARY", "M", "NORM")), "T1"),
        (SPOILED | dict(variant=frozenset({"SP", "MTC"})), "other"),
        # Angio Flag is set for hearts with an inversion too
        (dict(sequence=frozenset({"GR", "IR"}), te=1.4, tr=470, ti=360, inversions=1, angio=True), "T1"),
        (dict(sequence=EP, written=said("dti 64 dir")), "DWI"),
        (dict(sequence=EP, b_value=700, b_source="x", written=said("flow")), "DWI"),
    ],
)
def test_plain_contrasts_keep_their_name(facts, protocol):
    assert decide(Facts(**facts))[0] == protocol


@pytest.mark.parametrize(
    ("changes", "protocol"),
    [
        (dict(ImageType=["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"]), "T1"),
        (dict(ImageType=["ORIGINAL", "PRIMARY", "R_FFE", "R", "FFE"]), "other"),
        (dict(ImageType=["ORIGINAL", "PRIMARY", "P", "ND"]), "other"),
        (dict(ComplexImageComponent="IMAGINARY"), "other"),
        (dict(ComplexImageComponent="MAGNITUDE"), "T1"),
        (dict(AngioFlag="Y"), "other"),
        (dict(AngioFlag="N", ScanOptions=["PFP", "FS"]), "T1"),
        (dict(InversionTimes=[700.0, 2500.0]), "other"),
    ],
)
def test_what_a_header_says_outright_is_read(write, changes, protocol):
    header = dict(ScanningSequence="GR", SequenceVariant="SP", RepetitionTime=60, EchoTime=3.7, FlipAngle=35)
    (series,), _ = find_series([write("x.dcm", modality="MR", **(header | changes))])
    assert series.protocol == protocol


@pytest.mark.parametrize(("count", "protocol"), [(0, "T1"), (1, "other"), (2, "other")])
def test_the_maker_s_count_of_the_signal_s_part(write, count, protocol):
    import pydicom

    path = write("x.dcm", modality="MR", ScanningSequence="SE", RepetitionTime=500, EchoTime=10)
    data = pydicom.dcmread(path)
    data.private_block(0x43, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", count)
    data.save_as(path)
    (series,), _ = find_series([path])
    assert series.protocol == protocol


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
