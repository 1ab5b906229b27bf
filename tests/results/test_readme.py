"""The README's block: its small table, put in and taken out."""

import pytest
from fake_suite import write_suite
from support import compose_config

from anatomy_clip.results.read import read_suite
from anatomy_clip.results.readme import bracket_words, insert_block, markers, refresh, small_table, trainings_words
from anatomy_clip.results.table import build, by_row
from anatomy_clip.results.trainings import one_a_training
from anatomy_clip.runs import wiring

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


def test_a_block_goes_between_the_markers_of_its_suite():
    begin, end = markers("pretraining")
    text = f"{BEGIN}\nold\n{END}\n{begin}\n{end}\n"
    new = insert_block(text, "pretraining", "new")
    assert (extract_block(new), extract_block(new, "pretraining")) == ("old", "new")


def test_the_small_table_has_the_cells_of_the_whole_one(tmp_path):
    write_suite(tmp_path)
    runs, _ = read_suite(tmp_path, "table3")
    paper = {"organ/set1_mr": {"pmc_msa": 91.62, "pmc": 54.0}}
    table = build(one_a_training(runs), wiring.build(compose_config("results").table, _convert_="all"), paper)
    lines = small_table(table.layout, table.cells).splitlines()
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:7]]
    for cells, (spec, row) in zip(shown, by_row(table.layout.rows, table.cells), strict=True):
        last = row[-1]
        bounds = f" [{last.lo:.1f}, {last.hi:.1f}]"
        assert cells[0] == spec.text
        assert cells[1:5] == [*(f"{cell.value:.1f}" for cell in row[:3]), f"{last.value:.1f}{bounds}"]
        assert cells[5:] == [f"{last.n} ({last.patients})", "91.62" if spec.row == "organ/set1_mr" else ""]
    assert "mean over 2 trainings. In brackets: 95 % interval over trainings" in lines[-1]
    assert "fewer than 10 patients" in lines[-1]


def test_columns_with_fewer_trainings_are_named():
    columns = {"a": "A", "b": "B"}
    assert trainings_words(columns, {"a": 1, "b": 3}) == "mean over 3 trainings (A: 1)"
    assert trainings_words(columns, {"a": 1, "b": 1}) == "mean over 1 training"


def test_brackets_of_one_training_are_over_patients_alone():
    assert bracket_words([3, 3]) == "95 % interval over trainings and patients"
    assert bracket_words([1, 3]).endswith("(a column with one training: over patients alone)")
    assert bracket_words([1]) == "95 % interval over patients, without the variation between trainings"
