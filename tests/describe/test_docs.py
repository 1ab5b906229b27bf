"""docs/DESCRIBE.md: its library example runs, its JSON example fits the schema, its commands are parsed."""

import json
import re
import shlex
from pathlib import Path

import jsonschema
import pytest

from anatomy_clip.cli.main import command_line
from anatomy_clip.describe import command
from anatomy_clip.describe.table import COLUMNS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "DESCRIBE.md").read_text()
SCHEMA = json.loads((ROOT / "anatomy_clip" / "describe" / "description.schema.json").read_text())


def block(language):
    return re.search(rf"```{language}\n(.*?)```", TEXT, flags=re.S)[1]


def test_the_library_example_runs(bundle_folder, write, capsys):
    files = [write(f"{n}.dcm", z=5.0 * n) for n in range(2)]
    (files[0].parent / "words").write_text("no image")
    exec(block("python"), {"BUNDLE": bundle_folder, "FILES": files[0].parent})
    said = capsys.readouterr().out
    assert "CT axial 2 slices" in said
    assert "refused: is not a DICOM file" in said


def test_the_json_example_fits_the_schema():
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(block("json")))


@pytest.mark.parametrize("line", [line for line in block("bash").splitlines() if line])
def test_the_commands_are_parsed(line):
    words = shlex.split(line.split("#")[0].split(">")[0])
    assert words[0] == "anatomy-clip"
    assert callable(command_line().parse_args(words[1:]).run)


def test_exit_statuses_and_columns_are_those_of_the_program():
    for status in (command.ALL, command.NOTHING, 2, command.SOME):
        assert f"| {status} |" in TEXT
    assert ", ".join(COLUMNS) in " ".join(TEXT.split())
