import re
from pathlib import Path

import pytest

from anatomy_clip.cli.configs import config_folder
from anatomy_clip.cli.overrides import check_overrides, find_problem

CONF = config_folder()


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("experiment=table3/pmc_msaa", "table3/pmc_msa"),
        ("experiment=table3/pmc_m,table3/pmc_mss", "table3/pmc_ms"),
        ("augment=clinicl", "clinical"),
        ("modle=tiny", "model"),
        ("sede=1", "seed"),
        ("trainer.max_step=5", "trainer.max_steps"),
        ("optim.optimizer.lrr=1", "optim.optimizer.lr"),
        ("data.batchsize=8", "data.batch_size"),
    ],
)
def test_a_typo_is_met_with_the_nearest_right_name(override, nearest):
    problem = find_problem([override], CONF, "config")
    assert problem is not None
    assert f"(did you mean '{nearest}'?)" in problem


@pytest.mark.parametrize(
    "overrides",
    [
        ["experiment=table3/pmc_m,table3/pmc_msa", "seed=0,1"],
        ["experiment=table3/pmc_msa", "trainer.max_steps=5", "+data.extra=1", "~logger"],
        ["experiment=augmentation/no_crop", "sweep=learning_curve"],
        ["experiment=finetune/convirt", "data.label_share=0.01"],
        ["experiment=finetune/convirt,finetune/simclr", "data=labelled_films", "data.label_share=0.01"],
        ["seed=range(0,3)", "hydra.verbose=true", "experiment=null"],
    ],
)
def test_right_overrides_pass(overrides):
    assert find_problem(overrides, CONF, "config") is None


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("suite=2031", "write \"suite='2031'\""),
        ("suite=20310102", "as text"),
        ("name=1.50", "write \"name='1.50'\""),
        ("name=yes_it_is,true", "the truth value True"),
        ("suite=null", "nothing"),
        ("suite=../evil", "name of one folder"),
        ("name=/tmp/run", "name of one folder"),
        ("name=a/b", "name of one folder"),
        ("suite=.hydra", "name of one folder"),
        ("seed=-1", "whole number from 0"),
        ("seed=1.5", "whole number from 0"),
        ("seed=0,-2", "whole number from 0"),
    ],
)
def test_a_run_folder_stays_in_its_suite_and_keeps_its_name(override, remedy):
    problem = find_problem([override], CONF, "config")
    assert problem is not None
    assert remedy in problem


def test_a_quoted_number_is_a_name():
    assert find_problem(["suite='2031'", "name=v1.50", "seed=4294967295"], CONF, "config") is None


@pytest.mark.parametrize(("override", "added"), [("data.test.mine=s", True), ("data.batchsize=8", False)])
def test_where_names_are_free_the_message_says_how_to_add_one(override, added):
    assert (f"write +{override}" in find_problem([override], CONF, "config")) == added


def test_bad_grammar_is_one_line():
    problem = find_problem(["seed=[1,"], CONF, "config")
    assert problem
    assert "\n" not in problem


def test_the_program_ends_with_status_2(capsys):
    with pytest.raises(SystemExit) as end:
        check_overrides(["--multirun", "--cfg", "job", "sede=0"], CONF, "config")
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("error: sede=0")


def test_a_key_that_only_one_of_several_choices_has_is_refused_as_hydra_refuses_it():
    problem = find_problem(["experiment=finetune/convirt,finetune/simclr", "data.label_share=0.01"], CONF, "config")
    assert problem is not None and "several choices" in problem


def test_the_overrides_of_fine_tuning_in_the_makefile_are_right():
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text()
    words = re.search(r"(sweep=finetune .*?) seed=", makefile, flags=re.S)[1].replace("\\\n", " ")
    values = {"one": "pneumonia_1_0", "task": "pneumonia", "share": "0.01", "draw": "0"}
    words = re.sub(r"\$\(call joined,\$\([^)]*\)\)", "finetune/simclr,finetune/convirt", words)
    words = re.sub(r"\$\$(\w+)", lambda name: values[name[1]], words)
    assert find_problem(words.split(), CONF, "config") is None
