"""docs/EXTEND.md: its files and commands, in the order of the page, work in a copy of the checkout."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "EXTEND.md").read_text()
FILES = {
    path: body for body, path in re.findall(r"```(?:python|yaml)\n(# (\S+\.(?:py|yaml))\n.*?)```", TEXT, flags=re.S)
}
COMMANDS = [line for block in re.findall(r"```shell\n(.*?)```", TEXT, flags=re.S) for line in block.splitlines()]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The programs, their configs and the page's files."""
    folder = tmp_path_factory.mktemp("extend")
    left_out = shutil.ignore_patterns("__pycache__", "shipped", "recorded")
    for part in ("anatomy_clip", "conf", "experiments"):
        shutil.copytree(ROOT / part, folder / part, ignore=left_out)
    for path, body in FILES.items():
        assert not (folder / path).exists(), f"{path}: is part of the package already"
        (folder / path).write_text(body.split("\n", 1)[1])
    return folder


def test_the_page_has_a_file_and_a_command_of_every_kind():
    for path in (
        "sources/scans/",
        "anatomy/",
        "objectives/",
        "conf/source/",
        "conf/taxonomy/",
        "conf/objective/",
        "task/",
    ):
        assert any(path in name for name in FILES), path
    assert len(COMMANDS) == 6


def test_its_files_keep_the_rules_of_the_code(checkout):
    made = [path for path in FILES if path.startswith("anatomy_clip/") and path.endswith(".py")]
    rules = ("--config", str(ROOT / "pyproject.toml"))
    subprocess.run([sys.executable, "-m", "ruff", "check", *rules, *made], cwd=checkout, check=True)
    subprocess.run([sys.executable, "-m", "ruff", "format", "--check", *rules, *made], cwd=checkout, check=True)


def test_its_commands_run(checkout):
    own = {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    for line in COMMANDS:
        words = shlex.split(line)
        assert words[0] == ".venv/bin/python"
        done = subprocess.run(
            [sys.executable, *words[1:]],
            cwd=checkout,
            env=os.environ | own,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    for run, table in (("siglip", "zero_shot"), ("random", "head")):
        assert (checkout / f"outputs/extend/{run}/seed_0/{table}.parquet").is_file()


def test_the_commits_that_it_names_hold_the_files_that_it_names():
    git = ["git", "show", "--stat=200", "--format="]
    for commit, path in (
        ("111bebd", "anatomy_clip/objectives/convirt.py"),
        ("cc68d34", "conf/source/slices.yaml"),
        ("a7eea35", "conf/task/pneumonia.yaml"),
        ("6c58d56", "anatomy_clip/anatomy/whole_body.yaml"),
    ):
        assert commit in TEXT
        done = subprocess.run([*git, commit], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{commit}: the history isn't here")
        assert path in done.stdout
