"""All pages: their commands exist and their links lead somewhere. The README: short, with the recorded numbers."""

import ast
import csv
import re
from pathlib import Path
from typing import get_type_hints

import pytest
from pages import PAGES, ROOT, blocks, broken_links, commands, headings, problem, read, targets
from support import compose_config

from anatomy_clip.results import readme
from anatomy_clip.results.panels import summary
from anatomy_clip.results.table import Cell
from anatomy_clip.runs import wiring

README = read("README.md")
MOST_LINES = 120
COMMANDS = [(page, command) for page in PAGES for command in commands(page)]


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_command_exists(page, command):
    assert problem(command) is None


def test_wrong_commands_are_found():
    right = ("make help", "anatomy-clip describe STUDY --json > study.json", "make data REAL_DATA=FOLDER  # a comment")
    assert [problem(command) for command in right] == [None] * 3
    wrong = ("make nothing", "make data REAL=FOLDER", "anatomy-clip describe --jsno", "anatomy-clip train sede=1",
             "python experiments/run.py sede=1", "python experiments/no.py", "unknown-program")  # fmt: skip
    assert all(problem(command) for command in wrong)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page):
    assert broken_links(page) == []


def test_headings_are_named_as_github_names_them(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `b` c, d\n```\n# no heading\n```\n## Ä [link](x.md)!\n## The same\n## The same\n")
    assert headings(page) == ["a-b-c-d", "ä-link", "the-same", "the-same-1"]


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_within_a_line_exist(page):
    assert set(re.findall(r"`make (?:-n )?([a-z0-9-]+)", read(page))) <= targets()


@pytest.mark.parametrize("page", PAGES)
def test_python_examples_are_python(page):
    for block in blocks(page, "python"):
        ast.parse(block)


def test_docs_lists_every_page():
    text = read("docs/README.md")
    others = [page for page in PAGES if page.startswith("docs/") and page != "docs/README.md"]
    assert [page for page in others if f"({Path(page).name})" not in text] == []


def test_the_readme_is_short():
    assert len(README.splitlines()) <= MOST_LINES


def test_the_two_commands_stand_on_the_first_screen():
    first = "\n".join(README.splitlines()[:40])
    assert "make reproduce-table3" in first
    assert "make test" in first


def block_of(suite):
    """What the README shows of a suite."""
    begin, end = readme.markers(suite)
    return README.split(begin)[1].split(end)[0].strip()


def recorded(file, kind):
    """The rows of a recorded CSV as the program had them."""
    kinds = get_type_hints(kind)
    made = {float: lambda text: float(text or "nan"), int: int, str: str}
    with (ROOT / "experiments" / file).open() as lines:
        return [kind(**{key: made[kinds[key]](value) for key, value in row.items()}) for row in csv.DictReader(lines)]


def layout(table):
    return wiring.build(compose_config("results", f"table={table}").table, _convert_="all")


def test_table3_is_the_recorded_one():
    cells = recorded("table3/recorded/cells.csv", Cell)
    assert block_of("table3") == readme.small_table(layout("laptop"), cells)


def test_pretraining_is_the_recorded_one():
    shown = block_of("pretraining")
    made = summary.small_table(layout("pretraining"), recorded("pretraining/recorded/summary.csv", summary.Found))
    number = r"\d+\.\d"  # rounded twice in `made`, since the CSV is rounded: compared with summary.md in its place
    assert re.sub(number, "#", shown) == re.sub(number, "#", made)
    full = rows_of(read("experiments/pretraining/recorded/summary.md").split("\n## ")[1])
    methods = [method for method in rows_of(shown) if method in full]
    assert len(methods) == 10
    for method in methods:
        rest = iter(full[method])
        assert all(cell in rest for cell in rows_of(shown)[method]), method  # the same cells in the same order


def rows_of(text):
    """Name -> the cells that aren't empty, of the lines of a Markdown table."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "| " in line]
    return {line[0]: [cell for cell in line[1:] if cell] for line in lines if line[0]}


def test_every_interval_of_the_readme_is_recorded():
    files = [*ROOT.glob("experiments/**/recorded/**/*.md")]
    known = "\n".join(file.read_text() for file in files).replace("**", "")
    shown = re.findall(r"([+-]?\d+\.\d)(?: %)? (\[[^\]]+\])", README.replace("\n", " "))
    assert len(shown) > 40
    assert [f"{value} {interval}" for value, interval in shown if f"{value} {interval}" not in known] == []


def test_what_the_readme_says_of_its_tables_is_recorded():
    said = " ".join(README.split())
    table3, claims = (
        read(f"experiments/{file}") for file in ("table3/recorded/table3.md", "pretraining/recorded/claims.md")
    )
    assert (
        'The constant answer "intestine" is right in 70 % of its slices' in said
        and "| `organ/set2_ct` | intestine | 70.4 |" in table3
    )
    assert "significantly above PMC-MS in all three rows (p = 0.003 or less" in said
    gains = re.findall(r"`\w+/set1_\w+` \| PMC-MSA \| PMC-MS \| (\*\*).* \| (.*) \|", table3)
    assert sorted(gains) == [("**", "0.003"), ("**", "< 0.001"), ("**", "< 0.001")]
    assert "8.5 points above random weights (p = 0.010)" in said
    assert "ConVIRT over random weights, on test | 65.0 | 56.5 | **+8.5 [+6.2, +10.9]** | 0.010 |" in claims
    assert "ConVIRT over SimCLR, on test | 65.0 | 64.2 | +0.8 [-2.8, +4.5] | 1.000 |" in claims


def test_every_make_target_is_in_help():
    makefile = (ROOT / "Makefile").read_text()
    for target in ("help", "setup", "lint", "test", "reproduce-table3", "benchmark", "results"):
        assert re.search(rf"^{target}:.*## ", makefile, flags=re.M), target
