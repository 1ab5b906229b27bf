"""Frames as their files ask to be shown, against highdicom and against their twins."""

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from anatomy_clip.imaging.dicom.files import read_whole
from anatomy_clip.imaging.dicom.voi import Window, display, windows


def ours(write, name, pixels, **changes):
    return display(read_whole(write(name, pixels, **changes)))


def theirs(data, number=1, selector=0):
    image = highdicom.Image.from_dataset(data)
    shown = image.get_frame(
        number, apply_real_world_transform=False, apply_modality_transform=None, apply_voi_transform=True,
        voi_transform_selector=selector, voi_output_range=(0.0, 255.0), apply_presentation_lut=True,
        apply_palette_color_lut=False, apply_icc_profile=False,
    )  # fmt: skip
    return np.asarray(shown, np.float64)


RAMP = np.arange(-1024, 1024, dtype=np.int16).reshape(32, 64)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("centre", "width"), [(40, 400), (-600, 1500.5), (0, 1.5)])
def test_windows_agree_with_highdicom(write, function, centre, width):
    path = write("x.dcm", RAMP, WindowCenter=centre, WindowWidth=width, VOILUTFunction=function, RescaleIntercept=0)
    assert np.abs(display(read_whole(path)) - theirs(pydicom.dcmread(path))).max() <= 0.5 + 1e-6


def test_real_files_agree_with_highdicom(real, sample):
    paths = [sorted((real / "dicom" / name).iterdir())[0] for name in ("seg3d/chest_mr", "dcm4che/left_wrist_mr")]
    paths += [
        real / "dicom/pydicom_data/enhanced_ct/eCT_Supplemental.dcm",
        sample("vlut_04.dcm"),
        sample("RG3_UNCR.dcm"),
    ]
    for path in paths:
        assert np.abs(display(read_whole(path)) - theirs(pydicom.dcmread(path))).max() <= 0.5 + 1e-6, path.name


def test_a_modality_lut_is_applied(sample):
    shown, raw = display(read_whole(sample("mlut_18.dcm"))), pydicom.dcmread(sample("mlut_18.dcm"))
    mapped = pydicom.pixels.apply_modality_lut(raw.pixel_array, raw).astype(float)
    assert np.abs(shown - mapped / mapped.max() * 255).max() <= 0.5 + 1e-6


def test_monochrome_twins_look_the_same(write):
    pixels = np.random.default_rng(0).integers(0, 4096, (32, 32)).astype(np.uint16)
    for centre, width in ((2000, 1000), (300, 77)):
        plain = ours(write, "2.dcm", pixels, modality="MR", WindowCenter=centre, WindowWidth=width)
        inverted = ours(write, "1.dcm", 4095 - pixels, modality="MR", PhotometricInterpretation="MONOCHROME1",
                        WindowCenter=4096 - centre, WindowWidth=width)  # fmt: skip
        assert np.array_equal(plain, inverted)
    plain = ours(write, "2.dcm", pixels, modality="MR")
    assert np.array_equal(
        plain, ours(write, "1.dcm", 4095 - pixels, modality="MR", PhotometricInterpretation="MONOCHROME1")
    )


def test_several_windows_are_chosen_by_index(write):
    path = write("x.dcm", RAMP, WindowCenter=[40, -600], WindowWidth=[400, 1500])
    data = read_whole(path)
    assert windows(data) == [Window(40, 400), Window(-600, 1500)]
    for index, (centre, width) in enumerate([(40, 400), (-600, 1500)]):
        assert np.array_equal(display(data, index), ours(write, "y.dcm", RAMP, WindowCenter=centre, WindowWidth=width))
    with pytest.raises(ValueError, match="window 2 was asked for, but there are 2"):
        display(data, 2)


def test_a_real_file_with_two_windows(real):
    path = sorted((real / "dicom/totalsegmentator/abdomen_ct").iterdir())[0]
    data = read_whole(path)
    first, second = display(data), display(data, 1)
    assert windows(data) == [Window(40, 300), Window(300, 1500)]
    data.WindowCenter, data.WindowWidth = 40, 300
    assert np.array_equal(display(data), first)
    assert not np.array_equal(first, second)


def test_a_window_without_width_is_no_window(write):
    zero = ours(write, "x.dcm", RAMP, WindowCenter=40, WindowWidth=0)
    none = ours(write, "y.dcm", RAMP)
    assert np.array_equal(zero, none)
    assert (none.min(), none.max()) == (0, 255)
    second = ours(write, "z.dcm", RAMP, WindowCenter=[40, 40], WindowWidth=[0, 400])
    assert np.array_equal(second, ours(write, "w.dcm", RAMP, WindowCenter=40, WindowWidth=400))


def test_a_window_of_one_is_a_threshold(write):
    shown = ours(write, "x.dcm", RAMP, WindowCenter=0, WindowWidth=1, RescaleIntercept=0)
    assert np.array_equal(shown == 255, RAMP >= 0)
    assert set(np.unique(shown)) == {0, 255}


def test_a_voi_lut_comes_before_the_windows(write):
    path = write("x.dcm", np.arange(48, dtype=np.uint16).reshape(8, 6), modality="MR", WindowCenter=24, WindowWidth=48)
    data = read_whole(path)
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [48, 0, 8])
    lut.add_new("LUTData", "OW", np.arange(47, -1, -1).astype("<u2").tobytes())
    data.VOILUTSequence = Sequence([lut])
    assert np.array_equal(display(data), np.floor(np.arange(47, -1, -1).reshape(8, 6) + 0.5).astype(np.uint8))
    assert display(data, 1)[0, 0] == 0  # the window
    data.VOILUTSequence[0].LUTDescriptor = [0, 0]
    with pytest.raises(ValueError, match="VOI LUT Sequence"):
        display(data)


def test_padding_is_black_even_when_inverted(write):
    pixels = np.arange(48, dtype=np.int16).reshape(8, 6)
    pixels[0] = -2000
    for kind in ("MONOCHROME1", "MONOCHROME2"):
        shown = ours(write, f"{kind}.dcm", pixels, PixelPaddingValue=-2000, PhotometricInterpretation=kind)
        assert (shown[0] == 0).all()
        assert (shown.min(), shown.max()) == (0, 255)


def test_a_constant_image_is_black(write):
    assert not ours(write, "x.dcm", np.full((4, 4), 9, np.int16)).any()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (dict(WindowCenter=[1, 2], WindowWidth=[3]), "Window Center .* has 2 values"),
        (dict(WindowCenter=1, WindowWidth=3, VOILUTFunction="CUBIC"), "VOI LUT Function"),
    ],
)
def test_windows_that_make_no_sense_are_refused(write, changes, why):
    with pytest.raises(ValueError, match=why):
        ours(write, "x.dcm", RAMP, **changes)
