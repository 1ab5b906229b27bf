"""Pixels: display convention however a slice is stored, real values, and what is refused."""

import itertools

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
from scipy.ndimage import map_coordinates

from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging import nifti
from anatomy_clip.imaging.dicom.decode import FrameReader, stored_frame
from anatomy_clip.imaging.dicom.pixels import load, read_frames
from anatomy_clip.imaging.dicom.series import find_series
from anatomy_clip.imaging.dicom.values import modality_values

LEFT, BACK, HEAD = 100, 20, 3  # what a step towards each side adds to a pixel
AXES = np.eye(3)
DIRECTIONS = [
    (a * AXES[i], b * AXES[j]) for i, j in itertools.permutations(range(3), 2) for a in (1, -1) for b in (1, -1)
]


def only(paths):
    series, refusals = find_series(paths)
    assert (len(series), refusals) == (1, [])
    return series[0]


def first(series):
    return load(series, 0, FrameReader())


def stack(write, row, column, **changes):
    """A phantom of 4 slices of 5 x 6 pixels: each pixel tells its place in the patient."""
    paths = []
    for i in range(4):
        origin = np.cross(row, column) * i * 3
        place = origin + np.arange(6)[None, :, None] * row * 0.5 + np.arange(5)[:, None, None] * column * 0.8
        pixels = np.rint(place @ (LEFT, BACK, HEAD)).astype(np.int16)
        where = dict(ImagePositionPatient=origin.tolist(), ImageOrientationPatient=[*row, *column])
        paths.append(write(f"{i}.dcm", pixels, z=i, **where, **changes))
    return only(paths)


@pytest.mark.parametrize(("row", "column"), DIRECTIONS, ids=lambda v: "".join(f"{x:+.0f}" for x in v))
def test_display_is_the_same_for_all_stored_directions(write, row, column):
    series = stack(write, row, column)
    image = first(series)
    # Down and to the right: back and left; feet and left; feet and back.
    down, right = {
        Orientation.AXIAL: (BACK, LEFT), Orientation.CORONAL: (-HEAD, LEFT), Orientation.SAGITTAL: (-HEAD, BACK),
    }[series.orientation]  # fmt: skip
    steps = np.diff(image.pixels, axis=0).mean(), np.diff(image.pixels, axis=1).mean()
    assert steps[0] == pytest.approx(down * image.spacing_mm[0], abs=0.5)
    assert steps[1] == pytest.approx(right * image.spacing_mm[1], abs=0.5)
    assert sorted(image.spacing_mm) == [0.5, 0.8]
    assert (image.pixels.dtype, image.modality, image.protocol) == (np.float32, Modality.CT, Protocol.NONE)


def test_the_wrist_agrees_with_its_nifti_twin(real):
    series = only([real / "dicom/dcm4che/left_wrist_mr"])
    twin = nifti.read_volume(real / "nifti/dcm4che/left_wrist_mr.nii.gz", Modality.MR)
    # Ascending along the normal is front to back; a volume counts from back to front.
    for index, image in enumerate(read_frames(series)):
        plane = twin.plane(Orientation.CORONAL, 15 - index)
        assert np.array_equal(image.pixels, plane.pixels)
        assert image.spacing_mm == pytest.approx(plane.spacing_mm, abs=1e-4)


def test_the_abdomen_agrees_with_its_nifti_twin(real):
    """The NIfTI was resampled to 1.5 mm in plane: compare at its own places, by linear interpolation."""
    path = real / "totalsegmentator_ct/s9003/ct.nii.gz"
    twin, affine = nib.load(path).get_fdata(dtype=np.float32), nib.load(path).affine
    series = only([real / "dicom/totalsegmentator/abdomen_ct"])
    images = list(read_frames(series))
    assert len(images) == twin.shape[2] == 20
    assert series.spacing_mm == affine[2, 2] == 2
    header = pydicom.dcmread(series.frames[0].path, stop_before_pixels=True)
    left, back, height = (float(v) for v in header.ImagePositionPatient)
    i, j = np.meshgrid(*map(np.arange, twin.shape[:2]), indexing="ij")
    x, y = affine[0, 0] * i + affine[0, 3], affine[1, 1] * j + affine[1, 3]  # RAS
    # Displayed rows run to the back and columns to the left, as LPS does.
    at = [(-y - back) / images[0].spacing_mm[0], (-x - left) / images[0].spacing_mm[1]]
    last = np.array(images[0].pixels.shape) - 1
    levels = np.rint((affine[2, 2] * np.arange(20) + affine[2, 3] - height) / 2).astype(int)
    inside = (at[0] > 0) & (at[0] < last[0]) & (at[1] > 0) & (at[1] < last[1])
    for k, level in enumerate(levels):
        if not 0 <= level < 20:
            continue
        again = map_coordinates(images[level].pixels, at, order=1)
        off = np.abs(again - twin[:, :, k])[inside]
        assert np.median(off) < 0.5, k
        assert np.corrcoef(again[inside], twin[:, :, k][inside])[0, 1] > 0.9999, k
    assert (levels == np.arange(20)).all()


def test_values_agree_with_highdicom(real, sample):
    """An independent implementation of rescale and functional groups, on every series that it accepts."""
    series, _ = find_series(
        [real / "dicom", sample("693_UNCR.dcm"), sample("MR2_UNCR.dcm"), sample("bad_sequence.dcm")]
    )
    checked = 0
    for found in series:
        frame = found.frames[0]
        data = pydicom.dcmread(frame.path)
        if not data.SOPClassUID or "PixelPaddingValue" in data:
            continue  # highdicom takes no file without its class; padding is tested on its own
        image = highdicom.Image.from_dataset(data).get_frame(
            frame.number, apply_real_world_transform=False, apply_modality_transform=None,
            apply_voi_transform=False, apply_presentation_lut=False,
        )  # fmt: skip
        ours = first(found).pixels
        assert np.array_equal(np.sort(ours, axis=None), np.sort(np.asarray(image, np.float32), axis=None)), frame.path
        checked += 1
    assert checked >= 20


