"""The README's block: put in, taken out, and equal to what the last recorded run wrote."""

import csv
import re
from pathlib import Path

import pytest

from anatomy_clip.results.readme import insert_block, markers, refresh

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "experiments/table3/recorded"
BEGIN, END = markers("table3")


def extract_block(text, suite="table3"):
    begin, end = markers(suite)
    return text.split(begin)[1].split(end)[0].strip()


def test_block_goes_in_and_out_and_the_rest_stays():
    text = f"# Title\n\n{BEGIN}\nold\n{END}\n\nend\n"
    new = insert_block(text, "table3", "| a |\n| b |\n")
    assert extract_block(new) == "| a |\n| b |"
    assert new.startswith("# Title\n\n") and new.endswith(f"{END}\n\nend\n") and "old" not in new
    assert insert_block(new, "table3", "| a |\n| b |") == new


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_markers_must_be_there_once_and_in_order(text):
    with pytest.raises(ValueError, match="table3:begin"):
        insert_block(text, "table3", "x")


def test_refresh_tells_whether_it_changed(tmp_path):
    readme = tmp_path / "README.md"
    with pytest.raises(ValueError, match="missing"):
        refresh(readme, "table3", "x")
    readme.write_text(f"{BEGIN}\n{END}")
    assert refresh(readme, "table3", "x") and not refresh(readme, "table3", "x")
    assert list(tmp_path.iterdir()) == [readme]


def recorded_readme():
    readme = ROOT / "README.md"
    if not readme.is_file() or BEGIN not in readme.read_text() or not RECORDED.is_dir():
        pytest.skip("no recorded run yet")
    return extract_block(readme.read_text())


def test_readme_shows_the_recorded_table_word_for_word():
    assert recorded_readme() in (RECORDED / "table3.md").read_text()


def test_a_block_goes_between_the_markers_of_its_suite():
    begin, end = markers("pretraining")
    text = f"{BEGIN}\nold\n{END}\n{begin}\n{end}\n"
    new = insert_block(text, "pretraining", "new")
    assert (extract_block(new), extract_block(new, "pretraining")) == ("old", "new")


def test_readme_shows_the_numbers_of_the_recorded_csv():
    lines = [line for line in recorded_readme().splitlines() if line.startswith("| ") and "`" in line]
    shown = {}
    for line in lines:
        name = re.search(r"`([^`]+)`", line).group(1)
        shown[name] = [text.replace("**", "").split()[0] for text in line.split(" | ")[1:5]]  # bold or not
    with (RECORDED / "table3.csv").open() as file:
        for row in csv.DictReader(file):
            # each is rounded from the same number, the table to one place, the CSV to two
            assert abs(float(shown[row["row"]].pop(0)) - float(row["value"])) < 0.056, row
    assert not any(shown.values())
