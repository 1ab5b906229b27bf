"""Whom a run was trained on travels with its weights, and comes into no test set of a later run."""

import re

import pytest
import torch
from omegaconf import OmegaConf
from runs.tiny import SETS, config, make_store, make_stores, saved

from anatomy_clip.core.files import sha256_of
from anatomy_clip.runs import folder as folders
from anatomy_clip.runs import wiring
from anatomy_clip.runs.chain import earlier_patients, patients_entry, patients_of
from anatomy_clip.runs.folder import is_finished, run_folder, stage_inputs
from anatomy_clip.runs.stages import run
from anatomy_clip.stores.leakage import patient_hashes

START = "init.image=s/{}/seed_0"


def hashes(*names):
    return patient_hashes(("test", patient) for name in names for patient in SETS[name])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run `first` on the store `more`; `second` from it on `train`; `third` from that, on `train`; their average."""
    folder = tmp_path_factory.mktemp("chain")
    make_stores(folder)
    make_store(folder / "known", ["other", "M-01"])  # a patient of the first run, in another spelling
    run(config(folder, "first", "objective=simclr", "augment=clip", "data.train=['${paths.data}/more']"))
    run(config(folder, "second", START.format("first")))
    run(config(folder, "third", f"model.weights={folder}/outputs/s/second/seed_0/last.ckpt"))
    paths = [f"{folder}/outputs/s/{name}/seed_0/last.ckpt" for name in ("second", "third")]
    between = f"average={{checkpoints:[{','.join(paths)}],shares:[0.5,0.5]}}"
    run(config(folder, "between", "stages=[average]", between))
    return folder


def test_a_checkpoint_carries_the_patients_of_the_whole_chain_and_no_id(folder):
    assert patients_of(folder / "outputs/s/first/seed_0/last.ckpt") == hashes("more")
    for name in ("second", "third", "between"):
        found = saved(folder, name)["recipe"]["patients"]
        assert found == sorted(hashes("more", "train")), name
        assert not {"a1", "m1"} & set(found)


def test_spellings_of_a_patient_have_one_hash_and_sources_share_articles_alone():
    assert len(patient_hashes([("ct", "PAT-007"), ("ct", "pat 7")])) == 1
    assert len(patient_hashes([("ct", "s1"), ("mr", "s1")])) == 2
    assert len(patient_hashes([("roco", "PMC12"), ("rocov2", "pmc 0012")])) == 1


@pytest.mark.parametrize("stages", ["[fit]", "[evaluate]"])
@pytest.mark.parametrize("start", ["init.image={}/last.ckpt", "model.weights={}/last.ckpt"])
@pytest.mark.parametrize("sets", ["data.test.set1", "data.validation.phantom"])
def test_a_patient_of_an_earlier_run_is_refused_without_its_id(folder, sets, start, stages, tmp_path):
    began = start.format(folder / "outputs/s/third/seed_0")
    cfg = config(folder, "fourth", f"{sets}={folder}/known", began, f"stages={stages}")
    cfg.paths.outputs = str(tmp_path)
    role, name = sets.removeprefix("data.").split(".")
    message = rf"leakage: {role} set '{name}' has 1 patient\(s\) on whom this run, or a run that it started from, was"
    with pytest.raises(ValueError, match=message) as refused:
        run(cfg)
    assert "M-01" not in str(refused.value)


def test_what_a_run_trained_is_tested_on_no_patient_of_its_chain(folder):
    for name in ("third", "between"):
        cfg = config(folder, name, *changes(folder, name), f"data.test.set1={folder}/known", "stages=[evaluate]")
        with pytest.raises(ValueError, match=r"test set 'set1' has 1 patient\(s\)"):
            run(cfg)


def changes(folder, name):
    """The overrides that a run of the fixture had, from its config."""
    cfg = OmegaConf.load(folder / "outputs/s" / name / "seed_0/config.yaml")
    average = [f"average={{checkpoints:[{','.join(cfg.average.checkpoints)}],shares:[0.5,0.5]}}"] if cfg.average else []
    return [*average, *([f"model.weights={cfg.model.weights}"] if cfg.model.weights else [])]


def recorded(folder, recipe):
    torch.save({"recipe": recipe}, folder / "other.ckpt")
    return config(folder, "next", f"model.weights={folder}/other.ckpt")


def test_patients_that_cannot_be_compared_are_refused(folder, monkeypatch):
    with pytest.raises(ValueError, match=r"other.ckpt: its run has no list of its training patients, because"):
        earlier_patients(recorded(folder, {"finished": True}))
    cfg = recorded(folder, patients_entry(["ab"]))
    assert earlier_patients(cfg) == {"ab"}
    plain = hashes("more")
    monkeypatch.setenv("ANATOMY_CLIP_SALT", "pepper")
    with pytest.raises(ValueError, match=r"other.ckpt: its training patients are hashed with another ANATOMY"):
        earlier_patients(cfg)
    assert not hashes("more") & plain


def test_weights_that_no_run_left_have_no_patients(folder):
    torch.save({"tensor": torch.zeros(1)}, folder / "theirs.pt")
    assert earlier_patients(config(folder, "next", f"model.weights={folder}/theirs.pt")) == frozenset()
    assert earlier_patients(config(folder, "next", "model.weights=hf:owner/name@1")) == frozenset()


def test_digests_hold_version_and_checkpoint(folder, monkeypatch):
    cfg = config(folder, "first", "objective=simclr", "augment=clip", "data.train=['${paths.data}/more']")
    assert is_finished(cfg)
    fit, evaluate = (stage_inputs(cfg, step) for step in ("fit", "evaluate/zero_shot"))
    checkpoint = run_folder(cfg) / "last.ckpt"
    before = checkpoint.read_bytes()
    checkpoint.write_bytes(before + b"\0")
    assert stage_inputs(cfg, "fit") == fit and stage_inputs(cfg, "evaluate/zero_shot") != evaluate
    checkpoint.write_bytes(before)
    assert stage_inputs(cfg, "evaluate/zero_shot") == evaluate
    monkeypatch.setattr(folders, "__version__", "0.0.1")
    assert stage_inputs(cfg, "fit") != fit and not is_finished(cfg)
    with pytest.raises(ValueError, match=r"first/seed_0: was made by version [0-9.]+ of anatomy_clip.* overwrite=true"):
        run(cfg)


def test_a_run_of_an_older_version_is_not_done_but_is_done_again(folder, monkeypatch, capsys):
    run(config(folder, "older"))
    monkeypatch.setattr(folders, "__version__", "0.0.1")
    monkeypatch.setattr(wiring, "__version__", "0.0.1")
    with pytest.raises(ValueError, match=r"older/seed_0: was made by version [0-9.]+"):
        run(config(folder, "older"))
    assert "is already finished" not in capsys.readouterr().out
    again = config(folder, "older", "overwrite=true")
    run(again)
    assert saved(folder, "older")["recipe"]["versions"]["anatomy_clip"] == "0.0.1" and is_finished(again)


def test_a_checkpoint_is_hashed_once_for_all_steps(folder, monkeypatch):
    hashed = []
    monkeypatch.setattr(folders, "sha256_of", lambda path: hashed.append(path.name) or sha256_of(path))
    folders._digest.cache_clear()
    cfg = config(folder, "third", *changes(folder, "third"), "stages=[fit,evaluate]")
    for step in folders.steps(cfg) * 2:
        stage_inputs(cfg, step)
    assert hashed.count("last.ckpt") == 2  # its own, and the one that it started from


def test_a_training_of_stores_that_changed_is_refused(folder):
    make_store(folder / "extra", ["e1"])
    cfg = config(folder, "extra", "data.train=['${paths.data}/extra']")
    run(cfg)
    make_store(folder / "extra", ["e1", "e2"])
    with pytest.raises(ValueError, match=re.escape("extra/seed_0: was trained on stores, or from weights, that have")):
        run(cfg)


def test_a_run_leaves_out_what_it_tests_wherever_its_training_stores_are_read(folder):
    sets = [
        "data.train=['${paths.data}/train','${paths.data}/more','${paths.data}/set1']",
        "+data.leave_out_tested=true",
    ]
    cfg = config(folder, "fold", *sets)
    run(cfg)
    recipe = saved(folder, "fold")["recipe"]
    assert recipe["patients"] == sorted(hashes("train", "more"))
    assert is_finished(cfg)
    other = config(folder, "fold", *sets, "data.test={set1: ${paths.data}/shifted}")
    assert not is_finished(other)  # it would train on set1
    with pytest.raises(ValueError, match=r"fold/seed_0: was made with another config \(data\.train differ\)"):
        run(other)
    fewer = config(folder, "fold", *sets, "data.test={set1: ${paths.data}/set1}")
    assert is_finished(fewer)  # another test that leaves the training as it is
