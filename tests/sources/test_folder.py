"""Folders of NIfTI and DICOM files: label tables, ids, and paths that must stay inside."""

import os
import pickle
import unicodedata
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from anatomy_clip.core.refusals import Doubt, Refusal
from anatomy_clip.core.terms import Orientation
from anatomy_clip.sources.scans.folder import DicomFolder, Folder, NiftiFolder
from anatomy_clip.sources.scans.label_table import COLUMNS

REAL = Path(os.environ.get("REAL_DATA", Path(__file__).parents[2].parent / "shared" / "realdata"))
AXIAL = np.diag([-2.0, -2.0, 4.0, 1.0])  # LPS
FLIPPED = np.array([[-2, 0, 0, 9], [0, 2, 0, 9], [0, 0, -4, 99], [0, 0, 0, 1.0]])  # LAI: the third axis runs down
CORONAL = np.array([[-2, 0, 0, 0], [0, 0, -4, 0], [0, -2, 0, 0], [0, 0, 0, 1.0]])  # LIP, as the real wrist


def save_nifti(path, affine=AXIAL, slices=6):
    """Slice k along the stored third axis holds the value 10 k in its body."""
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.full((8, 7, slices), -100, np.int16)
    voxels[2:5, 2:5] = 10 * np.arange(slices)
    nib.save(nib.Nifti1Image(voxels, affine), path)


def save_dicom(folder, slices=5, patient="DOE^JOHN", series=None, orientation=(1, 0, 0, 0, 1, 0), **header):
    """Slice k lies at k x 3 mm along the normal and holds 10 k; file names run against that order."""
    folder.mkdir(parents=True, exist_ok=True)
    series, study = series or generate_uid(), generate_uid()
    normal = np.cross(orientation[:3], orientation[3:])
    for k in range(slices):
        pixels = np.full((6, 8), -100, np.int16)
        pixels[2:4, 2:4] = 10 * k
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
        dataset.Modality, dataset.PatientID, dataset.StudyDate = "CT", patient, "20200131"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.ImageOrientationPatient = list(orientation)
        dataset.ImagePositionPatient = [float(v) for v in 3 * k * normal]
        dataset.PixelSpacing, dataset.SliceThickness = [0.5, 1.0], 3
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, 1, "MONOCHROME2"
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
        dataset.PixelData = pixels.tobytes()
        for name, value in header.items():
            setattr(dataset, name, value)
        dataset.save_as(folder / f"{9 - k}.dcm", enforce_file_format=True)


def table(root, *rows, further=()):
    """Write rows, each with the cells of further columns behind its own."""
    cells = [",".join((*COLUMNS, *further))] + [",".join(str(c) for c in row) for row in rows]
    (root / "labels.csv").write_text("\n".join(cells) + "\n")


def row(
    path, first, last, *, patient="p1", modality="CT", protocol="", plane="axial", stations="chest", organs="lungs"
):
    return path, patient, modality, protocol, plane, first, last, stations, organs


def taken(source):
    items = [item for volume in source.volumes("all") for item in source.slices("all", volume)]
    pairs = [item for item in items if not isinstance(item, Doubt)]
    return [(record, int(image.pixels.max())) for image, record in pairs]


@pytest.mark.parametrize(
    ("affine", "plane"), [(AXIAL, "axial"), (FLIPPED, "axial"), (CORONAL, "coronal")], ids=["LPS", "LAI", "LIP"]
)
def test_nifti_slices_count_along_the_third_axis_as_stored(tmp_path, affine, plane):
    save_nifti(tmp_path / "a" / "ct.nii.gz", affine)
    table(tmp_path, row("a/ct.nii.gz", 3, 4, plane=plane), row("a/ct.nii.gz", 0, 1, plane=plane))
    found = taken(Folder(tmp_path, "labels.csv"))
    assert [(record.index, value) for record, value in found] == [(0, 0), (1, 10), (3, 30), (4, 40)]
    assert {record.orientation for record, _ in found} == {Orientation(plane)}


