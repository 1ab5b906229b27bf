"""NIfTI files as describe shows them: as DICOM of the same slices, and what their headers leave open."""

import nibabel as nib
import numpy as np
import pytest
from describe.studies import body

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def turned(about_x, about_z):
    """Direction cosines of a grid that is turned by degrees about two axes of the patient."""
    x, z = np.deg2rad(about_x), np.deg2rad(about_z)
    first = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
    return np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]) @ first


@pytest.mark.parametrize("angles", [(0, 0), (20, 10), (35, 0), (40, 40), (60, 20), (90, 40), (-44, 50)])
def test_slices_are_shown_as_those_of_dicom_however_they_lie(describer, write, tmp_path, angles):
    stack = np.stack([body(n) - 1024 for n in range(3)])  # (slices, rows, columns) HU
    stack[:, :9] = -1000
    row, column, normal = turned(*angles).T  # LPS
    for n, pixels in enumerate(stack):
        place = [float(v) for v in 4 * n * normal]
        write(f"d/{n}.dcm", pixels=pixels + 1024, ImagePositionPatient=place, PixelSpacing=[0.8, 0.5],
              ImageOrientationPatient=[float(v) for v in (*row, *column)])  # fmt: skip
    affine = np.eye(4)
    affine[:3, :3] = np.stack([row * 0.5, column * 0.8, normal * 4], axis=1)
    nib.save(nib.Nifti1Image(stack.transpose(2, 1, 0), LPS @ affine), tmp_path / "n.nii.gz")
    (dicom,) = describer.describe(tmp_path / "d", workers=0, pictures=True).series
    (nifti,) = describer.describe(tmp_path / "n.nii.gz", modality="CT", workers=0, pictures=True).series
    assert nifti.orientation == dicom.orientation and nifti.caption == dicom.caption
    oblique = [note for note in dicom.notes if "degrees from the nearest plane" in note]
    assert [note for note in nifti.notes if "degrees from" in note] == oblique
    for a, b in zip(nifti.slices, dicom.slices, strict=True):
        np.testing.assert_array_equal(a.picture, b.picture)
        assert a.position_mm == pytest.approx(b.position_mm - dicom.slices[0].position_mm, abs=2e-3)


@pytest.mark.parametrize("workers", [0, 2])
def test_each_volume_is_a_series_as_each_time_point_of_dicom_is(describer, tmp_path, workers):
    volumes = np.stack([np.stack([body(n) for n in range(3)], -1) + 40 * t for t in range(4)], -1)
    nib.save(nib.Nifti1Image(volumes.astype(np.int16), np.diag([2.0, 2, 3, 1])), tmp_path / "f.nii.gz")
    found = describer.describe(tmp_path, modality="MR", workers=workers, pictures=True)
    assert [one.variant for one in found.series] == ["volume 1", "volume 2", "volume 3", "volume 4"]
    assert not found.refusals
    for number, one in enumerate(found.series):
        nib.save(nib.Nifti1Image(volumes[..., number], np.diag([2.0, 2, 3, 1])), tmp_path / "one.nii")
        (alone,) = describer.describe(tmp_path / "one.nii", modality="MR", workers=0, pictures=True).series
        assert alone.variant == "" and len(one.slices) == 3
        for a, b in zip(one.slices, alone.slices, strict=True):
            np.testing.assert_array_equal(a.picture, b.picture)


def test_the_plane_of_a_file_without_an_affine_is_judged_from_the_image(describer, tmp_path):
    image = nib.Nifti1Image(np.stack([body(n) for n in range(3)], -1), None)
    image.header.set_zooms((2, 2, 3))
    nib.save(image, tmp_path / "v.nii")
    (one,) = describer.describe(tmp_path, modality="MR", workers=0).series
    assert "the plane was estimated from the image" in one.notes[0]
    assert [each.position_mm for each in one.slices] == [0, 3, 6]
    planes = {caption.text: caption.orientation for caption in describer.bundle.captions}
    assert one.orientation == planes[one.caption]


@pytest.mark.parametrize(("offset", "noted"), [(0, False), (1024, True)])
@pytest.mark.parametrize("said", ["CT", None])
def test_values_that_can_t_be_hu_are_noted(describer, tmp_path, offset, noted, said):
    hu = np.full((40, 40, 3), -1000, np.int16)
    hu[10:30, 10:30] = np.stack([body(n, (20, 20)) for n in range(3)], -1) - 1024
    nib.save(nib.Nifti1Image(hu + np.int16(offset), np.diag([2.0, 2, 3, 1])), tmp_path / "ct.nii")
    (one,) = describer.describe(tmp_path, modality=said, workers=0).series
    assert any("values may not be HU" in note for note in one.notes) is (noted and said == "CT")
    if said is None and noted:
        assert one.modality == "MR" and "estimated from the image" in one.notes[0]


def test_what_is_no_volume_is_refused_without_being_called_damaged(describer, tmp_path):
    colours = np.zeros((20, 20, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colours, np.eye(4)), tmp_path / "c.nii")
    (refusal,) = describer.describe(tmp_path, workers=0).refusals
    assert refusal.message == "its voxels are colours, not values of CT or MR; leave it out"
