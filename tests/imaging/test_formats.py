"""Files of other formats are named, by how they begin or else by their names, and never called damaged."""

import bz2
import gzip
import io
import lzma
import tarfile

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from anatomy_clip.core.refusals import Refused
from anatomy_clip.imaging.dicom.headers import read_headers

GREY = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def picture(kind):
    out = io.BytesIO()
    Image.new("L", (20, 20)).save(out, kind)
    return out.getvalue()


def tar():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as opened:
        opened.addfile(tarfile.TarInfo("x"))
    return out.getvalue()


CASES = {
    "nrrd": (b"NRRD0004\ntype: short\n", "is an NRRD file, which can't be read; convert it to .nii.gz"),
    "metaimage": (b"ObjectType = Image\nNDims = 3\n", "is a MetaImage file"),
    "nifti": (nib.Nifti1Image(GREY, np.eye(4)).to_bytes(), "is a NIfTI file under another name, .*; rename it to .nii"),
    "mgh": (nib.MGHImage(GREY, np.eye(4)).to_bytes(), "is a FreeSurfer volume"),
    "hdf5": (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
    "tiff": (picture("TIFF"), "is a TIFF picture, which can't be read; convert it to PNG"),
    "bmp": (picture("BMP"), "is a BMP picture"),
    "webp": (picture("WEBP"), "is a WebP picture"),
    "gif": (picture("GIF"), "is a GIF picture"),
    "xz": (lzma.compress(b"x"), "is a file compressed by xz, which can't be read; unpack it"),
    "bzip2": (bz2.compress(b"x"), "is a file compressed by bzip2"),
    "gzip": (gzip.compress(b"x"), "is a file compressed by gzip, .*; unpack it yourself; rename a NIfTI file"),
    "tar": (tar(), "is a tar archive"),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_file_is_told_by_how_it_begins(tmp_path, kind):
    content, said = CASES[kind]
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(Refused, match=said) as caught:
        read_headers(tmp_path / "x")
    assert not any(word in str(caught.value) for word in ("preamble", "damaged", "fetch"))


@pytest.mark.parametrize("name", ["p.hdr", "p.img"])
def test_both_halves_of_a_pair_are_told(tmp_path, name):
    nib.save(nib.Nifti1Pair(GREY, np.eye(4)), tmp_path / "p.hdr")
    with pytest.raises(
        Refused, match=r"is half of a NIfTI or ANALYZE pair( by its name)?, which can't be read; convert"
    ):
        read_headers(tmp_path / name)


def test_a_name_decides_where_the_content_says_nothing(tmp_path):
    (tmp_path / "a.MHA").write_bytes(bytes(200))
    with pytest.raises(Refused, match="is a MetaImage file by its name, which can't be read"):
        read_headers(tmp_path / "a.MHA")
    for name in ("a.txt", "a"):
        (tmp_path / name).write_bytes(b"some words")
        with pytest.raises(Refused, match="is not a DICOM file, or has no preamble"):
            read_headers(tmp_path / name)


def test_dicom_is_dicom_whatever_its_name(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0" + bytes(124) + b"DICM" + bytes(20))
    with pytest.raises(Refused) as caught:
        read_headers(tmp_path / "a.tif")
    assert "TIFF" not in str(caught.value)