def test_nifti_slices_run_along_the_thick_axis_and_each_volume_is_a_series(tmp_path):
    (tmp_path / "a").mkdir()
    voxels = np.full((4, 8, 7, 2), -100, np.int16)
    voxels[:, 2:5, 2:5] = (10 * np.arange(4)[:, None] + np.arange(2))[:, None, None]
    nib.save(nib.Nifti1Image(voxels, np.diag([-5.0, -2.0, 2.0, 1.0])), tmp_path / "a" / "ct.nii.gz")
    found = taken(Folder(tmp_path, modality="CT"))
    assert [(record.index, value) for record, value in found] == [
        (n, 10 * n + volume) for volume in range(2) for n in range(4)
    ]
    assert {record.orientation for record, _ in found} == {Orientation.SAGITTAL}
    assert len({record.series for record, _ in found}) == 2 and len({record.patient for record, _ in found}) == 1


def test_dicom_slices_count_along_the_normal(tmp_path):
    save_dicom(tmp_path / "series")
    table(tmp_path, row("series", 1, 3))
    found = taken(Folder(tmp_path, "labels.csv"))
    assert [(record.index, value) for record, value in found] == [(1, 10), (2, 20), (3, 30)]
    assert found[0][0].spacing_mm == (0.5, 1.0) and found[0][0].thickness_mm == 3


def test_one_series_in_three_planes_is_counted_plane_by_plane(tmp_path):
    uid = generate_uid()
    for name, direction in {"a": (1, 0, 0, 0, 1, 0), "c": (1, 0, 0, 0, 0, -1)}.items():
        save_dicom(tmp_path / name, 3, series=uid, orientation=direction)
        for file in (tmp_path / name).iterdir():
            (tmp_path / "all").mkdir(exist_ok=True)
            file.rename(tmp_path / "all" / f"{name}{file.name}")
    table(tmp_path, row("all", 0, 2), row("all", 1, 1, plane="coronal"))
    # One study each: the frames are of one series all the same to the table.
    for file in (tmp_path / "all").iterdir():
        dataset = pydicom.dcmread(file)
        dataset.StudyInstanceUID = "1.2.3"
        dataset.save_as(file)
    found = taken(Folder(tmp_path, "labels.csv"))
    assert [(str(r.orientation), r.index) for r, _ in found] == [
        ("axial", 0), ("axial", 1), ("axial", 2), ("coronal", 1),
    ]  # fmt: skip


def test_each_class_takes_its_own_rows(tmp_path):
    save_nifti(tmp_path / "a.nii")
    save_dicom(tmp_path / "b")
    table(tmp_path, row("a.nii", 0, 0), row("b", 0, 0, patient="p2"))
    assert NiftiFolder(tmp_path, "labels.csv").volumes("all") == ["a.nii"]
    assert DicomFolder(tmp_path, "labels.csv").volumes("all") == ["b"]
    assert Folder(tmp_path, "labels.csv").volumes("all") == ["a.nii", "b"]


def test_without_a_table_everything_is_taken_in_a_fixed_order(tmp_path):
    save_nifti(tmp_path / "s2" / "x.nii.gz", slices=2)
    save_dicom(tmp_path / "s1" / "deep", 2)
    (tmp_path / ".hidden").write_text("")
    source = Folder(tmp_path, modality="CT")
    assert source.volumes("all") == ["s1/deep", "s2/x.nii.gz"]
    assert [(r.index, v) for r, v in taken(source)] == [(0, 0), (1, 10), (0, 0), (1, 10)]
    assert DicomFolder(tmp_path).volumes("all") == ["s1/deep"]
    with pytest.raises(ValueError, match=r"do not state whether they are CT or MR; set source\.modality"):
        NiftiFolder(tmp_path).volumes("all")  # before any file is read


def test_a_table_is_read_as_spreadsheets_write_it(tmp_path):
    save_nifti(tmp_path / "Scans" / unicodedata.normalize("NFD", "Schädel.nii"))
    first = row("Scans\\" + unicodedata.normalize("NFC", "Schädel.nii"), 0, 2, modality="ct", plane="Axial")
    table(tmp_path, ("",) * len(COLUMNS), first, ("",) * len(COLUMNS))
    found = taken(Folder(tmp_path, "labels.csv"))
    assert [value for _, value in found] == [0, 10, 20]
    assert {(record.modality, record.orientation) for record, _ in found} == {("CT", "axial")}


