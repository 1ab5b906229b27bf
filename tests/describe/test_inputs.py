import os
import stat
import zipfile
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from anatomy_clip.core.refusals import Refused
from anatomy_clip.describe import zips
from anatomy_clip.describe.inputs import common, gather
from anatomy_clip.imaging.dicom.dicomdir import finder, referenced_files


@pytest.fixture
def scratch(tmp_path):
    made = []

    def make():
        made.append(tmp_path / f"scratch{len(made)}")
        made[-1].mkdir()
        return made[-1]

    make.made = made
    return make


def shown(paths, scratch):
    items, refusals = gather(paths, scratch)
    return [(item.shown, item.kind) for item in items], [(one.where, one.message) for one in refusals]


def fill(folder, *names, content=b"x"):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_folder_is_walked_in_order_without_hidden_files(tmp_path, scratch, monkeypatch):
    fill(tmp_path / "study", "b/2", "b/1", "a.nii.gz", "a.NII", ".hidden", ".git/x", "DICOMDIR")
    fill(tmp_path / "study", "z.png", content=b"\x89PNG\r\n\x1a\n...")
    fill(tmp_path / "study", "y", content=b"\xff\xd8\xff\xe0")
    monkeypatch.chdir(tmp_path)
    found, refused = shown(["study"], scratch)
    assert found == [
        ("study/a.NII", "nifti"), ("study/a.nii.gz", "nifti"), ("study/y", "picture"), ("study/z.png", "picture"),
        ("study/b/1", "dicom"), ("study/b/2", "dicom"),
    ]  # fmt: skip
    assert not refused


def test_a_file_given_twice_is_read_once(tmp_path, scratch):
    fill(tmp_path, "s/1")
    found, _ = shown([tmp_path / "s" / "1", tmp_path / "s"], scratch)
    assert len(found) == 1


def test_what_is_missing_or_no_file(tmp_path, scratch):
    with pytest.raises(ValueError, match=r"nowhere: no such file or folder; check the path"):
        gather([tmp_path / "nowhere"], scratch)
    with pytest.raises(ValueError, match="no path was given"):
        gather([], scratch)
    os.mkfifo(tmp_path / "pipe")
    assert shown([tmp_path / "pipe"], scratch)[1] == [
        (str(tmp_path / "pipe"), "is not a regular file; remove it from the folder")
    ]


def archive(path, *names, **options):
    with zipfile.ZipFile(path, "w", **options) as opened:
        for name in names:
            opened.writestr(name, os.urandom(50))
    return path


def test_an_archive_is_shown_by_its_own_name(tmp_path, scratch, monkeypatch):
    archive(tmp_path / "study.bin", "st/1.dcm", "st/sub/2.nii", "__MACOSX/st/1.dcm", ".DS_Store")
    monkeypatch.chdir(tmp_path)
    found, refused = shown(["study.bin"], scratch)
    assert found == [("study.bin/st/1.dcm", "dicom"), ("study.bin/st/sub/2.nii", "nifti")]
    assert not refused
    assert (scratch.made[0] / "st" / "1.dcm").stat().st_size == 50


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/../../out", "a\\..\\out"])
def test_an_archive_that_leaves_itself(tmp_path, scratch, name):
    _, refused = shown([archive(tmp_path / "a.zip", "ok", name)], scratch)
    assert len(refused) == 1
    assert "outside of the archive" in refused[0][1]
    assert not list(scratch.made[0].rglob("*"))  # not even the good one
    assert not (tmp_path / "out").exists()


def test_an_archive_with_backslashes_is_read_as_with_slashes(tmp_path, scratch):
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as opened:
        for name in ("st\\sub\\", "st\\sub\\1.dcm", "st/2.nii", ".hidden\\3"):
            member = zipfile.ZipInfo("x")
            member.filename = name  # its constructor would mend it
            opened.writestr(member, b"" if name.endswith("\\") else b"content")
    found, refused = shown([tmp_path / "w.zip"], scratch)
    assert [(Path(name).relative_to(tmp_path), kind) for name, kind in found] == [
        (Path("w.zip/st/sub/1.dcm"), "dicom"), (Path("w.zip/st/2.nii"), "nifti"),
    ]  # fmt: skip
    assert not refused


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_that_holds_a_name_twice(tmp_path, scratch):
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as opened:
        for name, content in (("a/1", b"one"), ("a/2.nii", b"two"), ("a/1", b"one"), ("a/2.nii", b"another")):
            opened.writestr(name, content)
        opened.writestr("a\\1", b"third")
    found, refused = shown([tmp_path / "w.zip"], scratch)
    names = [Path(name).relative_to(tmp_path / "w.zip").as_posix() for name, _ in found]
    assert names == ["a/1", "a/2.nii", "a/(2) 2.nii", "a/(2) 1"] and not refused
    contents = [(scratch.made[0] / name).read_bytes() for name in names]
    assert contents == [b"one", b"two", b"another", b"third"]


