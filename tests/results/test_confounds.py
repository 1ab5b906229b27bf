"""Differences between columns that nobody declared."""

from dataclasses import replace
from pathlib import Path

import pytest
from fake_suite import write_run
from support import compose_config

from anatomy_clip.cli.results import main as results
from anatomy_clip.results.confounds import confounds
from anatomy_clip.results.layout import layout
from anatomy_clip.results.read import Run

ROWS = {"organ/set1_ct": {"text": "x", "set": "set1", "modalities": ["CT"]}}
CHAIN = {"b": {"a": ["stages"]}, "c": {"b": ["augment", "prompts.templates"]}}
A = {
    "name": "a", "suite": "s", "seed": 0, "stages": ["evaluate"], "paths": {"data": "/mnt/jane"},
    "augment": {"rotation": None, "flip": {"p": 0.3}}, "prompts": {"templates": ["x"], "shuffle": 0.0},
    "optim": {"lr": 0.1}, "data": {"workers": 1, "train": ["${paths.data}/x"]}, "trainer": {"max_epochs": 7},
}  # fmt: skip
B = A | {"name": "b", "stages": ["fit", "evaluate"], "paths": {"data": "/home"}}
C = B | {
    "name": "c", "augment": {"rotation": {"p": 1}, "flip": {"p": 0.3}}, "prompts": {"templates": ["y"], "shuffle": 0.0}
}  # fmt: skip


def made(differs=CHAIN):
    return layout({"a": "A", "b": "B", "c": "C"}, ROWS, {}, "data", differs=differs)


def run(config, seed=0):
    return Run(config["name"], seed, Path("x"), {}, {}, {}, config=config | {"seed": seed})


def test_what_is_declared_passes_and_so_does_what_decides_no_number():
    faster = B | {"data": B["data"] | {"workers": 8}, "logger": {"mode": "offline"}, "checkpoint_every": 5}
    assert confounds([run(A), run(faster), run(C), run(C, seed=1)], made()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optim": {"lr": 0.2}}, "optim.lr is 0.2, not 0.1"),
        ({"prompts": {"templates": ["y"], "shuffle": 0.5}}, "prompts.shuffle is 0.5, not 0.0"),
        ({"trainer": {"max_epochs": 7, "max_steps": 9}}, "trainer.max_steps is 9, not null"),
        ({"data": {"workers": 1, "train": ["/mnt/jane/x"]}}, "data.train is another file, not ['${paths.data}/x']"),
    ],
)
def test_more_than_declared_is_named_with_both_values(change, words):
    (found,) = confounds([run(A), run(B), run(C | change)], made())
    assert found == f"undeclared difference between c, seed 0 and b, seed 0: {words}"


def test_seeds_of_a_column_may_differ_in_nothing():
    other = run(B | {"stages": ["evaluate"]}, seed=1)
    found = confounds([run(A), run(B), other], made())
    assert len(found) == 1 and found[0].startswith("undeclared difference between b, seed 1 and b, seed 0: stages is")


def test_runs_are_compared_seed_by_seed_and_with_the_first_where_a_seed_is_missing():
    a0, a1, b1, b2 = run(A), run(A | {"optim": {"lr": 0.2}}, 1), run(B | {"optim": {"lr": 0.2}}, 1), run(B, 2)
    pairs = [text.split(":")[0] for text in confounds([a0, a1, b1, b2], made())]
    begin = "undeclared difference between"
    assert pairs == [f"{begin} a, seed 1 and a, seed 0", f"{begin} b, seed 2 and b, seed 1"]


def test_without_a_declaration_or_a_config_nothing_is_checked():
    assert confounds([run(A), run(C)], made(differs=None)) == []
    assert confounds([run(A), replace(run(C), config={})], made()) == []


def test_pairs_to_measure_follow_the_declaration():
    assert made(differs=None).pairs() == [("b", "a"), ("c", "b")]
    assert made({"b": {"a": ["x"]}, "c": {"a": ["y"]}}).pairs() == [("b", "a"), ("c", "a")]


@pytest.mark.parametrize(
    ("differs", "words"),
    [({"b": {"a": ["x"]}}, "c is missing"), (CHAIN | {"b": {"z": ["x"]}}, "z is not a column")],
)
def test_a_declaration_that_does_not_fit_the_columns_is_refused(differs, words):
    with pytest.raises(ValueError, match=rf"differs: {words}.*; columns are a, b, c"):
        made(differs)


def test_the_report_shows_an_undeclared_difference_everywhere_and_fails_unless_it_is_allowed(tmp_path):
    for name, lr in (("pmc", 0.1), ("pmc_m", 0.2)):
        folder = write_run(tmp_path, name, 0, 0.5, sets=("set1",))
        (folder / "config.yaml").write_text(f"name: {name}\noptim: {{lr: {lr}}}\n")
    cfg = compose_config("results", f"paths.outputs={tmp_path}", "page.stores={}", "gallery.stores={}")
    with pytest.raises(ValueError, match=r"1 undeclared difference.*allow_confounds=true"):
        results(cfg)
    words = "undeclared difference between pmc_m, seed 0 and pmc, seed 0: optim.lr is 0.2, not 0.1"
    for name in ("table3.md", "results.html"):
        assert words in (tmp_path / "table3" / name).read_text()
    cfg.allow_confounds = True
    results(cfg)
