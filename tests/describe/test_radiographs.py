"""`describe` takes CT and MR: a radiograph is refused as what it is."""

import pytest
from pydicom.uid import generate_uid
from sources.radiographs.dicom import SECRET, write_dicom

KINDS = {"CR": "1.1", "DX": "1.1.1", "MG": "1.1.2", "XA": "1.12.1", "RF": "1.12.2"}


@pytest.mark.parametrize("modality", KINDS)
def test_radiographs_are_refused_by_name(describer, tmp_path, modality):
    kind = "1.2.840.10008.5.1.4.1." + KINDS[modality]
    path = write_dicom(tmp_path / "film.dcm", Modality=modality, SOPClassUID=kind, StudyInstanceUID=generate_uid())
    found = describer.describe(path, workers=0)
    assert found.series == ()
    (refusal,) = found.refusals
    assert refusal.reason == f"Modality (0008,0060) is not CT or MR: it is a radiograph ({modality})"
    assert "source=dicom_films" in refusal.remedy and refusal.where == str(path)
    assert SECRET not in str(refusal)
