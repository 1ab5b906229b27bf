"""The tables of docs/ that are copied from recorded ones hold the recorded numbers."""

import csv
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE3, PRETRAINING = ((ROOT / f"docs/{name}.md").read_text() for name in ("TABLE3", "PRETRAINING"))
PLUS = {
    "PMC-MSA": "pmc_msa",
    "PMC-MSA+": "pmc_msa_plus",
    "label prior": "label_prior",
    "soft targets by what slices share": "soft_targets",
    "several evaluation prompts": "prompt_ensemble",
    "class names in place of text augmentation": "class_tokens",
    "WiSE-FT, half-way to the stand-in": "wise_ft",
    "same captions are no negatives": "same_caption",
    "balanced sampling": "balanced",
    "LoRA, rank 8": "lora",
}
PLUS_ROWS = ("organ/set1_mr", "organ/set1_ct", "organ/set2_ct", "station/set1_mr_ct", "station/set2_ct")
LISTS = {
    "Set #1 (phantom)": "set1",
    "shifted phantom": "shifted",
    "real CT (3 patients)": "samples_ct",
    "labelled real files": "real",
}
PROBES = {
    "Set #1 (phantom), 14 of 140": ("set1", "14"),
    "Set #1 (phantom), 140": ("set1", "140"),
    "`shifted_validation`, 140": ("shifted", "140"),
    "labelled real files, 140": ("real", "140"),
}
CLAIMS = {
    "ConVIRT above random weights": ("convirt", "random", "1"),
    "SimCLR above random weights": ("simclr", "random", "1"),
    "ConVIRT above SimCLR": ("convirt", "simclr", "1"),
    "ConVIRT above MoCo v2": ("convirt", "moco", "1"),
    "ConVIRT with 1 % of the labels above random weights with 100 %": ("convirt", "random", "100"),
}


def recorded(path):
    with (ROOT / "experiments" / path).open(newline="") as lines:
        return list(csv.DictReader(lines))


def table(page, first_row):
    """First cell -> the others, of the table in which a row begins so."""
    block = next(b for b in page.split("\n\n") if f"\n| {first_row} |" in b and b.startswith("|"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]]
    return {row[0]: row[1:] for row in rows}


def number(text, digits=1):
    return f"{float(text):.{digits}f}"


@pytest.mark.parametrize(("page", "suite", "file"), [
    (TABLE3, "table3", "table3.md"), (PRETRAINING, "pretraining", "summary.md")])  # fmt: skip
def test_a_copied_table_is_the_recorded_one(page, suite, file):
    shown = re.search(rf"<!-- {suite}:begin -->\n(.+?)<!-- {suite}:end -->", page, flags=re.S)
    assert shown
    assert shown[1].strip() in (ROOT / f"experiments/{suite}/recorded/{file}").read_text(), (
        f"copy the first table of experiments/{suite}/recorded/{file} between the page's markers"
    )


def test_columns_beyond_the_paper():
    cells = {(r["row"], r["column"]): number(r["value"]) for r in recorded("table3_plus/recorded/cells.csv")}
    better = {
        (r["row"], r["column"]) for r in recorded("table3_plus/recorded/gains.csv")
        if r["adjusted"] and float(r["adjusted"]) < 0.05 and float(r["value"]) > 0
    }  # fmt: skip
    shown = table(TABLE3, "balanced sampling")
    assert len(shown) == len(PLUS)
    for title, values in shown.items():
        column = PLUS[title.split(":")[0]]
        bold = {row for row in PLUS_ROWS if (row, column) in better}
        expected = [f"**{cells[row, column]}**" if row in bold else cells[row, column] for row in PLUS_ROWS]
        assert values == [*expected, f"{cells['organ/shifted_mr', column]} / {cells['organ/shifted_ct', column]}"], (
            title
        )


def test_lists():
    rows = {
        (r["test_set"], r["way"]): r for r in recorded("table3/recorded/descriptions.csv") if r["column"] == "pmc_msa"
    }
    shown = table(TABLE3, "shifted phantom")
    assert list(shown) == list(LISTS)
    for title, values in shown.items():
        alone, listed = rows[LISTS[title], "top1"], rows[LISTS[title], "consistent"]
        f1 = f"{number(listed['organ_f1'])} [{number(listed['organ_f1_lo'])}, {number(listed['organ_f1_hi'])}]"
        agree = f"{number(alone['consistent'])} / {number(listed['consistent'], 0)}"
        assert values == [number(alone["organ_f1"]), f1, number(listed["organ_exact"]), agree], title


def test_probes():
    lines = (ROOT / "experiments/probe/recorded/probe.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    rows = {(name, labelled.split()[0]): row[:5] for name, labelled, *row in cells[2:]}
    shown = table(TABLE3, "Set #1 (phantom), 140")
    assert list(shown) == list(PROBES)
    for title, values in shown.items():
        for value, cell in zip(values, rows[PROBES[title]], strict=True):
            assert value in (cell.split()[0], cell.split(" ±")[0]), title


def test_claims():
    rows = {
        (r["column"], r["over"], r["over_cell"].split("/")[2]): r for r in recorded("pretraining/recorded/claims.csv")
        if r["cell"] == "probe/finding/1/test"
    }  # fmt: skip
    shown = table(PRETRAINING, "ConVIRT above SimCLR")
    assert list(shown) == list(CLAIMS)
    for title, (difference, p) in shown.items():
        row = rows[CLAIMS[title]]
        assert difference == f"{float(row['difference']):+.1f} [{number(row['lo'])}, {number(row['hi'])}]", title
        assert p == ("< 0.001" if float(row["adjusted"]) < 0.001 else number(row["adjusted"], 3)), title
