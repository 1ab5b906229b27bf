"""The command as people run it: what it prints, what it writes, how it ends."""

import csv
import json
import resource
import subprocess
import sys
import tomllib
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from describe.studies import SECRETS, uid
from PIL import Image

from anatomy_clip.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "anatomy_clip" / "describe" / "description.schema.json").read_text())
HEAVY = {"torch", "numpy", "pydicom", "open_clip", "lightning", "albumentations", "matplotlib", "omegaconf", "rich"}


def python(*words):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=ROOT)


def test_the_console_script_is_declared():
    target = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["anatomy-clip"]
    module, _, name = target.partition(":")
    assert getattr(import_module(module), name) is main


def test_help_and_import_are_quick_and_light():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "describe" in python("-m", "anatomy_clip.cli", "--help").stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5  # whatever else the machine does
    code = f"import sys, anatomy_clip, anatomy_clip.cli.main; print(sorted({HEAVY} & set(sys.modules)))"
    assert python("-c", code).stdout.strip() == "[]"


@pytest.mark.parametrize("words", [[], ["nonsense"], ["describe"], ["describe", "x", "--workers", "many"]])
def test_wrong_usage_ends_with_2(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_missing_path_or_bundle_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "x").write_text("")
    assert main(["describe", str(tmp_path / "x"), "--bundle", str(tmp_path)]) == 2
    assert main(["describe", str(tmp_path / "x"), "--csv", str(tmp_path / "no" / "a.csv")]) == 2
    assert main(["export", str(tmp_path)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in said] == ["error"] * 3
    assert "is not a bundle" in said[0]
    assert "its folder does not exist" in said[1]
    assert "has no config.yaml" in said[2]


@pytest.fixture
def slice_(tmp_path):
    """A picture that anything can be seen in."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (30, 40), dtype=np.uint8)).save(tmp_path / "slice.png")
    return tmp_path / "slice.png"


def test_export_then_describe(run_folder, tmp_path, slice_, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "bundle"
    assert main(["export", str(run_folder), "--to", str(folder)]) == 0
    assert "5 captions" in capsys.readouterr().out
    assert main(["export", str(run_folder), "--to", str(folder)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["describe", slice_.name, "--bundle", str(folder), "--workers", "0"]) == 0
    assert "slice.png" in capsys.readouterr().out


def test_json_csv_and_plot(bundle_folder, write, tmp_path, capsys, monkeypatch):
    for n in range(4):
        write(f"s/{n}.dcm", z=10.0 * n, BodyPartExamined="HEAD")
    (tmp_path / "s" / "words").write_text("no image")
    monkeypatch.chdir(tmp_path)
    code = main(["describe", "s", "--bundle", str(bundle_folder), "--json", "--csv", "a.csv", "--plot", "a.png"])
    said = capsys.readouterr()
    assert code == 3  # a file was refused
    document = json.loads(said.out)
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    (one,) = document["series"]
    assert (one["path"], one["body_part"], len(one["slices"])) == ("s", "HEAD", 4)
    assert document["rejected"][0]["path"] == "s/words"
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    for row, each in zip(rows, one["slices"], strict=True):
        assert row["stations"] == ";".join(found["name"] for found in each["stations"])
        assert float(row["position_mm"]) == each["position_mm"]
    with Image.open(tmp_path / "a.png") as picture:
        assert min(picture.size) > 300
        assert not set(picture.info) - {"dpi", "Software"}
        assert np.asarray(picture.convert("L")).std() > 20


def test_nothing_described_ends_with_1(bundle_folder, tmp_path, capsys):
    (tmp_path / "words").write_text("no image")
    assert main(["describe", str(tmp_path), "--bundle", str(bundle_folder), "--workers", "1"]) == 1
    assert "1 refused" in capsys.readouterr().out


def test_the_audit_lists_what_the_header_has_wrong(bundle_folder, write, tmp_path, capsys):
    words = ["describe", str(tmp_path / "s"), "--bundle", str(bundle_folder), "--workers", "0"]
    write("s/0.dcm")
    main([*words, "--json"])
    shown = {one["name"] for one in json.loads(capsys.readouterr().out)["series"][0]["stations"]}
    terms = {"HEAD": "head", "CHEST": "chest", "ABDOMEN": "abdomen", "PELVIS": "pelvis", "KNEE": "lower body"}
    right, wrong = (next(t for t, station in terms.items() if (station in shown) is told) for told in (True, False))
    write("s/0.dcm", BodyPartExamined=right)
    main([*words, "--audit"])
    assert "0 of 1 series" in capsys.readouterr().out
    write("s/0.dcm", BodyPartExamined=wrong)
    main([*words, "--audit"])
    said = capsys.readouterr().out
    assert "1 of 1 series" in said
    assert wrong in said
    main([*words, "--audit", "--json"])
    assert len(json.loads(capsys.readouterr().out)["series"]) == 1


def test_nothing_of_the_patient_gets_out(bundle_folder, write, tmp_path, capfd):
    """All outputs, and both streams with those of the workers, with damaged files among the good ones."""
    for n in range(3):
        write(f"s/{n}.dcm", z=10.0 * n, BodyPartExamined="DOE^JOHN SECRET", BurnedInAnnotation="YES")
    good = tmp_path / "s" / "0.dcm"
    content = good.read_bytes()
    for n, part in enumerate((200, 700, len(content) - 900, len(content) - 10)):
        (tmp_path / "s" / f"cut{n}").write_bytes(content[:part])
    for n, position in enumerate(range(140, 1500, 170)):
        changed = bytearray(content)
        changed[position : position + 4] = b"\xff\x00\xff\x7f"
        (tmp_path / "s" / f"odd{n}").write_bytes(changed)
    texts = []
    for extra in (["--csv", f"{tmp_path}/a.csv", "--figure", f"{tmp_path}/a.svg"], ["--json"], ["--audit"]):
        with warnings.catch_warnings():  # pydicom's quote values: here they would bring down what they warn of
            warnings.simplefilter("error", UserWarning)
            assert main(["describe", str(tmp_path / "s"), "--bundle", str(bundle_folder), *extra]) == 3
        texts += [text.encode() for text in capfd.readouterr()]
    texts += [(tmp_path / name).read_bytes() for name in ("a.csv", "a.svg")]
    assert max(len(one["slices"]) for one in json.loads(texts[2])["series"]) >= 3
    for secret in (*SECRETS, "SECRET", uid("study"), uid("series")):
        assert all(secret.encode() not in text for text in texts), secret
