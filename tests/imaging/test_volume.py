"""A marked phantom in every axis order: display must not depend on how the file stores it."""

import gzip
import itertools

import nibabel as nib
import numpy as np
import pytest

from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.nifti import join_masks, label_names, read_labels, read_volume
from anatomy_clip.imaging.nifti_header import read_header
from anatomy_clip.imaging.volume import display_plane, normal_axis

RIGHT, ANTERIOR, SUPERIOR = 100, 20, 3  # what a step towards each side adds to a voxel
SHAPE, SPACING = (4, 5, 6), (1.0, 2.0, 3.0)
CODES = ["".join(c) for p in itertools.permutations(("LR", "PA", "IS")) for c in itertools.product(*p)]


def ramp():
    x, y, z = np.indices(SHAPE)
    return (RIGHT * x + ANTERIOR * y + SUPERIOR * z).astype(np.int16)


def save(path, array=None, code="RAS", affine=None):
    image = nib.Nifti1Image(ramp() if array is None else array, np.diag([*SPACING, 1]) if affine is None else affine)
    wanted = nib.orientations.axcodes2ornt(tuple(code))
    image = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(image.affine), wanted))
    assert nib.aff2axcodes(image.affine) == tuple(code)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("code", CODES)
def test_display_is_the_same_for_all_48_axis_orders(tmp_path, code):
    volume = read_volume(save(tmp_path / "v.nii", code=code), Modality.CT)
    assert volume.spacing_mm == pytest.approx(SPACING)
    axial, coronal, sagittal = (volume.plane(plane, 1) for plane in Orientation)
    # Steps down the image and to its right: posterior, inferior; left, posterior.
    for image, down, right in (
        (axial, -ANTERIOR, -RIGHT), (coronal, -SUPERIOR, -RIGHT), (sagittal, -SUPERIOR, -ANTERIOR)
    ):  # fmt: skip
        assert (np.diff(image.pixels, axis=0) == down).all()
        assert (np.diff(image.pixels, axis=1) == right).all()
    assert (axial.spacing_mm, axial.thickness_mm) == (pytest.approx((2, 1)), pytest.approx(3))
    assert (coronal.spacing_mm, coronal.thickness_mm) == (pytest.approx((3, 1)), pytest.approx(2))
    assert (sagittal.spacing_mm, sagittal.thickness_mm) == (pytest.approx((3, 2)), pytest.approx(1))


def test_planes_of_labels_lie_on_planes_of_voxels():
    labels = ramp()
    for plane in Orientation:
        for index in range(SHAPE[normal_axis(plane)]):
            cut = display_plane(labels, plane, index)
            np.testing.assert_array_equal(cut, display_plane(labels.astype(np.float32), plane, index))


def test_spacing_comes_from_the_affine_and_protocol_is_kept(tmp_path):
    volume = read_volume(save(tmp_path / "v.nii.gz"), Modality.MR, Protocol.T2)
    assert volume.array.dtype == np.float32
    assert volume.plane(Orientation.AXIAL, 0).protocol is Protocol.T2


def rotated(degrees):
    a = np.deg2rad(degrees)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    return affine


def bad(tmp_path, kind):
    path = tmp_path / "v.nii.gz"
    if kind == "missing":
        return path
    if kind == "text":
        path.write_bytes(b"no image")
        return path
    array = ramp().astype(np.float32)
    if kind == "infinite":
        array[0, 0, 0] = np.inf
    if kind == "empty":
        array[:] = np.nan
    if kind == "4d":
        array = np.stack([array, array], axis=-1)
    image = nib.Nifti1Image(array, rotated(40) if kind == "oblique" else np.eye(4))
    if kind == "no affine":
        image.set_sform(None, 0)
        image.set_qform(None, 0)
    nib.save(image, path)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:200])
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "file is missing"), ("text", "can't be read"), ("cut", "can't be read"),
        ("infinite", "has infinite values, or no valid number at all"), ("empty", "no valid number at all; correct"),
        ("4d", "has 2 volumes; extract one"), ("oblique", "40 degrees from"), ("no affine", "gives no orientation"),
    ],
)  # fmt: skip
def test_bad_files_give_one_clear_message(tmp_path, kind, message):
    with pytest.raises(ValueError, match=rf"v\.nii\.gz: .*{message}"):
        read_volume(bad(tmp_path, kind), Modality.CT)


@pytest.mark.parametrize("value", [300, -1, 0.5])
def test_labels_must_fit(tmp_path, value):
    with pytest.raises(ValueError, match="whole numbers from 0 to 255"):
        read_labels(save(tmp_path / "m.nii", np.full(SHAPE, value, np.float32)))


