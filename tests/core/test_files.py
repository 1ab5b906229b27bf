"""Files and folders that are there whole or not at all; killed writers of files are in training/test_checkpoints."""

import hashlib
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from anatomy_clip.core.files import sha256_of, whole_file, whole_folder, write_text


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old é")
    with pytest.raises(KeyError), whole_file(path) as partial:
        partial.write_text("half")
        assert path.read_text(encoding="utf-8") == "old é"
        raise KeyError
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    with whole_file(path) as partial:
        partial.write_bytes(b"new")
    assert path.read_bytes() == b"new" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "deep" / "a"
    with whole_folder(path) as partial:
        (partial / "old").write_text("1")
    (path.parent / ".a.partial").mkdir()  # the orphan of a killed process
    (path.parent / ".a.partial" / "orphan").write_text("half")
    with pytest.raises(KeyError), whole_folder(path) as partial:
        assert not list(partial.iterdir())
        raise KeyError
    assert [p.name for p in path.iterdir()] == ["old"]
    with pytest.raises(ValueError, match=r"a: already exists; add --overwrite to replace it"):
        whole_folder(path, unless="--overwrite").__enter__()
    with whole_folder(path) as partial:
        (partial / "sub").mkdir()
        (partial / "sub" / "new").write_text("2")
    assert [p.name for p in path.iterdir()] == ["sub"] and [p.name for p in path.parent.iterdir()] == ["a"]


FILES = 5


def write_version(path, version):
    with whole_folder(path) as partial:
        (partial / "sub").mkdir()
        for n in range(FILES):
            (partial / "sub" / f"{version}_{n}").write_text(str(version))


def version_of(path):
    """The version of a whole folder; fails for half a one."""
    found = sorted(file.name for file in (path / "sub").iterdir())
    version = found[0].split("_")[0]
    assert found == sorted(f"{version}_{n}" for n in range(FILES))
    assert {(path / "sub" / name).read_text() for name in found} == {version}
    return version


def in_child(work):
    """Do work in a process of its own; returns its id."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    return child


def killed_at(moment, work):
    """Do work in a process that kills itself just before its n-th use of the file system; whether it got that far."""

    def work_and_die():
        left = [moment]

        def count(event, args):
            if event in ("open", "shutil.rmtree") or event.startswith("os."):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        work()

    return os.WIFSIGNALED(os.waitpid(in_child(work_and_die), 0)[1])


def test_a_kill_at_any_moment_leaves_the_old_folder_or_the_new_one(tmp_path):
    path, found, recovered, moment = tmp_path / "a", [], 0, 0
    killed = True
    while killed:
        moment += 1
        write_version(path, "old")
        killed = killed_at(moment, lambda: write_version(path, "new"))
        if not path.exists():  # the two were changing places
            recovered += 1
            with pytest.raises(KeyError), whole_folder(path):
                raise KeyError  # whatever the next call does, the old folder is there first
        found.append(version_of(path))
    assert found == sorted(found, reverse=True) and set(found) == {"old", "new"}  # once new, always new
    assert recovered == 1 and moment > 20
    write_version(path, "next")
    assert [one.name for one in tmp_path.iterdir()] == ["a"]  # nothing is left of the killed ones


def test_a_new_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_version(path, "old")
    rename = Path.rename

    def refuse(self, target):
        if self.name == ".a.partial":
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="no"):
        write_version(path, "new")
    assert version_of(path) == "old" and [one.name for one in tmp_path.iterdir()] == ["a"]


def test_the_folder_that_a_link_points_to_is_replaced(tmp_path):
    write_version(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to("real")
    write_version(tmp_path / "link", "new")
    assert version_of(tmp_path / "real") == "new" and (tmp_path / "link").is_symlink()
    assert len(list(tmp_path.iterdir())) == 2


def test_kills_at_random_moments_lose_no_folder(tmp_path):
    def write_for_ever():
        for n in range(1 << 20):
            write_version(path, n)

    path = tmp_path / "a"
    write_version(path, -1)
    for kill in range(8):
        child = in_child(write_for_ever)
        time.sleep(random.Random(kill).uniform(0.01, 0.1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with pytest.raises(KeyError), whole_folder(path):
            raise KeyError
        version_of(path)


def test_the_checksum_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(256)) * 5000)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(bytes(range(256)) * 5000).hexdigest()
