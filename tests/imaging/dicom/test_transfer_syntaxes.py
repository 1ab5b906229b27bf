"""One golden hash a transfer syntax, from an uncompressed twin or a second decoder."""

import importlib.util
import io
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import JPEGBaseline8Bit

from anatomy_clip.core.refusals import Refused
from anatomy_clip.imaging.dicom import decode
from anatomy_clip.imaging.dicom.codestream import claimed_shape, lossless_fault
from anatomy_clip.imaging.dicom.decode import DECODERS, FrameReader, stored_frame
from anatomy_clip.imaging.dicom.files import read_whole
from anatomy_clip.imaging.dicom.pixels import load, read_frames
from anatomy_clip.imaging.dicom.series import find_series

# File, its uncompressed twin, the hash of the twin's stored pixels as little-endian 64-bit integers.
SMALL, ENHANCED = "7535ddb55eab556c", "1cbb54113fba50a2"
TWINS = [
    ("MR_small_implicit.dcm", "MR_small.dcm", SMALL),
    ("MR_small_bigendian.dcm", "MR_small.dcm", SMALL),
    ("MR_small_RLE.dcm", "MR_small.dcm", SMALL),
    ("MR_small_jp2klossless.dcm", "MR_small.dcm", SMALL),
    ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm", SMALL),
    ("emri_small_RLE.dcm", "emri_small.dcm", ENHANCED),
    ("emri_small_jpeg_2k_lossless.dcm", "emri_small.dcm", ENHANCED),
    ("emri_small_jpeg_ls_lossless.dcm", "emri_small.dcm", ENHANCED),
    ("emri_small_big_endian.dcm", "emri_small.dcm", ENHANCED),
    ("693_J2KR.dcm", "693_UNCR.dcm", "af3cdc5b2a14ead6"),  # JPEG 2000 lossless, signed
    ("693_J2KI.dcm", "693_UNCI.dcm", "80b7c67c9581c1ae"),  # JPEG 2000 lossy, signed
    ("MR2_J2KI.dcm", "MR2_UNCI.dcm", "b02e4eb0d589d10b"),  # JPEG 2000 lossy, unsigned
]
SECOND_DECODER = {
    "JPEGLSNearLossless_08.dcm": "3daabb855fa77b76",  # by GDCM
    "JPEGLSNearLossless_16.dcm": "450fb21f88274309",  # by GDCM
    "JPGLosslessP14SV1_1s_1f_8b.dcm": "189fab1d8a7c4f2e",  # by libjpeg-turbo
    "JPEG-LL.dcm": "29f9e84096fb3897",  # by the decoder beside this file
    "image_dfl.dcm": "019e5686870c4deb",  # by zlib alone
}


def digest(pixels):
    return sha256(np.ascontiguousarray(pixels).astype("<i8").tobytes()).hexdigest()[:16]


def native(path):
    """Pixels straight from the bytes of an uncompressed file."""
    data = pydicom.dcmread(path)
    kind = f"<{'i' if data.PixelRepresentation else 'u'}{data.BitsAllocated // 8}"
    return np.frombuffer(data.PixelData, kind).reshape(-1, data.Rows, data.Columns)


def stream(path):
    return get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1)


@pytest.mark.parametrize(("name", "twin", "golden"), TWINS, ids=lambda v: str(v).removesuffix(".dcm"))
def test_compressed_files_equal_their_uncompressed_twins(sample, name, twin, golden):
    data, frames = read_whole(sample(name)), native(sample(twin))
    assert digest(frames[0]) == golden
    for number, pixels in enumerate(frames, start=1):
        assert np.array_equal(stored_frame(data, number), pixels)


def test_three_encodings_of_one_enhanced_mr(real):
    files = sorted((real / "dicom/pydicom_data/enhanced_mr").iterdir())
    assert len(files) == 3
    for number in range(1, 11):
        assert len({digest(stored_frame(read_whole(path), number)) for path in files}) == 1


@pytest.mark.parametrize("name", SECOND_DECODER)
def test_golden_hashes_of_files_without_a_twin(sample, name):
    assert digest(stored_frame(read_whole(sample(name)))) == SECOND_DECODER[name]


@pytest.mark.parametrize("name", ["JPEGLSNearLossless_08.dcm", "JPEGLSNearLossless_16.dcm"])
def test_jpeg_ls_agrees_with_gdcm(sample, name):
    data = pydicom.dcmread(sample(name))
    assert digest(pydicom.pixels.pixel_array(data, raw=True, decoding_plugin="gdcm")) == SECOND_DECODER[name]


def test_lossless_jpeg_agrees_with_libjpeg_turbo(sample):
    path = sample("JPGLosslessP14SV1_1s_1f_8b.dcm")
    other = cv2.imdecode(np.frombuffer(stream(path), np.uint8), cv2.IMREAD_UNCHANGED)
    if other is None:
        pytest.skip("this OpenCV has no lossless JPEG")
    assert np.array_equal(other, stored_frame(read_whole(path)))


