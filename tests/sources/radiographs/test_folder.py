"""A folder of films: parts by folder, labels by table, ids that name nobody."""

import os
from pathlib import Path

import pytest
from sources.radiographs.pictures import all_films, write_film

from anatomy_clip.core.refusals import Refusal
from anatomy_clip.core.terms import Projection, State
from anatomy_clip.sources.radiographs.folder import FilmFolder

REAL = Path(os.environ.get("REAL_DATA", Path(__file__).parents[3].parent / "shared" / "realdata")) / "radiographs"
SHARES = {"all": 1.0}


def test_folders_name_parts_and_every_file_ends_as_a_film_or_with_a_reason(tmp_path):
    for n in range(60):
        write_film(tmp_path / "Hand" / f"{n}.png")
    write_film(tmp_path / "Other" / "deep" / "16.png", bits=16)
    (tmp_path / "notes.txt").write_text("hello")
    source = FilmFolder(tmp_path, parts={"Hand": "hand"}, shares=SHARES, salt="s")
    films, others = all_films(source)
    assert [record.part for _, _, record in films] == ["hand"] * 60 + [""]
    assert len({record.patient for _, _, record in films}) == 61
    assert films[-1][1].pixels.max() == pytest.approx(79 / 255)  # 16 bits keep their scale
    assert len(source.volumes("all")) == 2
    ((refusal,),) = [others]
    assert isinstance(refusal, Refusal) and refusal.where == str(tmp_path / "notes.txt") and refusal.remedy


def test_a_table_states_patients_views_and_findings(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        write_film(tmp_path / name)
    (tmp_path / "labels.csv").write_text(
        "path,patient,part,projection,edema,nodule\na.png,DOE,chest,PA,1,\nb.png,DOE,chest,LL,0,-1\nmissing.png,X,,,,\n"
    )
    source = FilmFolder(tmp_path, labels="labels.csv", shares=SHARES, salt="s")
    films, others = all_films(source)
    (_, _, a), (_, _, b) = films
    assert {name: one.state for name, one in a.findings.items()} == {"edema": State.POSITIVE}
    assert {name: one.state for name, one in b.findings.items()} == {"edema": State.NEGATIVE, "nodule": State.UNCERTAIN}
    assert (a.projection, b.projection, a.part) == (Projection.PA, Projection.LATERAL, "chest")
    assert a.patient == b.patient and a.image != b.image
    assert "DOE" not in repr(films) + "".join(source.volumes("all"))
    reasons = {Path(one.where).name: one.reason for one in others}
    assert "no row of labels.csv" in reasons["c.png"] and "missing" in reasons["missing.png"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("path,edema\na.png,yes\n", "line 2: edema is not one of 1, 0, -1 and empty"),
        ("path\na.png\na.png\n", "line 3: path is there twice"),
        ("path,edema\n,1\n", "line 2: path is empty"),
        ("file\na.png\n", "has no column path"),
        ('path\n"a', "can't be read as a table"),
        ("path\n" + "x" * 200_000, "can't be read as a table"),
    ],
)
def test_bad_tables_are_refused_by_line(tmp_path, table, message):
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(ValueError, match=message):
        FilmFolder(tmp_path, labels="labels.csv", salt="s").splits()


def test_paths_out_of_the_folder_are_refused_by_name(tmp_path):
    write_film(tmp_path / "outside.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "in" / "labels.csv").write_text(f"path\n../outside.png\n/etc/passwd\nlink.png\n{'x' * 300}\n")
    films, others = all_films(FilmFolder(tmp_path / "in", labels="labels.csv", shares=SHARES, salt="s"))
    assert films == [] and len(others) == 4
    said = " ".join(map(str, others))
    assert "'../outside.png' is not below" in said and "'/etc/passwd'" in said and "through a symbolic link" in said
    assert "xxx'... is too long" in said


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="lists no film"):
        FilmFolder(tmp_path, salt="s").splits()


def test_the_fingerprint_tells_what_changed(tmp_path):
    write_film(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("path\na.png\n")

    def seen(salt="s"):
        return FilmFolder(tmp_path, labels="labels.csv", salt=salt).fingerprint()

    first = seen()
    assert seen() == first and seen("other")["salt"] != first["salt"]
    (tmp_path / "labels.csv").write_text("path,edema\na.png,1\n")
    assert seen()["tables"] != first["tables"]
    write_film(tmp_path / "b.png")
    assert seen()["files"] != first["files"]


@pytest.mark.skipif(not (REAL / "mednist").is_dir(), reason=f"no real radiographs at {REAL}")
def test_real_films_are_all_taken():
    films, others = all_films(FilmFolder(REAL / "mednist", parts={"CXR": "chest", "Hand": "hand"}))
    parts = [record.part for _, _, record in films]
    assert (parts.count("chest"), parts.count("hand")) == (250, 250) and others == []
