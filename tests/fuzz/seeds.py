"""Whole files that fuzzing starts from: pydicom's own, dressed up as CT or MR where they are none, and NIfTI."""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass, field, replace

import nibabel as nib
import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, EnhancedCTImageStorage, EnhancedMRImageStorage, MRImageStorage

# name -> file of pydicom, and how it is dressed; None: as it is.
_BUNDLED = {
    "ct": ("CT_small.dcm", None),
    "mr": ("MR_small.dcm", None),
    "mr implicit": ("MR_small_implicit.dcm", None),
    "mr big endian": ("MR_small_bigendian.dcm", None),
    "mr rle": ("MR_small_RLE.dcm", None),
    "mr jpeg 2000": ("MR_small_jp2klossless.dcm", None),
    "ct jpeg 2000 lossy": ("693_J2KI.dcm", None),
    "mr jpeg-ls": ("MR_small_jpeg_ls_lossless.dcm", None),
    "mr jpeg-ls lossy": ("JPEGLSNearLossless_16.dcm", "mr"),
    "mr jpeg lossless": ("JPEG-LL.dcm", "mr"),
    "enhanced mr": ("emri_small.dcm", "enhanced"),
    "enhanced mr rle": ("emri_small_RLE.dcm", "enhanced"),
    "enhanced mr jpeg 2000": ("emri_small_jpeg_2k_lossless.dcm", "enhanced"),
    "no image": ("reportsi.dcm", None),
}
USELESS = ("no image",)


@dataclass(frozen=True)
class Seed:
    """A file's bytes.

    Attributes:
        name: of the seed.
        suffix: of the file's name.
        data: the file.
        plain: for a file that is compressed as a whole, the same without; empty otherwise.
        elements: (offset of the value, its length, tag, VR, explicit VR) of a DICOM file's top elements.
    """

    name: str
    suffix: str
    data: bytes = field(repr=False)
    plain: bytes = field(default=b"", repr=False)
    elements: tuple[tuple[int, int, int, str, bool], ...] = field(default=(), repr=False)

    def pack(self, plain: bytes) -> bytes:
        """Compress as this seed is."""
        if self.suffix != ".dcm":
            return gzip.compress(plain, 1)
        engine = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
        return self.data[: _meta_end(self.data)] + engine.compress(plain[_meta_end(self.plain) :]) + engine.flush()


def seeds() -> list[Seed]:
    """All seeds, in a fixed order."""
    found = []
    for name, (file, dress) in _BUNDLED.items():
        path = get_testdata_file(file, download=False)
        if path is None:  # the package pydicom-data isn't here
            continue
        dataset = pydicom.dcmread(path)
        if dress == "mr":
            _dress(dataset)
        elif dress == "enhanced":
            _enhance(dataset)
        data = _bytes(dataset) if dress else open(path, "rb").read()
        found.append(Seed(name, ".dcm", data, elements=_elements(data)))
    by_name = {seed.name: seed for seed in found}
    ct = by_name["ct"]
    found.append(_deflated(ct))
    frames = _bytes(_enhanced_ct(pydicom.dcmread(io.BytesIO(ct.data))))
    found.append(Seed("enhanced ct", ".dcm", frames, elements=_elements(frames)))
    return found + _nifti()


def _deflated(ct: Seed) -> Seed:
    """The same, deflated."""
    meta = pydicom.dcmread(io.BytesIO(ct.data), stop_before_pixels=True).file_meta
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = io.BytesIO()
    pydicom.filewriter.write_file_meta_info(head, meta)
    seed = Seed("ct deflated", ".dcm", ct.data[:132] + head.getvalue(), ct.data, ct.elements)
    return replace(seed, data=seed.pack(ct.data))


def _meta_end(data: bytes) -> int:
    return 144 + int.from_bytes(data[140:144], "little")


def _bytes(dataset: Dataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _elements(data: bytes) -> tuple[tuple[int, int, int, str, bool], ...]:
    dataset = pydicom.dcmread(io.BytesIO(data))
    explicit = not dataset.original_encoding[0]
    raw = [dataset.get_item(tag) for tag in dataset.keys()]
    return tuple(
        (e.value_tell, e.length, int(e.tag), e.VR or "", explicit)
        for e in raw
        if getattr(e, "value_tell", 0) and e.length < len(data)
    )


def _dress(dataset: Dataset) -> None:
    dataset.Modality, dataset.SOPClassUID = "MR", MRImageStorage
    dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [1, 1], 2
    if "SOPInstanceUID" not in dataset:
        dataset.SOPInstanceUID = dataset.file_meta.get("MediaStorageSOPInstanceUID", "1.2.3")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


def _enhance(dataset: Dataset, modality: str = "MR") -> Dataset:
    kind = EnhancedMRImageStorage if modality == "MR" else EnhancedCTImageStorage
    dataset.Modality, dataset.SOPClassUID, dataset.file_meta.MediaStorageSOPClassUID = modality, kind, kind
    shared, plane, measures, rescale = Dataset(), Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [1, 1], 2
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 1, -1024 if modality == "CT" else 0, "HU"
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [plane], [measures]
    shared.PixelValueTransformationSequence = [rescale]
    frames = []
    for n in range(int(dataset.NumberOfFrames)):
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, 2 * n]
        frame.PlanePositionSequence = [place]
        frames.append(frame)
    dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = [shared], frames
    return dataset


def _enhanced_ct(dataset: Dataset) -> Dataset:
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        del dataset[name]
    dataset.NumberOfFrames, dataset.PixelData = 3, dataset.PixelData * 3
    return _enhance(dataset, "CT")


def _nifti() -> list[Seed]:
    voxels = np.random.default_rng(0).integers(-200, 400, (40, 36, 12)).astype(np.int16)
    affine = np.diag([-1.5, 1.5, 3.0, 1.0])
    whole = nib.Nifti1Image(voxels, affine).to_bytes()
    real = nib.Nifti1Image(voxels.astype(np.float32), affine)
    real.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"<CaretExtension>" + b"x" * 80))
    second = nib.Nifti2Image(voxels, affine).to_bytes()
    packed = real.to_bytes()
    return [
        Seed("nifti", ".nii", whole),
        Seed("nifti packed", ".nii.gz", gzip.compress(packed, 1), packed),
        Seed("nifti-2", ".nii", second),
    ]
