"""Descriptions made by hand of real and small written files, for Structured Reports."""

import os
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from anatomy_clip.describe.description import Finding, SeriesDescription, SliceDescription, SourceImage
from anatomy_clip.describe.sr.tree import Algorithm

REAL = Path(os.environ.get("REAL_DATA", Path(__file__).parents[2].parent / "shared" / "realdata"))
ALGORITHM = Algorithm("pmc_msa", "1.2.3", "c0ffee" * 10 + "abcd")
# What must not get out: name, id, birth date, accession number, referring physician, study date.
SECRETS = {
    "PatientName": "PLANTED^NAME", "PatientID": "PLANTED-ID", "PatientBirthDate": "19010203", "PatientSex": "F",
    "AccessionNumber": "PLANTED-ACC", "ReferringPhysicianName": "PLANTED^DOCTOR", "StudyDate": "19991231",
    "StudyTime": "235959", "StudyID": "PLANTED-SID", "StudyDescription": "PLANTED STUDY",
}  # fmt: skip


def write_ct(folder, count, modality="CT", frames=1, **changes):
    """Small axial files of one series, with planted identifiers; gives their paths."""
    study, series = generate_uid(), generate_uid()
    classes = {"CT": CTImageStorage, "MR": MRImageStorage if frames == 1 else EnhancedMRImageStorage}
    paths = []
    for number in range(count):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        pixels = np.random.default_rng(number).integers(0, 1000, (frames, 16, 16)).astype(np.int16)
        fields = SECRETS | dict(
            SOPClassUID=classes[modality], SOPInstanceUID=generate_uid(), Modality=modality, StudyInstanceUID=study,
            SeriesInstanceUID=series, Rows=16, Columns=16, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2",
            BitsAllocated=16, BitsStored=16, HighBit=15, PixelRepresentation=1, InstanceNumber=number + 1,
            PixelSpacing=[1, 1], ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[0, 0, number],
            PixelData=pixels.tobytes(),
        )  # fmt: skip
        if frames > 1:
            fields["NumberOfFrames"] = frames
        for keyword, value in (fields | changes).items():
            setattr(data, keyword, value)
        path = folder / f"{number:03d}.dcm"
        folder.mkdir(parents=True, exist_ok=True)
        data.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def sources_of(paths):
    """One entry a frame, of the headers as pydicom reads them."""
    entries = []
    for path in paths:
        header = dcmread(path, stop_before_pixels=True)
        for frame in range(1, int(header.get("NumberOfFrames", 1)) + 1):
            uids = (header.SOPClassUID, header.SOPInstanceUID, header.StudyInstanceUID, header.SeriesInstanceUID)
            entries.append(SourceImage(path, *map(str, uids), frame))
    return entries


def describe_by_hand(paths, stations=(), organs=(), modality="CT"):
    """A description: (name, score) best first; name i of a list is in the slices from i on, so that ranges differ."""
    slices = []
    for index, source in enumerate(sources_of(paths)):
        here = [tuple(Finding(*one) for i, one in enumerate(many) if index >= i) for many in (stations, organs)]
        slices.append(SliceDescription(index, float(index), *here, abstained=not stations, source=source))
    findings = [tuple(Finding(*one) for one in many) for many in (stations, organs)]
    return SeriesDescription(
        path="series", modality=modality, protocol="", evidence="", orientation="axial", stations=findings[0],
        organs=findings[1], ranges=(), caption="", abstained=not stations, body_part="", agrees=None, notes=(),
        slices=tuple(slices),
    )  # fmt: skip


def real_files(folder):
    """Files of one real series; none where the real data aren't there."""
    place = REAL / "dicom" / folder
    return sorted(place.iterdir()) if place.is_dir() else []
