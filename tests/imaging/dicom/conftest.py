"""Real series, pydicom's own test files, and a writer of small ones."""

import os
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

ROOT = Path(os.environ.get("REAL_DATA", Path(__file__).parents[3].parent / "shared" / "realdata"))
CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
STUDY, SERIES = generate_uid(entropy_srcs=["study"]), generate_uid(entropy_srcs=["series"])
SECRET = "SECRET^PERSON"


@pytest.fixture
def real():
    if not (ROOT / "labels.csv").is_file():
        pytest.skip(f"no real data at {ROOT}; REAL_DATA names another place")
    return ROOT


@pytest.fixture
def sample():
    """A file of pydicom or pydicom-data by its name."""

    def find(name):
        path = get_testdata_file(name, download=False)
        if path is None:
            pytest.skip(f"{name} comes with the package pydicom-data, which is not installed")
        return Path(path)

    return find


def noise(shape=(8, 6), seed=0):
    return np.random.default_rng(seed).integers(0, 1000, shape).astype(np.int16)


@pytest.fixture
def write(tmp_path):
    """Write a small axial file: changes are by keyword, None takes a field out."""

    def save(name, pixels=None, z=0.0, modality="CT", **changes):
        pixels = noise(seed=int(z * 8)) if pixels is None else pixels
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        bits = pixels.dtype.itemsize * 8
        fields = dict(
            SOPClassUID=CT if modality == "CT" else MR, SOPInstanceUID=generate_uid(), Modality=modality,
            StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES, PatientID=SECRET, PatientName=SECRET,
            PatientBirthDate="19010203", Rows=pixels.shape[-2], Columns=pixels.shape[-1], SamplesPerPixel=1,
            PhotometricInterpretation="MONOCHROME2", BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1,
            PixelRepresentation=int(pixels.dtype.kind == "i"), PixelSpacing=[0.8, 0.5], SliceThickness=2,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[0, 0, z], InstanceNumber=1,
            RescaleSlope=1, RescaleIntercept=-1024, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        )  # fmt: skip
        if modality == "MR":
            del fields["RescaleSlope"], fields["RescaleIntercept"]
        for keyword, value in (fields | changes).items():
            if value is not None:
                setattr(data, keyword, value)
        data.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
        data["PixelData"].VR = "OW"
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data.save_as(path, enforce_file_format=True)
        return path

    return save
