"""docs/DESCRIBE.md and the README: library examples run. The JSON example fits the schema (commands: contracts)."""

import json

import jsonschema
from pages import ROOT, blocks, read

from anatomy_clip.describe import command
from anatomy_clip.describe.table import COLUMNS

PAGE = "docs/DESCRIBE.md"
SCHEMA = json.loads((ROOT / "anatomy_clip" / "describe" / "description.schema.json").read_text())


def test_the_library_example_runs(bundle_folder, write, capsys):
    files = [write(f"{n}.dcm", z=5.0 * n) for n in range(2)]
    (files[0].parent / "words").write_text("no image")
    exec(blocks(PAGE, "python")[0], {"BUNDLE": bundle_folder, "FILES": files[0].parent})
    said = capsys.readouterr().out
    assert "CT axial 2 slices" in said
    assert "refused: is not a DICOM file" in said


def test_the_json_example_fits_the_schema():
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(blocks(PAGE, "json")[0]))


def test_the_library_example_of_the_readme_runs(write, capsys):
    files = [write(f"{n}.dcm", z=5.0 * n) for n in range(2)]
    exec(blocks("README.md", "python")[0].replace('"STUDY"', repr(str(files[0].parent))), {})
    assert capsys.readouterr().out.startswith("CT axial [")


def test_exit_statuses_and_columns_are_those_of_the_program():
    for status in (command.ALL, command.NOTHING, 2, command.SOME):
        assert f"| {status} |" in read(PAGE)
    assert ", ".join(COLUMNS) in " ".join(read(PAGE).split())