def test_no_record_tells_a_name_a_date_or_a_path(tmp_path):
    save_dicom(tmp_path / "john_doe")
    save_nifti(tmp_path / "doe" / "john.nii.gz")
    for source in (Folder(tmp_path, modality="CT"), Folder(tmp_path, modality="CT", salt="another")):
        text = repr([record for record, _ in taken(source)]).lower()
        assert not any(word in text for word in ("doe", "john", "20200131", "1.2.826", str(tmp_path).lower()))
        assert source.fingerprint()["salt"] != "another"
    one, other = (Folder(tmp_path, modality="CT", salt=salt) for salt in ("a", "b"))
    assert one.fingerprint() != other.fingerprint()
    assert taken(one)[0][0].patient != taken(other)[0][0].patient
    assert taken(one)[0][0].patient == taken(pickle.loads(pickle.dumps(one)))[0][0].patient


def test_another_table_file_or_salt_gives_another_fingerprint(tmp_path):
    save_nifti(tmp_path / "a.nii")
    prints = [Folder(tmp_path, salt=salt).fingerprint() for salt in "ab"]
    save_nifti(tmp_path / "b.nii")
    prints.append(Folder(tmp_path, salt="a").fingerprint())
    for last in (1, 2):
        table(tmp_path, row("a.nii", 0, last))
        prints.append(Folder(tmp_path, "labels.csv", salt="a").fingerprint())
    assert all(a != b for i, a in enumerate(prints) for b in prints[i + 1 :])
    assert prints[-1] == Folder(tmp_path, "labels.csv", salt="a").fingerprint()


def test_a_salt_that_nobody_gave_is_made_once_and_kept_for_its_owner(tmp_path):
    save_nifti(tmp_path / "files" / "a.nii")
    kept = tmp_path / "data" / ".salt"
    first, again, open_word = (
        taken(Folder(tmp_path / "files", modality="CT", **given))[0][0].patient
        for given in ({"salt_file": kept}, {"salt_file": kept}, {"salt": "anatomy_clip"})
    )
    assert first == again != open_word
    assert kept.stat().st_mode & 0o777 == 0o600
    given = Folder(tmp_path / "files", modality="CT", salt="anatomy_clip", salt_file=kept)
    assert taken(given)[0][0].patient == open_word  # a salt that is given wins
    nowhere = Folder(tmp_path / "files", modality="CT")
    copied = pickle.loads(pickle.dumps(nowhere))
    assert taken(nowhere)[0][0].patient == taken(copied)[0][0].patient not in (first, open_word)
    kept.write_text("short")
    with pytest.raises(ValueError, match=r"\.salt: has no salt of 32 characters or more; restore it"):
        Folder(tmp_path / "files", modality="CT", salt_file=kept).fingerprint()