def test_lossless_jpeg_of_16_bits_agrees_with_a_plain_decoder(sample):
    spec = importlib.util.spec_from_file_location("lossless_jpeg", Path(__file__).with_name("lossless_jpeg.py"))
    plain = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plain)
    path = sample("JPEG-LL.dcm")
    pixels = plain.decode(stream(path)).astype(np.uint16).view(np.int16)
    assert digest(pixels) == SECOND_DECODER["JPEG-LL.dcm"]


def test_deflated_agrees_with_zlib_alone(sample):
    path = sample("image_dfl.dcm")
    pixels = pydicom.dcmread(path).PixelData  # pydicom inflates by itself
    assert digest(np.frombuffer(pixels, np.uint8).reshape(512, 512)) == SECOND_DECODER["image_dfl.dcm"]


def test_baseline_jpeg_of_a_grey_slice(write):
    grey = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (32, 48)).astype(np.uint8), (5, 5), 0)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=90)
    path = write("x.dcm", grey)
    data = pydicom.dcmread(path)
    data.PixelData = encapsulate([buffer.getvalue()])
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.save_as(path)
    (series,), _ = find_series([path])
    other = cv2.imdecode(np.frombuffer(buffer.getvalue(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(next(read_frames(series)).pixels, other - 1024.0)


def test_jpeg_2000_with_a_wrong_sign_is_mended(sample):
    assert stored_frame(read_whole(sample("J2K_pixelrep_mismatch.dcm"))).min() == -2000


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEG-lossy.dcm"])
def test_twelve_bit_jpeg_says_what_to_do(sample, name):
    with pytest.raises(Refused, match=r"JPEG Extended .* of 12 bits can't be decoded here; convert it"):
        stored_frame(read_whole(sample(name)))


def test_a_missing_decoder_is_named(sample, monkeypatch):
    data = read_whole(sample("MR_small_jp2klossless.dcm"))
    monkeypatch.setitem(decode.DECODERS, data.file_meta.TransferSyntaxUID, "absent")
    with pytest.raises(Refused, match="install absent"):
        stored_frame(data)
    assert set(DECODERS.values()) >= {"pydicom", "gdcm", "pyjpegls", "pillow"}


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("MR_small_jp2klossless.dcm", (64, 64)),
        ("MR_small_jpeg_ls_lossless.dcm", (64, 64)),
        ("JPEG-LL.dcm", (1024, 256)),
        ("JPGExtended.dcm", (1024, 256)),
        ("GDCMJ2K_TextGBR.dcm", (400, 400)),
    ],
)
def test_a_stream_says_its_size(sample, name, shape):
    found = stream(sample(name))
    assert claimed_shape(found) == shape
    assert all(claimed_shape(found[:n]) in (None, shape) for n in range(200))


@pytest.mark.parametrize("name", ["MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_a_stream_that_claims_another_size_is_refused_before_decoding(sample, name):
    data = read_whole(sample(name))
    data.Rows, data.Columns = 32, 128
    with pytest.raises(Refused, match=r"states \(64, 64\) pixels, but the header says \(32, 128\)"):
        stored_frame(data)


def test_a_cut_compressed_file_is_refused(sample, tmp_path):
    whole = sample("MR_small_jp2klossless.dcm").read_bytes()
    for share in (0.6, 0.9):
        path = tmp_path / f"{share}.dcm"
        path.write_bytes(whole[: int(len(whole) * share)])
        series, refusals = find_series([path])
        assert refusals == []  # its end is not looked for before its pixels are
        with pytest.raises(ValueError, match=f"{share}.dcm"):
            load(series[0], 0, FrameReader())


def test_too_many_samples_are_refused_before_decoding(sample):
    data = read_whole(sample("MR_small.dcm"))
    data.Rows = data.Columns = 20000
    with pytest.raises(Refused, match="above the limit of 268435456 samples"):
        stored_frame(data)


def lossless(sample, changes):
    """The stream of a real CT with bytes changed by their place."""
    data = read_whole(sample("bad_sequence.dcm"))
    found = bytearray(get_frame(data.PixelData, 0, number_of_frames=1))
    for at, value in changes.items():
        found[at] = value
    data.PixelData = encapsulate([bytes(found)])
    return data


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({2: 0xC2}, "markers are damaged"),  # no marker
        ({11: 72}, "FFE0 is not allowed"),  # JFIF of an unknown version
        ({21: 0xC1}, "FFC1 is not allowed"),  # another kind of frame
        ({24: 222}, "of 222 bits"),  # would make GDCM write past its buffer
        ({29: 3}, "not have exactly one component"),
        ({33: 159}, "markers are damaged"),
        ({38: 255}, "markers are damaged"),  # more codes than there are
        ({68: 9}, "scan is damaged"),
    ],
)
def test_a_lossless_jpeg_that_would_end_the_process_is_refused(sample, changes, why):
    data = lossless(sample, changes)
    with pytest.raises(Refused, match=why):
        stored_frame(data)


def test_a_lossless_jpeg_of_a_real_ct_passes(sample):
    assert lossless_fault(stream(sample("bad_sequence.dcm")), (512, 512), 16) == ""
    assert stored_frame(lossless(sample, {})).shape == (512, 512)
