"""DICOM radiographs: what the header says, and how the pixels are shown, against pydicom's own and by hand."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_voi, apply_windowing
from pydicom.uid import JPEG2000Lossless, RLELossless
from sources.radiographs.dicom import RAW, SECRET, dataset, ramp, write_dicom

from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.terms import Projection, Side
from anatomy_clip.imaging.dicom.film_headers import read_film_header
from anatomy_clip.imaging.dicom.films import load_film
from anatomy_clip.imaging.dicom.voi import FUNCTIONS, windowed

RAMP = ramp()
LINEAR = np.clip((RAMP - 2047.5) / 4095 + 0.5, 0, 1)  # the window of the files that are written


def film(path, **changes):
    header = read_film_header(write_dicom(path / "x.dcm", **changes))
    image, notes = load_film(header)
    return header, image.pixels, (*header.notes, *notes)


def header(path, **changes):
    return read_film_header(write_dicom(path / "x.dcm", **changes))


def test_a_plain_film(tmp_path):
    found, pixels, notes = film(tmp_path)
    assert pixels.dtype == np.float32 and notes == ()
    assert pixels == pytest.approx(LINEAR, abs=1e-6)
    assert (found.part, found.projection, found.side) == ("chest", Projection.PA, None)
    assert found.spacing_mm == (0.2, 0.1) and found.magnification is None
    assert SECRET not in repr(found)


def test_monochrome1_is_inverted_once_whatever_else_says_so(tmp_path):
    _, pixels, notes = film(tmp_path, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")
    assert pixels == pytest.approx(1 - LINEAR, abs=1e-6) and notes == ()
    _, pixels, notes = film(tmp_path, PresentationLUTShape="INVERSE")
    assert pixels == pytest.approx(LINEAR, abs=1e-6)
    assert len(notes) == 1 and "Presentation LUT Shape (2050,0020) contradicts" in notes[0]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("centre", "width"), [(2048, 4096), (1000.5, 300), (40, 1), (3000, 2.5)])
def test_windows_are_those_of_pydicom(function, centre, width):
    data = dataset(WindowCenter=centre, WindowWidth=width, VOILUTFunction=function)
    with np.errstate(over="ignore"):
        expected = apply_windowing(RAMP, data) / 4095
    assert windowed(RAMP.astype(np.float32), centre, width, function) == pytest.approx(expected, abs=2e-4)


def lut(entries, first=0, bits=12):
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.LUTData = np.asarray(entries, "<u2").tobytes()
    item["LUTData"].VR = "OW"
    item["LUTDescriptor"].VR = "US"
    return [item]


def test_a_voi_lut_goes_before_the_window(tmp_path):
    entries = (np.linspace(0, 1, 2000) ** 2 * 4095).astype(int)
    data = dataset(VOILUTSequence=lut(entries, first=1000))
    _, pixels, notes = film(tmp_path, VOILUTSequence=lut(entries, first=1000))
    assert notes == () and pixels == pytest.approx(apply_voi(RAMP, data) / 4095, abs=1e-6)
    entries = np.linspace(0, 255, 4096).astype(int)  # 8 bits, more than 256 entries
    _, pixels, _ = film(tmp_path, VOILUTSequence=lut(entries, bits=8))
    assert pixels == pytest.approx(entries[RAMP] / 255, abs=1e-6)


def test_rescale_comes_first_and_padding_is_black(tmp_path):
    _, pixels, _ = film(tmp_path, RescaleSlope=2, RescaleIntercept=-4096, WindowCenter=0, WindowWidth=8192)
    assert pixels == pytest.approx(np.clip((RAMP * 2.0 - 4096 + 0.5) / 8191 + 0.5, 0, 1), abs=1e-5)
    padded = RAMP.copy()
    padded[:5] = 4000
    _, pixels, _ = film(tmp_path, pixels=padded, PixelPaddingValue=4000, PhotometricInterpretation="MONOCHROME1",
                        PresentationLUTShape="INVERSE")  # fmt: skip
    assert (pixels[:5] == 0).all() and pixels[6:] == pytest.approx(1 - LINEAR[6:], abs=1e-6)


def test_without_a_window_nearly_all_values_are_shown_and_it_is_said(tmp_path):
    _, pixels, notes = film(tmp_path, WindowCenter=None, WindowWidth=None)
    assert pixels.min() == 0 and pixels.max() == 1 and "no VOI LUT and no window" in notes[0]


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (["L", "F"], RAMP),
        (["R", "F"], RAMP[:, ::-1]),  # mirrored
        (["R", "H"], RAMP[::-1, ::-1]),  # upside down
        (["F", "L"], RAMP.T),
        (["H", "L"], RAMP.T[::-1]),
        (["LF", "FR"], RAMP),  # nearly
        (["P", "F"], RAMP),  # lateral, facing left
        (["A", "H"], RAMP[::-1, ::-1]),
    ],
)
def test_films_of_the_trunk_are_turned_upright(tmp_path, orientation, expected):
    found, pixels, notes = film(tmp_path, PatientOrientation=orientation)
    assert notes == () and (pixels[0, 0] < pixels[-1, -1]) == (expected[0, 0] < expected[-1, -1])
    assert pixels == pytest.approx(np.clip((expected - 2047.5) / 4095 + 0.5, 0, 1), abs=1e-6)
    assert found.spacing_mm == ((0.1, 0.2) if expected.shape == RAMP.T.shape else (0.2, 0.1))


def test_limbs_are_left_as_they_are_and_nonsense_is_noted(tmp_path):
    found, pixels, notes = film(tmp_path, BodyPartExamined="HAND", PatientOrientation=["R", "H"], ImageLaterality="R")
    assert pixels == pytest.approx(LINEAR, abs=1e-6) and notes == ()
    assert (found.part, found.side) == ("hand", Side.RIGHT)
    _, pixels, notes = film(tmp_path, PatientOrientation=["L", "R"])
    assert pixels == pytest.approx(LINEAR, abs=1e-6) and "does not give two directions" in notes[0]


def code(meaning):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "SCT", meaning
    return [item]


@pytest.mark.parametrize(
    ("view", "meaning", "projection"),
    [
        ("AP", "", Projection.AP),
        ("LL", "", Projection.LATERAL),
        ("RL", "", Projection.LATERAL),
        ("LATERAL", "", Projection.LATERAL),
        ("LLD", "", Projection.OTHER),
        ("RAO", "", Projection.OTHER),
        (None, "postero-anterior", Projection.PA),
        (None, "antero-posterior", Projection.AP),
        (None, "left lateral", Projection.LATERAL),
        (None, "postero-anterior oblique", Projection.OTHER),
        (None, "", Projection.UNKNOWN),
    ],
)
def test_views(tmp_path, view, meaning, projection):
    changes = {"ViewCodeSequence": code(meaning)} if meaning else {}
    assert header(tmp_path, ViewPosition=view, **changes).projection is projection


def test_parts(tmp_path):
    for word, part in (("LSPINE", "spine"), ("RIBS", "chest"), ("RIGHT HAND", "hand"), ("DOE", "")):
        assert header(tmp_path, BodyPartExamined=word).part == part
    assert header(tmp_path, BodyPartExamined=None, AnatomicRegionSequence=code("Knee joint")).part == "knee"


@pytest.mark.parametrize(
    ("fields", "spacing", "magnification", "note"),
    [
        ({"PixelSpacing": [0.2, 0.1]}, (0.2, 0.1), None, ""),
        ({"ImagerPixelSpacing": None, "PixelSpacing": [0.3, 0.3]}, (0.3, 0.3), None, ""),
        ({"PixelSpacing": [0.16, 0.08]}, (0.2, 0.1), 1.25, ""),
        ({"PixelSpacing": [0.25, 0.125]}, (0.2, 0.1), None, ""),  # larger at the patient: no magnification
        ({"DistanceSourceToDetector": 1800, "DistanceSourceToPatient": 1500}, (0.2, 0.1), 1.2, ""),
        ({"EstimatedRadiographicMagnificationFactor": 1.1}, (0.2, 0.1), 1.1, ""),
        ({"EstimatedRadiographicMagnificationFactor": 0}, (0.2, 0.1), None, ""),
        (
            {"ImagerPixelSpacing": None, "PixelSpacing": [0.2, 0.2], "PixelSpacingCalibrationType": "GEOMETRY",
             "EstimatedRadiographicMagnificationFactor": 1.5},
            (0.3, 0.3), 1.5, "",
        ),
        (
            {"ImagerPixelSpacing": None, "PixelSpacing": [0.2, 0.2], "PixelSpacingCalibrationType": "FIDUCIAL"},
            None, None, "is valid at the patient",
        ),
        ({"ImagerPixelSpacing": [0, 0.1]}, None, None, "Imager Pixel Spacing (0018,1164) is not two numbers above 0"),
        ({"ImagerPixelSpacing": None}, None, None, ""),
    ],
)  # fmt: skip
def test_scale(tmp_path, fields, spacing, magnification, note):
    found = header(tmp_path, **fields)
    assert found.spacing_mm == pytest.approx(spacing) if spacing else found.spacing_mm is None
    assert found.magnification == (pytest.approx(magnification) if magnification else None)
    assert note in " ".join(found.notes) and bool(note) == bool(found.notes)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"PresentationIntentType": "FOR PROCESSING"}, "is FOR PROCESSING: its values are raw values"),
        ({"SOPClassUID": RAW, "PresentationIntentType": None}, "is FOR PROCESSING"),
        ({"Modality": "MG"}, "Modality (0008,0060) is not CR or DX"),
        ({"Modality": "RF"}, "is not CR or DX"),
        ({"Modality": "CT"}, "is CT: it is not a radiograph"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2"}, "is Digital Mammography X-Ray Image Storage"),
        ({"NumberOfFrames": 2}, "Number of Frames (0028,0008) is not 1"),
        ({"PhotometricInterpretation": "RGB"}, "is not MONOCHROME1 or 2"),
        ({"Rows": 20000, "Columns": 20000}, "above the limit"),
        ({"Rows": 400}, "bytes"),
        ({"WindowWidth": 0}, "Window Width (0028,1051) is too small"),
        ({"WindowWidth": "NaN"}, "not contain plain numbers"),
        ({"VOILUTFunction": "WAVY"}, "VOI LUT Function (0028,1056) is not one of"),
        ({"VOILUTSequence": lut([1, 2, 3], bits=40)}, "VOI LUT Sequence (0028,3010) is damaged"),
        ({"WindowCenter": -50000}, "one grey value everywhere"),
    ],
)  # fmt: skip
def test_what_is_no_film_is_refused_by_field(tmp_path, fields, reason):
    with pytest.raises(Refused) as caught:
        film(tmp_path, **fields)
    assert reason in caught.value.refusal.reason and caught.value.refusal.remedy
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_films_are_the_same(tmp_path, syntax):
    path = write_dicom(tmp_path / "x.dcm")
    data = pydicom.dcmread(path)
    if syntax == RLELossless:
        data.compress(RLELossless)
    else:
        data.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg")
    data.save_as(path)
    assert load_film(read_film_header(path))[0].pixels == pytest.approx(LINEAR, abs=1e-6)


def test_real_films_of_pydicom_are_read(sample):
    taken = {}
    for name in ("RG1_UNCI.dcm", "RG1_J2KI.dcm", "RG3_UNCI.dcm"):
        found = read_film_header(sample(name))
        taken[name] = load_film(found)[0].pixels
        assert min(taken[name].shape) > 500 and 0 <= taken[name].min() < taken[name].max() <= 1
    assert np.abs(taken["RG1_UNCI.dcm"] - taken["RG1_J2KI.dcm"]).max() < 0.01  # of these files this one has no loss
    lungs, spine = taken["RG1_UNCI.dcm"][400:700, 450:700], taken["RG1_UNCI.dcm"][400:700, 850:950]
    assert lungs.mean() < spine.mean() - 0.1  # MONOCHROME1: stored the other way round
