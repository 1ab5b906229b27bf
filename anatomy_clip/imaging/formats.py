"""Files of other formats, told by how they begin or end, and what to do with them."""

from __future__ import annotations

import re
from pathlib import Path

from anatomy_clip.core.refusals import Refused

_TO_NIFTI = "convert it to .nii.gz, for instance with SimpleITK"
_TO_PNG = "convert it to PNG"
_UNPACK = "unpack it yourself"
_LONGEST = 352  # bytes of a NIfTI header, by whose end it says what it is

# (what it is, how its name ends, how it begins, remedy): the first that fits. Endings are tried after all beginnings.
_FORMATS = (
    ("an NRRD file", r"nrrd|nhdr", rb"NRRD000", _TO_NIFTI),
    ("a MetaImage file", r"mha|mhd|zraw", rb"(ObjectType|NDims|Comment)\s*=", _TO_NIFTI),
    ("a NIfTI file under another name", r"", rb"(?s:.{344})n[+][12]\0", "rename it to .nii"),
    ("half of a NIfTI or ANALYZE pair", r"hdr|img|hdr\.gz|img\.gz", rb"\x5c\x01\0\0|\0\0\x01\x5c", _TO_NIFTI),
    ("a FreeSurfer volume", r"mgz|mgh", rb"\0\0\0\x01(?s:.{12})\0\0\0[\0-\x04]", _TO_NIFTI),
    ("a MINC file", r"mnc|mnc\.gz", rb"CDF[\x01\x02]", _TO_NIFTI),
    ("an AFNI file", r"brik|head|brik\.gz", rb"\s*type\s*=\s*\S+-attribute", _TO_NIFTI),
    ("a Philips PAR/REC file", r"par|rec|xml/rec", rb"# === DATA DESCRIPTION", "convert it to .nii.gz with dcm2niix"),
    ("a GIPL file", r"gipl|gipl\.gz", rb"(?!)", _TO_NIFTI),
    ("a NumPy array", r"npy|npz", rb"\x93NUMPY", "save it as .nii.gz with its affine"),
    ("an HDF5 file", r"h5|hdf5", rb"\x89HDF", _TO_NIFTI),
    ("a TIFF picture", r"tiff?", rb"II\*\0|MM\0\*", _TO_PNG),
    ("a BMP picture", r"bmp", rb"BM(?s:.{4})\0\0\0\0", _TO_PNG),
    ("a WebP picture", r"webp", rb"RIFF(?s:.{4})WEBP", _TO_PNG),
    ("a GIF picture", r"gif", rb"GIF8[79]a", _TO_PNG),
    ("a JPEG 2000 picture", r"jp2|j2k", rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", _TO_PNG),
    ("a HEIF picture", r"heic|heif|avif", rb"(?s:.{4})ftyp(heic|heix|mif1|avif)", _TO_PNG),
    ("a PDF document", r"pdf", rb"%PDF", "leave it out"),
    ("a 7z archive", r"7z", rb"7z\xbc\xaf\x27\x1c", _UNPACK),
    ("a RAR archive", r"rar", rb"Rar!\x1a\x07", _UNPACK),
    ("a file compressed by xz", r"xz|txz", rb"\xfd7zXZ", _UNPACK),
    ("a file compressed by bzip2", r"bz2|tbz2", rb"BZh[1-9]", _UNPACK),
    ("a file compressed by zstd", r"zst", rb"\x28\xb5\x2f\xfd", _UNPACK),
    ("a file compressed by gzip", r"gz|tgz", rb"\x1f\x8b", "unpack it yourself; rename a NIfTI file to .nii.gz"),
    ("a tar archive", r"tar", rb"(?s:.{257})ustar", _UNPACK),
)  # fmt: skip


def refuse_other_format(path: Path) -> None:
    """Refuse a file that is of a known format, but none that is read here.

    Raises:
        Refused: it is; says which, and what to do.
    """
    with path.open("rb") as file:
        head = file.read(_LONGEST)
    for name, _, beginning, remedy in _FORMATS:
        if re.match(beginning, head):
            raise Refused(f"is {name}, which can't be read", remedy)
    for name, ending, _, remedy in _FORMATS:
        if ending and re.search(rf"\.({ending})$", path.name, re.IGNORECASE):
            raise Refused(f"is {name} by its name, which can't be read", remedy)