def test_enhanced_ct_is_rescaled(sample):
    series = only([sample("eCT_Supplemental.dcm")])
    images = list(read_frames(series))
    raw = pydicom.dcmread(sample("eCT_Supplemental.dcm")).pixel_array
    assert [image.pixels.min() for image in images] == [-1024, -1024]
    # Stored with columns running to the patient's right: mirrored for display. Frame 2 lies first.
    assert np.array_equal(images[0].pixels, raw[1, :, ::-1].astype(np.float32) - 1024)


def test_a_modality_lut_is_applied(sample):
    raw = pydicom.dcmread(sample("mlut_18.dcm"))
    mapped = pydicom.pixels.apply_modality_lut(raw.pixel_array, raw)
    assert np.array_equal(modality_values(raw, stored_frame(raw)), mapped)


def test_padding_becomes_the_least_value(write):
    pixels = np.arange(48, dtype=np.int16).reshape(8, 6)
    pixels[0] = -2000
    image = first(only([write("x.dcm", pixels, PixelPaddingValue=-2000)]))
    assert (image.pixels[0] == -1024 + 6).all()
    assert image.pixels.max() == 47 - 1024


def test_padding_with_the_other_sign_and_a_range(write):
    pixels = np.arange(48, dtype=np.int16).reshape(8, 6)
    pixels[0], pixels[1] = -2000, -1990
    path = write("x.dcm", pixels)
    data = pydicom.dcmread(path)
    data.add_new("PixelPaddingValue", "US", 65536 - 2000)
    data.add_new("PixelPaddingRangeLimit", "US", 65536 - 1990)
    data.save_as(path)
    image = first(only([path]))
    assert (image.pixels[:2] == 12 - 1024).all()


def test_padding_of_a_real_ct(real):
    series = only([real / "dicom/dcm_qa_ct"])
    raw = pydicom.dcmread(series.frames[0].path).pixel_array
    assert raw.min() == -1500
    assert first(series).pixels.min() == raw[raw != -1500].min()


def test_unused_bits_are_cleared(write):
    pixels = np.arange(48, dtype=np.uint16).reshape(8, 6)
    clean = first(only([write("a.dcm", pixels, BitsStored=12, HighBit=11, PixelRepresentation=0)]))
    dirty = pixels | np.uint16(0xA000)
    dirty = first(only([write("b.dcm", dirty, BitsStored=12, HighBit=11, PixelRepresentation=0)]))
    assert np.array_equal(clean.pixels, dirty.pixels)


def test_signed_values_of_fewer_bits(write):
    pixels = np.arange(-24, 24, dtype=np.int16).reshape(8, 6)
    stored = (pixels & np.int16(0x0FFF)).astype(np.int16)  # 12 bits, upper ones clear
    image = first(only([write("a.dcm", stored, BitsStored=12, HighBit=11)]))
    assert np.array_equal(image.pixels, pixels - 1024.0)


def test_an_inverted_mr_equals_its_twin(write):
    pixels = np.arange(48, dtype=np.uint16).reshape(8, 6)
    twins = [
        first(only([write(f"{kind}.dcm", stored, modality="MR", BitsStored=12, HighBit=11,
                          PhotometricInterpretation=kind, RescaleSlope=2.5)]))
        for kind, stored in (("MONOCHROME2", pixels), ("MONOCHROME1", 4095 - pixels))
    ]  # fmt: skip
    assert np.array_equal(twins[0].pixels, twins[1].pixels)


def test_hu_do_not_depend_on_how_they_are_shown(write):
    pixels = np.arange(48, dtype=np.int16).reshape(8, 6)
    kinds = [only([write(f"{k}.dcm", pixels, PhotometricInterpretation=k)]) for k in ("MONOCHROME1", "MONOCHROME2")]
    assert np.array_equal(first(kinds[0]).pixels, first(kinds[1]).pixels)


@pytest.mark.parametrize(
    ("changes", "why"), [({"RescaleSlope": 1e38}, "not finite"), ({"RescaleSlope": 0}, "have the same value")]
)
def test_useless_values_are_refused(write, changes, why):
    series = only([write("x.dcm", **changes)])
    with pytest.raises(ValueError, match=rf"x\.dcm: .*frame 1 .*{why}"):
        first(series)


def test_a_constant_slice_is_refused_and_the_others_go_on(write):
    paths = [write(f"{z}.dcm", np.full((8, 6), 7, np.int16) if z == 2 else None, z=z) for z in (0, 2, 4)]
    series = only(paths)
    with pytest.raises(ValueError, match=r"2\.dcm: all pixels of frame 1 have the same value"):
        load(series, 1, FrameReader())
    lowest, refusal, highest = read_frames(series)
    assert lowest.pixels.shape == highest.pixels.shape == (8, 6)
    assert refusal.where == str(paths[1]) and refusal.reason == "all pixels of frame 1 have the same value"
    assert (load(series, 1, FrameReader(), blank=True).pixels == 7 - 1024).all()


def test_thickness_is_each_slice_s_own(real):
    found = [image.thickness_mm for image in read_frames(only([real / "dicom/dcm_qa_ct"]))]
    assert found == [4] * 5 + [7] * 5
