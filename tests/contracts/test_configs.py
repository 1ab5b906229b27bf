"""Every YAML composes, and its keys match the signature of what it builds."""

import inspect

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.utils import get_class, get_object, instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from anatomy_clip.cli.configs import config_folder
from anatomy_clip.core.trees import differences
from anatomy_clip.evaluation.base import Evaluator
from anatomy_clip.objectives.base import Objective
from anatomy_clip.runs.settings import deciding
from anatomy_clip.runs.wiring import ALLOWED_TARGETS, check_targets

CONF = config_folder()
ARMS = sorted(path.stem for path in (CONF / "arms").glob("*.yaml"))
GROUPS = sorted({str(p.parent.relative_to(CONF)) for p in CONF.rglob("*.yaml")} - {".", "arms"})
GROUPS += [f"experiment/{suite}" for suite in ARMS]
TABLE3 = ["pmc", "pmc_m", "pmc_ms", "pmc_msa"]
# Arguments that the programs give, because they come from another group.
WIRED = {"seed", "taxonomy", "texts", "augment", "context_length", "size", "model", "save_dir", "optimizer",
         "total_steps", "modules", "weights", "classes", "label_names"}  # fmt: skip
PRIMARY = {
    "source": "prepare",
    "display": "prepare",
    "stores": "check",
    "table": "results",
}  # groups of another primary config than config.yaml


def options(group):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return GlobalHydra.instance().config_loader().get_group_options(group, ObjectType.CONFIG)


def config(*overrides, primary="config", **options):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(primary, overrides=list(overrides), **options)


def targets(node):
    if isinstance(node, DictConfig):
        if "_target_" in node:
            yield node
        for key in node:
            if not OmegaConf.is_missing(node, key):
                yield from targets(node._get_node(key))
    elif isinstance(node, ListConfig):
        for value in node:
            yield from targets(value)


CASES = [(group, option) for group in GROUPS for option in options(group)]


@pytest.mark.parametrize(("group", "option"), CASES, ids=lambda v: v)
def test_yaml_composes_and_matches_its_target(group, option):
    root, *deeper = group.split("/")
    primary = PRIMARY.get(root, "config")
    chosen = f"{root}={'/'.join([*deeper, option])}"
    cfg = config(chosen, primary=primary)
    check_targets(OmegaConf.to_container(cfg, resolve=False))
    for node in targets(cfg):
        target = get_object(node._target_)
        signature = inspect.signature(target)
        takes_all = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
        keys = {k for k in node if not str(k).startswith("_")}
        unknown = keys - set(signature.parameters)
        assert takes_all or not unknown, f"{node._target_} takes no {unknown}"
        needed = {
            name for name, p in signature.parameters.items()
            if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        }  # fmt: skip
        assert needed <= keys | WIRED, f"{node._target_} wants {needed - keys - WIRED}"


def built(group):
    """What the YAMLs of a group build: (option, key, the class and the names that its constructor takes)."""
    for option in options(group):
        cfg = config(f"{group}={option}")[group]
        for key, node in cfg.items() if "_target_" not in cfg else [(None, cfg)]:
            made = get_class(node._target_)
            yield option, key, made, list(inspect.signature(made).parameters)


def test_objectives_are_built_with_the_model_and_with_the_names_that_they_want():
    for option, _, made, takes in built("objective"):
        assert issubclass(made, Objective) and takes[0] == "model", option
        assert ("classes" in takes) == made.wants.classes, option
        assert ("label_names" in takes) == bool(made.wants.labels), option


def test_evaluators_are_built_with_the_taxonomy_and_know_whether_they_compare():
    seen = {}
    for option, key, made, takes in built("eval"):
        assert issubclass(made, Evaluator) and "taxonomy" in takes, f"{option}: {key}"
        seen[key] = made.compares
    assert seen == {
        "zero_shot": True, "contrast": True, "captions": True, "zero_shot_findings": True,
        "linear_probe": False, "class_probe": False, "retrieval": False, "folds_probe": False, "head": False,
        "saliency": False, "by_patient": True,
    }  # fmt: skip


def declared(table):
    return OmegaConf.to_container(config(f"table={table}", primary="results").table.differs)


@pytest.mark.parametrize(
    ("table", "suite"),
    [("laptop", "table3"), *((name, name) for name in ("table3_plus", "probe", "pretraining", *ARMS))],
)
def test_columns_differ_in_the_keys_that_they_declare_and_in_no_others(table, suite):
    """Table II, enforced: the same declaration that the results program holds the finished runs against."""
    differs = declared(table)
    names = {*differs, *(other for others in differs.values() for other in others)}
    composed = {name: OmegaConf.to_container(config(f"experiment={suite}/{name}")) for name in names}
    assert all(cfg["name"] == name and cfg["suite"] == suite for name, cfg in composed.items())
    for column, others in differs.items():
        for other, keys in others.items():
            found = list(differences(*(deciding(composed[name], "seed") for name in (column, other))))
            held = {key: [f for f in found if f == key or f.startswith(f"{key}.")] for key in keys}
            assert all(held.values()), f"{column} doesn't differ from {other} in {held}"
            assert sorted(found) == sorted(f for fs in held.values() for f in fs), f"{column} over {other}"


def test_table_iii_declares_the_same_at_both_scales_and_every_arm_has_its_column():
    assert declared("laptop") == declared("paper")
    for suite in ARMS:
        columns = list(config(f"table={suite}", primary="results").table.columns)
        assert sorted(columns) == options(f"experiment/{suite}")
        swept = config(f"sweep={suite}", return_hydra_config=True).hydra.sweeper.params.experiment
        assert swept.split(",") == [f"{suite}/{name}" for name in columns]


def test_what_was_pretrained_is_fine_tuned_under_the_same_names():
    tables = [config(f"table={name}", primary="results").table for name in ("pretraining", "finetune")]
    pretrained = {name: text for name, text in tables[0].columns.items() if name not in tables[0].optional}
    assert pretrained == tables[1].columns
    for name in tables[1].columns:
        start = config(f"experiment=finetune/{name}", "seed=3").init.image
        assert start == (None if name == "random" else f"pretraining/{name}/seed_3")


def test_columns_are_measured_by_one_ruler_and_trained_equally_long():
    composed = [config(f"experiment=table3/{name}") for name in TABLE3]
    for key in ("eval", "data", "taxonomy", "model", "optim", "trainer", "objective"):
        first = OmegaConf.to_container(composed[0][key])
        assert all(OmegaConf.to_container(c[key]) == first for c in composed), key


@pytest.mark.parametrize("target", ["os.system", "builtins.eval", "torch.load"])
def test_targets_outside_the_allowed_packages_are_refused(target):
    assert not target.startswith(ALLOWED_TARGETS)
    with pytest.raises(ValueError, match=r"model\.vision\[0\]\._target_=.*objects may only come from"):
        check_targets({"model": {"vision": [{"_target_": target}]}})


def test_long_configs_are_a_smell():
    long = {p.name: n for p in CONF.rglob("*.yaml") if (n := len(p.read_text().splitlines())) > 40}
    assert not long
    assert get_class("anatomy_clip.data.datamodule.SliceDataModule")


@pytest.mark.parametrize("table", sorted(path.stem for path in (CONF / "table").glob("*.yaml")))
def test_every_column_of_a_table_but_the_first_says_what_it_is_measured_against(table):
    made = instantiate(config(f"table={table}", primary="results").table)
    assert [*made.columns][1:] == [name for name in made.columns if name in made.differs]