def test_masks_must_lie_on_the_images_grid(tmp_path):
    image = read_header(save(tmp_path / "v.nii"))
    mask = np.ones(SHAPE, np.uint8)
    assert read_labels(save(tmp_path / "m.nii", mask, code="LPS"), like=image).all()  # same grid, other order
    shifted = np.diag([*SPACING, 1.0])
    shifted[2, 3] = 3.0
    with pytest.raises(ValueError, match=r"3\.0 mm from v\.nii"):
        read_labels(save(tmp_path / "s.nii", mask, affine=shifted), like=image)
    with pytest.raises(ValueError, match="shape"):
        read_labels(save(tmp_path / "c.nii", mask[1:]), like=image)


def test_label_table_in_the_header(tmp_path):
    image = nib.Nifti1Image(np.ones(SHAPE, np.uint8), np.eye(4))
    xml = b'<LabelTable><Label Key="1" Red="0.0"><![CDATA[spleen]]></Label>\n<Label Key="20"><![CDATA[colon]]></Label>'
    image.header.extensions.append(nib.nifti1.Nifti1Extension(0, xml))
    nib.save(image, tmp_path / "m.nii.gz")
    assert label_names(tmp_path / "m.nii.gz") == {1: "spleen", 20: "colon"}
    with pytest.raises(ValueError, match="no label table"):
        label_names(save(tmp_path / "plain.nii"))


def test_masks_are_joined_whatever_their_axis_order_and_the_later_one_wins(tmp_path):
    rng = np.random.default_rng(0)
    image = read_header(save(tmp_path / "v.nii.gz", code="LAS"))
    masks = [(rng.random(SHAPE) < share).astype(np.uint8) for share in (0.5, 0.3, 0.0, 0.4)]
    masks[1][:, :, [0, 1, 5]] = 0  # a mask that fills part of the height
    codes = ("RAS", "LAS", "SPL", "LPI")
    paths = [save(tmp_path / f"{n}.nii.gz", m, c) for n, (m, c) in enumerate(zip(masks, codes, strict=True))]
    expected = np.zeros(SHAPE, np.uint8)
    for value, mask in enumerate(masks, start=1):
        expected[mask > 0] = value
    np.testing.assert_array_equal(join_masks(paths, image), expected)
    with pytest.raises(ValueError, match=r"c\.nii\.gz: has shape"):
        join_masks([*paths, save(tmp_path / "c.nii.gz", masks[0][1:])], image)


def test_scaled_and_compressed_voxels_are_those_that_nibabel_reads(tmp_path):
    values = np.linspace(-1000, 2000, ramp().size).reshape(SHAPE)
    image = nib.Nifti1Image(values, np.diag([-1.0, 2.0, 3.0, 1.0]))
    image.set_data_dtype(np.int16)  # saved with a slope and an intercept
    nib.save(image, tmp_path / "v.nii.gz")
    nib.save(image, tmp_path / "v.nii")
    packed = (tmp_path / "v.nii").read_bytes()
    (tmp_path / "members.nii.gz").write_bytes(gzip.compress(packed[:500]) + gzip.compress(packed[500:]))
    expected = nib.as_closest_canonical(nib.load(tmp_path / "v.nii")).get_fdata(dtype=np.float32)
    assert nib.load(tmp_path / "v.nii").dataobj.slope != 1
    for name in ("v.nii", "v.nii.gz", "members.nii.gz"):
        np.testing.assert_array_equal(read_volume(tmp_path / name, Modality.CT).array, expected)


def claims_more(path):
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
    header = bytearray(image.to_bytes())
    header[42:48] = np.array([30_000, 30_000, 30_000], "<i2").tobytes()  # dim[1:4]
    path.write_bytes(gzip.compress(bytes(header)) if path.name.endswith(".gz") else bytes(header))


def changed_checksum(path):
    nib.save(nib.Nifti1Image(np.random.default_rng(0).integers(0, 255, (20, 20, 20), np.uint8), np.eye(4)), path)
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("v.nii", claims_more, "states .* more than a file of its size can contain; fetch"),
        ("v.nii.gz", claims_more, "states .* more than a file of its size can contain; fetch"),
        ("v.nii.gz", changed_checksum, "can't be read as NIfTI .*checksum.*; fetch"),
    ],
)
def test_a_file_that_is_not_what_it_claims_is_refused(tmp_path, name, damage, message):
    damage(tmp_path / name)
    for read in (lambda path: read_volume(path, Modality.CT), read_labels):
        with pytest.raises(ValueError, match=message):
            read(tmp_path / name)
