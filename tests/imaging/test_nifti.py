"""What NIfTI files may say, and may leave out: axes, units, volumes and values of sound ones."""

import gzip
import io

import nibabel as nib
import numpy as np
import pytest

from anatomy_clip.core.terms import Modality, Orientation
from anatomy_clip.imaging.nifti import read_labels, read_volume, volume_of
from anatomy_clip.imaging.nifti_header import read_header

EDGES = (1.0, 1.5, 2.0)


def save(path, array, affine=None, unit="mm", slices=None, codes=(1, 1), **header):
    image = nib.Nifti1Image(array, np.diag([*EDGES, 1.0]) if affine is None else affine)
    image.header.set_xyzt_units(unit)
    image.header.set_dim_info(slice=slices)
    image.set_qform(image.affine)
    content = image.to_bytes()
    said = nib.Nifti1Header.from_fileobj(io.BytesIO(content))  # nibabel would mend what follows as it saves
    said["sform_code"], said["qform_code"] = codes
    for name, value in header.items():
        said[name] = value
    content = said.binaryblock + content[len(said.binaryblock) :]
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def grey(*shape):
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


@pytest.mark.parametrize(
    ("shape", "edges", "said", "axis"),
    [
        ((20, 20, 20), (1, 1, 1), None, 2),  # nothing tells: the third
        ((20, 20, 20), (1, 1, 1), 0, 0),
        ((20, 20, 20), (1, 1.2, 1.2), 1, 1),
        ((20, 20, 20), (4, 1, 1), None, 0),
        ((20, 20, 20), (1, 5, 1), 2, 1),  # thick slices tell more than a field that nobody updates
        ((20, 20, 20), (1, 1, 5), 0, 2),
        ((1, 20, 20), (1, 1, 3), 2, 0),  # one slice
        ((20, 1, 20), (3, 1, 1), None, 1),
        ((20, 20, 1), (3, 1, 1), 0, 2),
        ((20, 20), (1, 1, 1), None, 2),
        ((20, 20, 1, 1), (1, 1, 1), None, 2),
        ((1, 20, 20, 3), (1, 1, 1), None, 0),
    ],
)
def test_which_way_slices_run(tmp_path, shape, edges, said, axis):
    header = read_header(save(tmp_path / "v.nii", grey(*shape), np.diag([*edges, 1.0]), slices=said))
    planes = (Orientation.SAGITTAL, Orientation.CORONAL, Orientation.AXIAL)
    assert header.orientation is planes[axis]
    assert len(header.indices()) == (*shape, 1)[axis]
    assert header.step_mm == pytest.approx(edges[axis])


def test_a_sagittal_slice_is_shown_whole(tmp_path):
    array = grey(1, 6, 8)
    header = read_header(save(tmp_path / "v.nii.gz", array, np.diag([5.0, 1, 1, 1])))
    volume = volume_of(header, Modality.MR)
    (shown,) = (volume.plane(header.orientation, n).pixels for n in header.indices())
    np.testing.assert_array_equal(shown, array[0].T[::-1, ::-1])  # head up, anterior to the left


@pytest.mark.parametrize(("unit", "times"), [("micron", 1000), ("meter", 1e-3), ("mm", 1), ("unknown", 1)])
@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (0, 0)])
def test_sizes_are_in_mm_whatever_the_unit(tmp_path, unit, times, codes):
    affine = np.diag([*(edge * times for edge in EDGES), 1.0])
    header = read_header(save(tmp_path / "v.nii", grey(20, 20, 20), affine, unit, codes=codes))
    assert header.spacing_mm == pytest.approx(EDGES)
    assert not any("wide" in note for note in header.notes)


@pytest.mark.parametrize("edge", [1e-3, 1e3])
def test_sizes_that_no_body_has_are_noted(tmp_path, edge):
    header = read_header(save(tmp_path / "v.nii", grey(20, 20, 20), np.diag([edge, edge, edge, 1])))
    assert f"its field of view is {20 * edge:.3g} mm wide: are its voxel sizes and their unit" in header.notes[0]


