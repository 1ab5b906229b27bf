"""The README's commands exist, and its table is the one that the last recorded run wrote."""

import re
import shlex
from pathlib import Path

import pytest

from anatomy_clip.cli import main as cli
from anatomy_clip.cli.configs import config_folder
from anatomy_clip.cli.overrides import find_problem
from anatomy_clip.cli.program import PROGRAMS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PRIMARY = {f"{name}.py": config for name, (config, _) in PROGRAMS.items()}
PRIMARY |= {"run.py": "config", "export.py": "export"}
BLOCKS = re.findall(r"```(?:bash|sh)\n(.*?)```", README, flags=re.S)
LINES = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
COMMANDS = sorted({line for line in LINES if line and not line.startswith(("git ", "cd "))})


def make_targets():
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), flags=re.M))


def test_the_two_commands_stand_on_the_first_screen():
    first = "\n".join(README.splitlines()[:40])
    assert "make reproduce-table3" in first
    assert "make test" in first


@pytest.mark.parametrize("command", COMMANDS)
def test_command_exists(command):
    words = [w for w in shlex.split(command) if not re.fullmatch(r"[A-Z_]+=.*", w)]
    if words[0] == "make":
        assert set(words[1:]) <= make_targets()
        return
    if words[0] == "anatomy-clip":
        given = cli.command_line().parse_args(words[1:])  # it exits where an option is wrong
        overrides = [w for w in getattr(given, "overrides", []) if not w.startswith("-")]
        assert not overrides or find_problem(overrides, config_folder(), PROGRAMS[given.program][0]) is None
        return
    assert words[0].endswith("python"), f"{command}: neither make, python nor anatomy-clip"
    script = ROOT / words[1]
    assert script.is_file()
    overrides = [w for w in words[2:] if not w.startswith("-")]
    assert find_problem(overrides, config_folder(), PRIMARY[script.name]) is None


@pytest.mark.parametrize(("suite", "file"), [("table3", "table3.md"), ("pretraining", "summary.md")])
def test_table_is_the_recorded_one(suite, file):
    recorded = (ROOT / f"experiments/{suite}/recorded/{file}").read_text().strip()
    shown = re.search(rf"<!-- {suite}:begin -->\n(.*?)<!-- {suite}:end -->", README, flags=re.S)
    assert shown
    assert shown[1].strip()
    assert shown[1].strip() in recorded  # which goes on with gains, baselines and further test sets


def test_pictures_and_links_to_files_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_every_make_target_is_in_help():
    makefile = (ROOT / "Makefile").read_text()
    for target in ("help", "setup", "lint", "test", "reproduce-table3", "benchmark", "results"):
        assert re.search(rf"^{target}:.*## ", makefile, flags=re.M), target
