"""Frames that are no slice are refused by their header's word; slices whose words look alike are taken."""

import pydicom
import pytest
from pydicom.dataset import Dataset

from anatomy_clip.imaging.dicom.series import find_series


def told(path):
    series, refusals = find_series([path])
    return [one.reason for one in refusals], [note for one in series for note in one.notes]


@pytest.mark.parametrize(
    ("modality", "words", "said"),
    [
        ("MR", ["M", "ND", "NORM", "MOSAIC"], "says MOSAIC: it shows many slices side by side in one frame"),
        ("CT", ["LOCALIZER"], "says LOCALIZER: a CT localizer is a projection"),
        ("CT", ["PROJECTION IMAGE", "MIP"], "says PROJECTION IMAGE: it is a projection"),
        ("CT", ["AXIAL", "CT_SOM5 MIP"], "says MIP: it is a projection"),
        ("CT", ["REFORMATTED", "MIN IP"], "says MIN IP: it is a projection"),
        ("MR", ["MIP_SAG"], "says MIP: it is a projection"),
        ("MR", ["MNIP", "ND"], "says MNIP: it is a projection"),
        ("CT", ["AXIAL", "VOLUME_RENDERING"], "says VOLUME RENDERING: it is a rendering"),
        ("CT", ["OTHER", "CT_SOM5 VRT"], "says VRT: it is a rendering"),
        ("CT", ["MPR CURVED"], "says MPR CURVED: it is a reformat along a curve"),
        ("CT", ["SCREEN SAVE"], "says SCREEN SAVE: it is a picture"),
        ("CT", ["OTHER", "CT_SOM5 PROT"], "says PROT: it is a picture"),
    ],
)
def test_image_type_says_that_it_is_no_slice(write, modality, words, said):
    path = write("x.dcm", modality=modality, ImageType=["DERIVED", "SECONDARY", *words])
    (reason,), notes = told(path)
    assert reason.startswith("Image Type (0008,0008)") and said in reason and not notes


@pytest.mark.parametrize(
    ("modality", "words"),
    [
        ("MR", ["LOCALIZER"]), ("CT", ["AXIAL", "LOW_DOSE"]), ("CT", ["MPR"]), ("CT", ["AXIAL", "CT_SOM5 SPI"]),
        ("MR", ["M", "SHIPPED"]), ("MR", ["M_FFE", "M", "FFE"]), ("CT", []),
    ],
)  # fmt: skip
def test_slices_with_words_that_look_alike_are_taken(write, modality, words):
    assert told(write("x.dcm", modality=modality, ImageType=["ORIGINAL", "PRIMARY", *words])) == ([], [])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"VolumetricProperties": "SAMPLED"}, "Volumetric Properties (0008,9206) says SAMPLED: it is a projection"),
        ({"VolumetricProperties": "DISTORTED"}, "a reformat along a curve"),
        ({"VolumeBasedCalculationTechnique": "MAX_IP"}, "(0008,9207) says MAX_IP: it is a projection"),
        ({"VolumeBasedCalculationTechnique": "VOLUME_RENDER"}, "a rendering"),
        ({"ConversionType": "DF"}, "Conversion Type (0008,0064) says DF: it is a picture"),
    ],
)
def test_other_fields_say_that_it_is_no_slice(write, changes, said):
    (reason,), _ = told(write("x.dcm", **changes))
    assert said in reason


def test_a_mosaic_is_known_by_its_maker_s_count_too(write):
    for tiles, refused in ((16, 1), (1, 0)):
        path = write(f"{tiles}.dcm", modality="MR")
        data = pydicom.dcmread(path)
        data.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", tiles)
        data.save_as(path)
        reasons, _ = told(path)
        assert len(reasons) == refused and all("states 16 slices side by side" in one for one in reasons)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR THICK"]}, "says THICK: each frame may be made of a slab"),
        ({"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"]}, "says AVERAGE"),
        (
            {"SeriesDescription": "cor MIP of SECRET^PERSON"},
            "Series Description (0008,103E) says mip: it may not be a single slice",
        ),
    ],
)
def test_slabs_and_what_people_call_a_projection_are_noted(write, changes, note):
    reasons, (found,) = told(write("x.dcm", **changes))
    assert not reasons and note in found and "SECRET" not in found


def test_the_frame_that_has_no_place_or_is_no_slice_is_named(sample, tmp_path):
    for name, change in {"place": "PlanePositionSequence", "kind": "CTImageFrameTypeSequence"}.items():
        data = pydicom.dcmread(sample("eCT_Supplemental.dcm"))
        second = data.PerFrameFunctionalGroupsSequence[1]
        if name == "place":
            del second[change]
        else:
            kind = Dataset()
            kind.FrameType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
            kind.VolumeBasedCalculationTechnique = "MAX_IP"
            second.CTImageFrameTypeSequence = [kind]
        data.save_as(tmp_path / f"{name}.dcm")
    (place,), _ = told(tmp_path / "place.dcm")
    (kind,), _ = told(tmp_path / "kind.dcm")
    assert place.startswith("frame 2 of 2: Image Position (Patient) (0020,0032) is missing")
    assert kind.startswith("frame 2 of 2: Volume Based Calculation Technique (0008,9207) says MAX_IP")


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (
            ("RescaleSlope", "RescaleIntercept"),
            "Rescale Slope (0028,1053) and Rescale Intercept (0028,1052) are missing",
        ),
        (("RescaleIntercept",), "Rescale Intercept (0028,1052) is missing"),
        (("RescaleSlope",), "Rescale Slope (0028,1053) is missing"),
    ],
)
def test_half_a_rescale_is_told(write, gone, said):
    assert told(write("x.dcm", **dict.fromkeys(gone))) == ([], [f"{said}: the values may not be HU"])
    assert told(write("mr.dcm", modality="MR")) == ([], [])