def test_a_mask_in_another_unit_is_on_its_image_s_grid(tmp_path):
    image = read_header(save(tmp_path / "v.nii", grey(20, 20, 20)))
    affine = np.diag([*(edge / 1000 for edge in EDGES), 1.0])
    mask = save(tmp_path / "m.nii", np.ones((20, 20, 20, 1), np.uint8), affine, "meter")
    assert read_labels(mask, like=image).shape == (20, 20, 20)
    several = save(tmp_path / "s.nii", np.ones((20, 20, 20, 2), np.uint8))
    with pytest.raises(ValueError, match=r"s\.nii: has 2 volumes; extract one"):
        read_labels(several, like=image)


def test_the_qform_stands_in_for_an_sform_that_is_none(tmp_path):
    affine = np.array([[0, 0, 3.0, 5], [-1, 0, 0, 6], [0, -1, 0, 7], [0, 0, 0, 1]])
    header = read_header(save(tmp_path / "v.nii", grey(4, 5, 6), affine, srow_x=0, srow_y=0, srow_z=0))
    assert header.placed and header.orientation is Orientation.SAGITTAL
    np.testing.assert_array_equal(header.turn, nib.io_orientation(affine))
    assert header.spacing_mm == pytest.approx((3, 1, 1))


@pytest.mark.parametrize("codes", [(0, 0), (2, 0)])
def test_without_an_affine_sizes_are_known_and_the_orientation_is_not(tmp_path, codes):
    path = save(tmp_path / "v.nii", grey(20, 20, 20), codes=codes, srow_x=0, srow_y=0, srow_z=0)
    header = read_header(path)
    assert not header.placed and "gives no orientation" in header.notes[0]
    assert header.spacing_mm == pytest.approx(EDGES)
    with pytest.raises(ValueError, match=r"v\.nii: gives no orientation .*; set its affine"):
        read_volume(path, Modality.MR)


def test_voxels_without_a_size_are_refused(tmp_path):
    save(tmp_path / "v.nii", grey(4, 5, 6), codes=(0, 0), pixdim=[1, np.nan, 1, 1, 0, 0, 0, 0])
    with pytest.raises(ValueError, match=r"v\.nii: it gives no voxel size .*; set its affine"):
        read_header(tmp_path / "v.nii")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4", ">f8"])
def test_each_volume_of_several_is_read_by_itself(tmp_path, suffix, dtype):
    array = np.random.default_rng(0).integers(0, 99, (4, 5, 6, 3)).astype(dtype)
    header = read_header(save(tmp_path / f"v{suffix}", array, scl_slope=2, scl_inter=-3))
    assert header.volumes == 3
    expected = 2.0 * array - 3.0
    for number in range(3):
        volume = volume_of(header, Modality.MR, number=number)
        notes = volume.notes
        np.testing.assert_array_equal(volume.array, expected[..., number])
        assert notes == ()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (
            np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")]),
            "its voxels are colours, not values of CT or MR;",
        ),
        (grey(4, 5, 6, 1, 3), "so each voxel has several values; save one of them as a"),
        (grey(4, 1, 1), "contains no slice; leave it out"),
    ],
)
def test_what_holds_no_slices_is_told_so_and_not_called_damaged(tmp_path, array, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_volume(save(tmp_path / "v.nii", array), Modality.MR)
    assert "damaged" not in str(caught.value) and "fetch" not in str(caught.value)


def test_complex_values_are_shown_by_their_magnitude(tmp_path):
    array = (grey(4, 5, 6) * (0.6 + 0.8j)).astype(np.complex64)
    volume = volume_of(read_header(save(tmp_path / "v.nii", array)), Modality.MR)
    notes = volume.notes
    np.testing.assert_allclose(volume.array, grey(4, 5, 6), rtol=1e-6)
    assert notes == ("its values are complex numbers: the magnitude is shown",)
    with pytest.raises(ValueError, match="labels must be whole numbers"):
        read_labels(tmp_path / "v.nii")


def test_nothing_outside_the_field_of_view_is_background(tmp_path):
    array = grey(10, 10, 10).astype(np.float32) - 300
    array[:, :2] = np.nan
    volume = volume_of(read_header(save(tmp_path / "v.nii", array)), Modality.CT)
    notes = volume.notes
    assert (volume.array[:, :2] == np.nanmin(array)).all()
    np.testing.assert_array_equal(volume.array[:, 2:], array[:, 2:])
    assert notes == ("20 % of its voxels are not numbers (NaN): they are shown as background",)
