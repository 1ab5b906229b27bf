"""Writes small DICOM radiographs: changes are by keyword, None takes a field out."""

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CR, DX, RAW = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("1", "1.1", "1.1.1"))
SECRET = "SECRET^PERSON"


def ramp(shape=(40, 32), top=4095):
    """Values that grow down and to the right; each pixel differs from its mirror images."""
    return np.linspace(0, top, shape[0] * shape[1]).reshape(shape).astype(np.uint16)


def dataset(pixels=None, **changes):
    pixels = ramp() if pixels is None else pixels
    bits = pixels.dtype.itemsize * 8
    stored = bits if bits == 8 else 12
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    fields = dict(
        SOPClassUID=DX, SOPInstanceUID=generate_uid(), Modality="DX", StudyInstanceUID=generate_uid(),
        PatientID=SECRET, PatientName=SECRET, PatientBirthDate="19010203", PresentationIntentType="FOR PRESENTATION",
        BodyPartExamined="CHEST", ViewPosition="PA", PatientOrientation=["L", "F"], ImagerPixelSpacing=[0.2, 0.1],
        Rows=pixels.shape[-2], Columns=pixels.shape[-1], SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2",
        PresentationLUTShape="IDENTITY", BitsAllocated=bits, BitsStored=stored, HighBit=stored - 1,
        PixelRepresentation=int(pixels.dtype.kind == "i"), WindowCenter=2048, WindowWidth=4096,
        RescaleSlope=1, RescaleIntercept=0,
    )  # fmt: skip
    for keyword, value in (fields | changes).items():
        if value is not None:
            setattr(data, keyword, value)
    data.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    data["PixelData"].VR = "OW"
    return data


def write_dicom(path, pixels=None, **changes):
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset(pixels, **changes).save_as(path, enforce_file_format=True)
    return path