def test_a_patient_is_one_whatever_the_format(tmp_path):
    save_nifti(tmp_path / "a.nii")
    save_dicom(tmp_path / "b")
    table(tmp_path, row("a.nii", 0, 0), row("b", 0, 0))
    assert len({record.patient for record, _ in taken(Folder(tmp_path, "labels.csv"))}) == 1


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([row("gone.nii", 0, 1)], r"line 2: path 'gone.nii' is missing below .*; correct the row"),
        ([row("a.nii", 0, 6)], r"line 2: last_slice=6, but a.nii has 6 axial slice\(s\), counted from 0"),
        ([row("a.nii", 0, 1, plane="coronal")], r"line 2: orientation is coronal, but a.nii holds axial slices"),
        ([row("a.nii", 3, 1)], r"line 2: last_slice=1 is smaller than first_slice=3"),
        ([row("a.nii", -1, 1)], r"line 2: first_slice='-1' is not a whole number"),
        ([row("a.nii", 0, 1, organs="lung")], r"line 2: organ 'lung' .* \(did you mean 'lungs'\?\)"),
        ([row("a.nii", 0, 1, stations="torso")], r"line 2: station 'torso'"),
        ([row("a.nii", 0, 1, modality="PT")], r"line 2: modality 'PT' is unknown; known: 'CT', 'MR'"),
        ([row("a.nii", 0, 1, protocol="T1")], r"line 2: protocol is T1, but CT has none"),
        ([row("a.nii", 0, 1, patient="")], r"line 2: patient is empty"),
        ([row("a.nii", 0, 2), row("a.nii", 2, 3)], r"line 3: slices 2 to 3 overlap those of .*line 2"),
        ([row("a.nii", 0, 2), row("a.nii", 3, 3, patient="p2")], r"line 3: patient differs from that of .*line 2"),
        ([row("../a.nii", 0, 1)], r"line 2: path '../a.nii' is not below the source's root"),
        ([row("/etc/a.nii", 0, 1)], r"line 2: path '/etc/a.nii' is not below"),
        ([row("b/../../a.nii", 0, 1)], r"is not below the source's root"),
        ([row("out/a.nii", 0, 1)], r"line 2: path 'out/a.nii' leaves the source's root through a symbolic link"),
        ([row("dcm", 0, 9)], r"line 2: last_slice=9, but dcm has 5 axial slice\(s\)"),
        ([row("dcm", 0, 1, modality="MR")], r"line 2: modality is MR, but dcm holds CT"),
        ([row("mixed", 0, 1)], r"has several axial series, so a label row's slices can't be counted"),
        ([row("damaged", 0, 1)], r"not a DICOM file.*so slices of 'damaged' can't be counted"),
        ([row("burned", 0, 1)], r"Burned In Annotation \(0028,0301\) is YES"),
    ],
)
def test_a_row_that_fits_nothing_is_named(tmp_path, rows, match):
    root = tmp_path / "root"
    save_nifti(root / "a.nii")
    save_nifti(tmp_path / "elsewhere" / "a.nii")
    (root / "out").symlink_to(tmp_path / "elsewhere")
    save_dicom(root / "dcm")
    save_dicom(root / "mixed")
    save_dicom(root / "other", 3)
    for file in (root / "other").iterdir():
        file.rename(root / "mixed" / f"other{file.name}")
    save_dicom(root / "damaged")
    (root / "damaged" / "5.dcm").write_bytes(b"no DICOM")
    save_dicom(root / "burned", BurnedInAnnotation="YES")
    table(root, *rows)
    with pytest.raises(ValueError, match=match):
        taken(Folder(root, "labels.csv"))


def test_a_table_may_say_what_is_unsure_and_where_a_volume_comes_from(tmp_path):
    for name in ("a.nii", "b.nii", "c.nii"):
        save_nifti(tmp_path / name)
    rows = [
        (*row("a.nii", 0, 0), "heart; liver", "ibsi"), (*row("a.nii", 1, 1), "", "ibsi"),
        (*row("b.nii", 0, 0, organs=""), "liver", ""), (*row("c.nii", 0, 0), "", "sct"),
    ]  # fmt: skip
    table(tmp_path, *rows, further=("organs_unsure", "source"))
    found = [record for record, _ in taken(Folder(tmp_path, "labels.csv", name="own"))]
    assert [record.unsure for record in found] == [("heart", "liver"), (), ("liver",), ()]
    assert [record.source for record in found] == ["ibsi", "ibsi", "own", "sct"]
    assert [record.organs for record in found] == [("lungs",), ("lungs",), None, ("lungs",)]


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([(*row("a.nii", 0, 0), "lungs", "")], "line 2: lungs in organs and in organs_unsure; remove it from one"),
        ([(*row("a.nii", 0, 0), "hart", "")], r"line 2: organ 'hart' .* \(did you mean 'heart'\?\)"),
        ([(*row("a.nii", n, n), "", "xy"[n]) for n in (0, 1)], "line 3: source differs from that of .*line 2"),
    ],
)
def test_what_such_columns_may_not_say(tmp_path, rows, match):
    save_nifti(tmp_path / "a.nii")
    table(tmp_path, *rows, further=("organs_unsure", "source"))
    with pytest.raises(ValueError, match=match):
        Folder(tmp_path, "labels.csv")


