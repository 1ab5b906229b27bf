"""Outputs that can't be written are told before the work, and header values reach no stream."""

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from anatomy_clip.cli.main import main
from anatomy_clip.describe.outputs import check_outputs, written


def check(tmp_path, paths=("study",), **options):
    given = argparse.Namespace(paths=[str(tmp_path / path) for path in paths], csv=None, plot=None, sr_out=None)
    vars(given).update({name: str(tmp_path / value) for name, value in options.items()})
    check_outputs(given)


@pytest.fixture
def study(tmp_path):
    (tmp_path / "study" / "series").mkdir(parents=True)
    for name in ("study/series/1.dcm", "old.csv", "a.nii", "sr/report_001.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"csv": "study"}, "--csv .*study: is a folder; give a file in it"),
        ({"plot": "study"}, "--plot .*study: is a folder; give a file in it"),
        ({"csv": "no/a.csv"}, "its folder does not exist; create it first"),
        ({"plot": "a.txt"}, "unknown ending '.txt'; give .png"),
        ({"csv": "a.png", "plot": "study/../a.png"}, "both name .*; give each its own file"),
        ({"csv": "a.nii", "paths": ["a.nii"]}, "is one of the inputs; choose another place"),
        ({"sr_out": "old.csv"}, "--sr-out .*old.csv: is not a folder; choose another place"),
        ({"sr_out": "sr"}, "already contains reports; choose another folder"),
        ({"sr_out": "study"}, "is inside the folder of the study; choose a folder outside"),
        ({"sr_out": "study/series/sr"}, "is inside the folder of the study; choose a folder outside"),
        ({"sr_out": "study/series", "paths": ["study/series/1.dcm"]}, "is inside the folder of the study"),
    ],
)
def test_what_can_t_be_written_is_told_first(study, options, said):
    with pytest.raises(ValueError, match=said):
        check(study, **options)


def test_what_can_be_written_passes_and_leaves_nothing_behind(study):
    before = sorted(study.rglob("*"))
    check(study, csv="old.csv", plot="new.svg", sr_out="new/sr")
    check(study, csv="study/a.csv", sr_out="new", paths=["a.nii"])
    assert sorted(study.rglob("*")) == before and (study / "old.csv").read_bytes() == b"x"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_told(study):
    (study / "study").chmod(0o500)
    with pytest.raises(ValueError, match=r"can't be written .*; choose another place"):
        check(study, csv="study/a.csv")


def test_an_output_that_fails_in_the_end_is_one_line():
    with pytest.raises(ValueError, match=r"standard output: can't be written \(No space left on device\); choose"):
        with written("standard output"), open("/dev/full", "w") as full:
            full.write("x")
            full.flush()


def test_a_name_that_is_no_utf_8_stands_in_every_output(bundle_folder, write, tmp_path, capfd):
    write("s/1.dcm")
    odd = os.fsencode(tmp_path) + b"/M\xfcller"
    os.rename(os.fsencode(tmp_path / "s"), odd)
    files = [f"{tmp_path}/a.csv", f"{tmp_path}/a.svg"]
    words = ["describe", os.fsdecode(odd), "--bundle", str(bundle_folder), "--workers", "1"]
    assert main([*words, "--json", "--csv", files[0], "--figure", files[1]]) == 0
    said = capfd.readouterr()
    assert said.err.startswith("reading files")  # no terminal: a line in place of a bar
    shown = json.loads(said.out)["series"][0]["path"]
    assert shown == f"{tmp_path}/M\\xfcller/1.dcm" and shown.encode()
    (row,) = csv.DictReader(Path(files[0]).read_text(encoding="utf-8").splitlines())
    assert row["path"] == shown and Path(files[1]).stat().st_size > 1000


@pytest.mark.filterwarnings("ignore:Unknown encoding")  # as the test writes it
def test_no_header_value_reaches_a_stream_or_a_log(bundle_folder, write, tmp_path):
    """pydicom quotes a charset, and what it warns of elsewhere; in this process and in workers."""
    odd = {
        "SpecificCharacterSet": (b"SMITH^JOHN", "CS"),
        "NumberOfFrames": (b"", "IS"),
        "StudyDate": (b"SMITHDAY", "DA"),
    }
    for n in range(2):
        path = write(f"s/{n}.dcm", z=3.0 * n)
        data = dcmread(path)
        for keyword, (value, vr) in odd.items():
            tag = Tag(keyword)
            Dataset.__setitem__(data, tag, RawDataElement(tag, vr, len(value), value, 0, False, True))
        data.save_as(path)
    code = (
        "import logging, sys; logging.basicConfig(level=0); from anatomy_clip.cli.main import main; "
        "sys.exit(main(sys.argv[1:]))"
    )
    words = ["describe", tmp_path / "s", "--bundle", bundle_folder, "--json", "--sr-out", tmp_path / "sr", "--workers"]
    for workers in ("0", "1"):
        ran = subprocess.run(
            [sys.executable, "-W", "default", "-c", code, *map(str, words), workers], capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        assert "SMITH" not in ran.stderr + ran.stdout and "pydicom" not in ran.stderr
        for path in (tmp_path / "sr").iterdir():
            path.unlink()
