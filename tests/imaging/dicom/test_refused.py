"""Files that are no CT or MR slice, or are broken: each is refused with a reason and a remedy."""

import zlib

import numpy as np
import pydicom
import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from anatomy_clip.imaging.dicom import decode, files
from anatomy_clip.imaging.dicom.decode import FrameReader
from anatomy_clip.imaging.dicom.pixels import load, read_frames
from anatomy_clip.imaging.dicom.series import find_series
from anatomy_clip.imaging.slices import Slice

SECRET = "SECRET^PERSON"


def reason(path):
    series, refusals = find_series([path])
    assert series == []
    assert [r.where for r in refusals] == [str(path)]
    assert refusals[0].remedy
    assert SECRET not in str(refusals[0])
    return refusals[0].reason


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("SC_rgb_rle.dcm", "Modality (0008,0060) is not CT or MR"),
        ("badVR.dcm", "not CT or MR"),
        ("rtplan.dcm", "no Pixel Data"),
        ("reportsi.dcm", "no Pixel Data"),
        ("DICOMDIR", "no Pixel Data"),
        ("rtstruct.dcm", "no preamble"),
        ("ExplVR_LitEndNoMeta.dcm", "no preamble"),
        ("zipMR.gz", "compressed by gzip"),
        ("MR_truncated.dcm", "cut off: 8130 of 8192 bytes"),
        ("liver_1frame.dcm", "not CT or MR"),
        ("emri_small.dcm", "geometry is unknown"),
        ("waveform_ecg.dcm", "no Pixel Data"),
    ],
)
def test_files_that_hold_no_slice(sample, name, why):
    assert why in reason(sample(name))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
            "Secondary Capture Image Storage: it does not fit the modality CT",
        ),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a CT localizer is a projection"),
        ({"ImageOrientationPatient": None}, "Image Orientation (Patient) (0020,0037) is missing"),
        ({"ImageOrientationPatient": [1, 0, 0]}, "has 3 numbers, not 6"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "right angle"),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "unit directions"),
        ({"ImagePositionPatient": None}, "Image Position (Patient) (0020,0032) is missing"),
        ({"PixelSpacing": None}, "Pixel Spacing (0028,0030) is missing"),
        ({"PixelSpacing": [0, 1]}, "is not above 0"),
        ({"Rows": None}, "Rows (0028,0010) is missing"),
        ({"Rows": 0}, "states 1 frames of 0 x 6"),
        ({"Rows": 9}, "have 96 of 108 bytes"),
        ({"NumberOfFrames": 65535, "Rows": 65535, "Columns": 65535}, "above the limit of 268435456 samples"),
        ({"NumberOfFrames": 2, "Rows": 4}, "2 frames and 0 items"),
        ({"SamplesPerPixel": 3}, "not MONOCHROME1 or 2"),
        ({"PhotometricInterpretation": "RGB"}, "not MONOCHROME1 or 2"),
        ({"BitsStored": 17}, "is 17, but 16 bits are allocated"),
        ({"HighBit": 11}, "High Bit"),
        ({"Modality": "PT"}, "not CT or MR"),
    ],
)
def test_headers_that_can_t_be_used(write, changes, why):
    assert why in reason(write("x.dcm", **changes))


@pytest.mark.parametrize(("keyword", "vr"), [("Rows", "LO"), ("ImagePositionPatient", "PN"), ("PixelSpacing", "LO")])
def test_a_wrong_vr_names_the_field_and_not_its_value(write, keyword, vr):
    path = write("x.dcm")
    data = pydicom.dcmread(path)
    del data[keyword]
    data.add_new(keyword, vr, SECRET)
    data.save_as(path)
    assert pydicom.datadict.dictionary_description(keyword) in reason(path)


def test_missing_files_and_folders(tmp_path):
    assert reason(tmp_path / "gone.dcm") == "the file is missing"
    assert find_series([tmp_path]) == ([], [])
    (tmp_path / "empty.dcm").write_bytes(b"")
    assert "not a DICOM file" in reason(tmp_path / "empty.dcm")


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.7])
def test_a_file_that_is_cut_anywhere(write, tmp_path, share):
    whole = write("x.dcm").read_bytes()
    path = tmp_path / "cut.dcm"
    path.write_bytes(whole[: int(len(whole) * share)])
    assert reason(path)


def test_flipped_bytes_never_escape_as_another_error(write, tmp_path):
    whole = np.frombuffer(write("x.dcm", modality="MR").read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    path = tmp_path / "flipped.dcm"
    for _ in range(300):
        damaged = whole.copy()
        damaged[rng.integers(132, len(whole), 6)] = rng.integers(0, 256, 6)
        path.write_bytes(damaged.tobytes())
        series, refusals = find_series([path])
        assert len(series) + len(refusals) == 1
        for stack in series:
            for image in read_frames(stack):
                assert isinstance(image, Slice) or path.name in image.where


def test_endless_nesting_is_refused(write):
    path = write("x.dcm")
    one_level = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    head = path.read_bytes()
    at = head.index(b"\x08\x00\x60\x00CS")  # before Modality
    path.write_bytes(head[:at] + one_level * 5000 + head[at:])
    assert "RecursionError" in reason(path)


def deflated(path, target, extra=b""):
    data = pydicom.dcmread(path)
    plain = DicomBytesIO()
    pydicom.filewriter.write_dataset(_explicit(plain), data)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    out = DicomBytesIO()
    out.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(out, data.file_meta, enforce_standard=False)
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    out.write(engine.compress(plain.getvalue() + extra) + engine.flush())
    target.write_bytes(out.getvalue())
    return target


def _explicit(buffer):
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    return buffer


def test_a_deflated_file_is_read_within_a_limit(write, tmp_path, monkeypatch):
    path = write("x.dcm")
    small = deflated(path, tmp_path / "small.dcm")
    (a,), _ = find_series([path])
    (b,), _ = find_series([small])
    assert np.array_equal(next(read_frames(a)).pixels, next(read_frames(b)).pixels)
    monkeypatch.setattr(files, "MAX_INFLATED", 2**20)
    bomb = deflated(path, tmp_path / "bomb.dcm", b"\0" * 2**22)
    assert bomb.stat().st_size < 2**13
    assert "its decompressed content has more than 1048576 bytes" in reason(bomb)


def test_a_decoder_that_panics_is_a_value_error(write, monkeypatch):
    class PanicException(BaseException):
        pass

    def panic(*args, **kwargs):
        raise PanicException("index out of range")

    (stack,), _ = find_series([write("x.dcm")])
    monkeypatch.setattr(decode, "pixel_array", panic)
    with pytest.raises(ValueError, match=r"x\.dcm: frame 1 can't be decoded .*PanicException: index out of range"):
        load(stack, 0, FrameReader())
    monkeypatch.setattr(decode, "pixel_array", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        load(stack, 0, FrameReader())


def test_a_file_that_changed_since_is_refused(write):
    path = write("x.dcm")
    (stack,), _ = find_series([path])
    write("x.dcm", np.arange(30, dtype=np.int16).reshape(5, 6))
    with pytest.raises(ValueError, match="no longer"):
        load(stack, 0, FrameReader())
    path.unlink()
    with pytest.raises(ValueError, match="file is missing"):
        load(stack, 0, FrameReader())