def test_folders_may_be_collections_of_which_the_innermost_counts(tmp_path):
    names = ("nifti/ibsi/a.nii", "nifti/ibsi2/a.nii", "nifti/ibsi/b/c.nii", "d.nii")
    for name in names:
        save_nifti(tmp_path / name)
    collections = {"nifti": "others", "nifti/ibsi/": "ibsi", "nifti/ibsi/b": "b"}
    wanted = {"nifti/ibsi/a.nii": "ibsi", "nifti/ibsi2/a.nii": "others", "nifti/ibsi/b/c.nii": "b", "d.nii": "own"}

    def sources(source):
        of = {volume: source.slices("all", volume) for volume in source.volumes("all")}
        return {
            volume: next(item for item in items if isinstance(item, tuple))[1].source for volume, items in of.items()
        }

    assert sources(Folder(tmp_path, name="own", modality="CT", collections=collections)) == wanted
    table(tmp_path, *((*row(name, 0, 0), "said" if "b/" in name else "") for name in names), further=("source",))
    labelled = Folder(tmp_path, "labels.csv", name="own", collections=collections)
    assert sources(labelled) == wanted | {"nifti/ibsi/b/c.nii": "said"}  # the table knows best
    for wrong in ("nifti/isbi", "../elsewhere"):
        with pytest.raises(ValueError, match=r"source\.collections"):
            Folder(tmp_path, modality="CT", collections={wrong: "x"}).volumes("all")


def test_a_table_that_is_none(tmp_path):
    with pytest.raises(ValueError, match=r"label table is missing; .* source\.labels"):
        Folder(tmp_path, "labels.csv")
    (tmp_path / "labels.csv").write_text("path,patient\na,b\n")
    with pytest.raises(ValueError, match="has no column modality, protocol"):
        Folder(tmp_path, "labels.csv")
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ValueError, match="can't be read as a table"):
        Folder(tmp_path, "labels.csv")


def test_links_out_of_a_tree_and_what_is_no_file_are_refused(tmp_path):
    root = tmp_path / "root"
    save_dicom(root / "series", 3)
    save_nifti(tmp_path / "elsewhere" / "a.nii.gz")
    save_dicom(tmp_path / "elsewhere" / "dicom")
    (root / "linked").symlink_to(tmp_path / "elsewhere" / "dicom")
    (root / "linked.nii.gz").symlink_to(tmp_path / "elsewhere" / "a.nii.gz")
    (root / "series" / "out.dcm").symlink_to(tmp_path / "elsewhere" / "dicom" / "5.dcm")
    os.mkfifo(root / "series" / "pipe.dcm")
    source = Folder(root, modality="CT")
    assert source.volumes("all") == [".", "linked.nii.gz", "series"]
    items = [item for volume in (".", "series") for item in source.slices("all", volume)]
    assert sum(not isinstance(item, Refusal) for item in items) == 3
    reasons = {Path(item.where).name: item.reason for item in items if isinstance(item, Refusal)}
    assert set(reasons) == {"linked", "out.dcm", "pipe.dcm"}
    assert reasons["pipe.dcm"] == "is not a regular file" and "symbolic link" in reasons["linked"]
    with pytest.raises(ValueError, match=r"'linked\.nii\.gz' leaves the source's root through a symbolic link"):
        list(source.slices("all", "linked.nii.gz"))


