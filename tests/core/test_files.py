"""Files and folders that are there whole or not at all; killed writers are in training/test_checkpoints."""

import hashlib

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
    with pytest.raises(ValueError, match=r"a: is there already; add --overwrite to replace it"):
        whole_folder(path, unless="--overwrite").__enter__()
    with whole_folder(path) as partial:
        (partial / "sub").mkdir()
        (partial / "sub" / "new").write_text("2")
    assert [p.name for p in path.iterdir()] == ["sub"] and [p.name for p in path.parent.iterdir()] == ["a"]


def test_the_checksum_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(256)) * 5000)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(bytes(range(256)) * 5000).hexdigest()