def test_an_archive_whose_names_can_t_all_be_made_tells_no_place_of_this_machine(tmp_path, scratch):
    archive(tmp_path / "w.zip", "a", "a/b")
    _, ((where, said),) = shown([tmp_path / "w.zip"], scratch)
    assert where == str(tmp_path / "w.zip") and "can't be unpacked" in said and "scratch" not in said


def test_names_that_are_no_utf_8_are_shown_with_escapes(tmp_path, scratch):
    folder = os.fsencode(tmp_path) + b"/M\xfcller"
    os.mkdir(folder)
    Path(os.fsdecode(folder), "1").write_bytes(b"x")
    for given in (tmp_path, os.fsdecode(folder)):
        ((name, _),), _ = shown([given], scratch)
        assert name == f"{tmp_path}/M\\xfcller/1" and name.encode()


def test_archives_that_are_bombs_links_locked_or_damaged(tmp_path, scratch, monkeypatch):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("zeros", bytes(10_000_000))
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as opened:
        opened.writestr(link, "/etc/passwd")
    archive(tmp_path / "lzma.zip", "x", compression=zipfile.ZIP_LZMA)
    locked = bytearray(archive(tmp_path / "locked.zip", "x").read_bytes())
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    content = archive(tmp_path / "cut.zip", "x").read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[:-30])
    with zipfile.ZipFile(tmp_path / "nested.zip", "w") as opened:
        opened.write(archive(tmp_path / "inner", "x"), "inner")
    reasons = {
        "bomb": "times its size", "link": "symbolic link", "lzma": "isn't compressed by deflate",
        "locked": "protected by a password", "cut": "can't be unpacked", "nested": "an archive inside an archive",
    }  # fmt: skip
    for name, reason in reasons.items():
        found, refused = shown([tmp_path / f"{name}.zip"], scratch)
        assert not found
        assert [reason in said for _, said in refused] == [True], (name, refused)
        assert all(";" in said and "scratch" not in said for _, said in refused)
    monkeypatch.setattr(zips, "MAX_BYTES", 10)
    assert "unpack it yourself" in shown([archive(tmp_path / "big.zip", "x")], scratch)[1][0][1]


def test_an_archive_whose_sizes_lie_stays_within_what_was_checked(tmp_path, scratch):
    with zipfile.ZipFile(tmp_path / "lie.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("x", os.urandom(1000) + bytes(100_000))
    content = bytearray((tmp_path / "lie.zip").read_bytes())
    size = (101_000).to_bytes(4, "little")
    for _ in range(2):  # in the local header and in the directory
        content[content.index(size) : content.index(size) + 4] = (1500).to_bytes(4, "little")
    (tmp_path / "lie.zip").write_bytes(content)
    found, refused = shown([tmp_path / "lie.zip"], scratch)
    assert not found
    assert "can't be unpacked" in refused[0][1]
    assert sum(p.stat().st_size for p in scratch.made[0].rglob("*")) <= 1500


def test_a_dicomdir_that_was_asked_for_stands_for_its_files(scratch):
    path = Path(get_testdata_file("DICOMDIR", download=False))
    assert shown([path], scratch)[0] == [(str(path), "dicomdir")]
    names = referenced_files(path)
    assert len(names) == 31
    assert all((path.parent / name).is_file() for name in names)


@pytest.mark.parametrize(
    "rename",
    [str.lower, str.title, lambda name: f"{name}.dcm", lambda name: f"{name};1", lambda name: f"{name.lower()}.DCM;1"],
)
def test_files_of_a_dicomdir_are_found_as_copies_of_discs_have_them(tmp_path, rename):
    there = [rename(name) for name in ("DICOM", "IM0001", "IM0002")]
    fill(tmp_path, f"{there[0]}/{there[1]}", f"{there[0]}/{there[2]}")
    find = finder(tmp_path)
    assert [find(Path("DICOM", f"IM000{n}")) for n in (1, 2, 3)] == [
        Path(there[0], there[1]), Path(there[0], there[2]), None,
    ]  # fmt: skip
    assert find(Path("DICOM")) is None and find(Path("OTHER", "IM0001")) is None
    fill(tmp_path, "DICOM/IM0001")  # the very name is taken before another
    assert find(Path("DICOM", "IM0001")) == Path("DICOM", "IM0001")


def test_what_is_no_dicomdir(tmp_path):
    (tmp_path / "DICOMDIR").write_bytes(b"no")
    with pytest.raises(Refused, match="can't be read as a DICOMDIR"):
        referenced_files(tmp_path / "DICOMDIR")
    with pytest.raises(Refused, match="no Directory Record Sequence"):
        referenced_files(Path(get_testdata_file("CT_small.dcm", download=False)))


def test_several_files_are_named_by_their_folder():
    assert common(["a/b/1", "a/b/2"]) == "a/b"
    assert common(["a/b/1", "a/c/2"]) == "a"
    assert common(["a/1", "a/1"]) == "a/1"
    assert common(["1", "2"]) == "."
    assert common(["/x/1", "/y/2"]) == "/"
    assert common(["x/1", "/y/2"]) == "x"