def test_a_damaged_file_of_an_unlabelled_folder_is_refused_alone(tmp_path):
    save_dicom(tmp_path / "s")
    (tmp_path / "s" / "5.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"x" * 50)
    items = list(DicomFolder(tmp_path).slices("all", "s"))
    assert [Path(item.where).name for item in items if isinstance(item, Refusal)] == ["5.dcm"]
    assert [item[1].index for item in items if not isinstance(item, Refusal)] == [0, 1, 2, 3]


def test_burned_in_text_is_refused_file_by_file_or_kept(tmp_path):
    save_dicom(tmp_path / "s", 2, BurnedInAnnotation="YES")
    refused = list(DicomFolder(tmp_path).slices("all", "s"))
    assert len(refused) == 2 and all(isinstance(item, Refusal) for item in refused)
    assert len(taken(DicomFolder(tmp_path, burned_in="keep"))) == 2
    with pytest.raises(ValueError, match=r"source\.burned_in='ask': give refuse or keep"):
        DicomFolder(tmp_path, burned_in="ask")


def test_a_row_says_nothing_by_an_empty_cell(tmp_path):
    save_nifti(tmp_path / "ct.nii.gz")
    table(tmp_path, row("ct.nii.gz", 0, 1, organs=""))
    (record, _), _ = taken(Folder(tmp_path, "labels.csv"))
    assert record.stations == ("chest",) and record.organs is None


needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="the real data aren't here")


@needs_real
def test_every_row_of_the_real_table_gives_its_slices():
    source = Folder(REAL, "labels.csv", name="real")
    counts = {}
    for volume in source.volumes("all"):
        for item in source.slices("all", volume):
            assert not isinstance(item, Refusal), item
            counts[volume] = counts.get(volume, 0) + (not isinstance(item, Doubt))
    expected = {path: sum(r.last - r.first + 1 for r in rows) for path, rows in source._table.items()}
    assert counts == expected


@needs_real
def test_one_scan_in_two_formats_gives_the_same_slices():
    """The wrist: stored coronally as NIfTI (LIP) and as DICOM."""
    source = Folder(REAL, "labels.csv")
    by_format = [
        {record.index: (image, record) for image, record in source.slices("all", volume)}
        for volume in ("nifti/dcm4che/left_wrist_mr.nii.gz", "dicom/dcm4che/left_wrist_mr")
    ]
    assert by_format[0].keys() == by_format[1].keys()
    for index, (image, record) in by_format[0].items():
        twin, its = by_format[1][index]
        assert (record.patient, record.orientation, record.spacing_mm) == (
            its.patient, its.orientation, pytest.approx(its.spacing_mm, abs=1e-3),
        )  # fmt: skip
        assert np.corrcoef(image.pixels.ravel(), twin.pixels.ravel())[0, 1] > 0.999
    images = [image.pixels.ravel() for image, _ in by_format[0].values()]
    assert all(np.corrcoef(a, b)[0, 1] < 0.999 for a, b in pairwise(images))


def test_what_describe_notes_is_told_once_a_series_and_by_no_path(tmp_path):
    save_dicom(tmp_path / "good" / "ct", 4)
    save_dicom(tmp_path / "odd" / "ct", 6, RescaleType="US")
    (tmp_path / "odd" / "ct" / "6.dcm").unlink()  # the fourth of six
    told = {}
    for volume in ("good/ct", "odd/ct"):
        items = list(DicomFolder(tmp_path).slices("all", volume))
        told[volume] = [item for item in items if isinstance(item, Doubt)]
        assert sum(isinstance(item, tuple) for item in items) == (4 if volume == "good/ct" else 5)
    assert told["good/ct"] == []
    assert [(one.where, one.reason.split(", but")[0]) for one in told["odd/ct"]] == [
        ("odd/ct", "Rescale Type (0028,1054) is US: the values may not be HU"),
        ("odd/ct", "slices are usually 3 mm apart"),
    ]


@pytest.mark.parametrize("labelled", [True, False])
def test_values_that_are_no_hu_are_told_of_nifti_too_and_of_all_its_slices(tmp_path, labelled):
    voxels = np.full((8, 7, 4), 900, np.int16)
    voxels[..., 0] = 0
    nib.save(nib.Nifti1Image(voxels, AXIAL), tmp_path / "a.nii")
    table(tmp_path, row("a.nii", 0, 0))
    source = Folder(tmp_path, "labels.csv" if labelled else None, modality="CT")
    (doubt,) = [item for item in source.slices("all", "a.nii") if isinstance(item, Doubt)]
    assert "HU" in doubt.reason and doubt.where == "a.nii"
