"""Fine-tuning from config to results, on a few small films: from a pretrained encoder, with a share of the labels."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from films import SIDE, make_record
from support import compose_config

from anatomy_clip.core.radiographs import Finding
from anatomy_clip.core.terms import State
from anatomy_clip.runs.folder import run_folder
from anatomy_clip.runs.stages import run
from anatomy_clip.runs.tested import Tested
from anatomy_clip.stores.leakage import patient_hashes
from anatomy_clip.stores.store import Store, write_store

SHOWN = ("no_finding", "consolidation", "covid_pattern", "limb_fracture")
STATED = (*SHOWN, "cardiomegaly", "pleural_effusion", "pneumothorax", "edema", "atelectasis", "nodule", "rib_fracture",
          "support_devices")  # fmt: skip
TINY = (
    f"model.vision.image_size={SIDE}", "model.embed_dim=16", "optim.scheduler.warmup_steps=0", "data.batch_size=4",
    "model.text={words: true, width: 16, heads: 2, layers: 1, context_length: 20, pool: max}", "data.workers=0",
    "+trainer.enable_progress_bar=false", "resamples=5",
)  # fmt: skip
FEW = ("data.label_share=0.1", "data.least_positives=1", "data.epoch_batches=2", "trainer.max_steps=3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Stores of films that show something each, in turn, and a run of SimCLR."""
    folder = tmp_path_factory.mktemp("finetune")
    for split in ("train", "validation", "test", "shifted"):
        records = [
            make_record(n, split, image=f"{split}-{n}", findings={
                name: Finding(State.POSITIVE if name == SHOWN[n % 4] or k == n % 20 else State.NEGATIVE)
                for k, name in enumerate(STATED)
            })
            for n in range(40)
        ]  # fmt: skip
        images = np.random.default_rng(sum(map(ord, split))).integers(0, 256, (40, SIDE, SIDE), np.uint8)
        write_store(folder / "films" / split, images, records, {})
    left_out = ("~data.test.retrieval", "~data.test.queries")
    run(composed(folder, "experiment=pretraining/simclr", "trainer.max_epochs=1", "stages=[fit]", *left_out))
    return folder


def composed(folder, *overrides):
    paths = (f"paths.data={folder}", f"paths.outputs={folder}/outputs")
    return compose_config("config", *paths, *TINY, *overrides)


def tuned(folder, name="simclr", *overrides):
    return composed(folder, f"experiment=finetune/{name}", *FEW, *overrides)


def state(cfg):
    return torch.load(run_folder(cfg) / "last.ckpt", weights_only=True)


def encoder(checkpoint):
    return {name: value for name, value in checkpoint["state_dict"].items() if name.startswith("model.image.")}


@pytest.mark.parametrize(
    ("task", "labels", "cells"),
    [("pneumonia", 1, 2), ("findings", 11, 13), ("covid", 3, 1)],
)
def test_each_task_is_an_override_and_its_scores_are_those_of_its_head(folder, task, labels, cells):
    cfg = tuned(folder, "simclr", f"task={task}", f"suite={task}", "data.label_draw=1")
    run(cfg)
    saved, rows = state(cfg), pd.read_parquet(run_folder(cfg) / "head.parquet")
    assert set(rows["task"]) == {task} and set(rows["share"]) == {0.1} and set(rows["draw"]) == {1}
    weight, bias = (saved["state_dict"][f"objective.head.{name}"].double().numpy() for name in ("weight", "bias"))
    assert weight.shape[0] == labels
    for name, films in Tested(cfg, run_folder(cfg)).sets("test").items():
        part = rows[rows["set"] == name]
        by_hand = films.pooled.double().numpy() @ weight.T + bias
        np.testing.assert_allclose(np.stack(part["scores"]), by_hand, atol=1e-5)
        np.testing.assert_array_equal(np.stack(part["targets"]), next(iter(films.labels.values())))
    scores = json.loads((run_folder(cfg) / "results.json").read_text())["scores"]["head"]
    assert [score["cell"] for score in scores][:1] == [f"fine_tuned/{task}/10/test"] and len(scores) == 2 * cells
    known = {tuple(one) for one in rows["labelled"]}
    assert len(known) == 1 and all(0 < count < 40 for count in next(iter(known)))


def test_the_share_alone_is_kept_as_trained_on_beside_whom_pretraining_saw(folder):
    nothing = tuned(folder, "random", "suite=chain")
    run(nothing)
    saved = set(state(nothing)["recipe"]["patients"])
    train, test = (Store.open(folder / "films" / name, kind=None).manifest for name in ("train", "test"))
    assert saved < set(patient_hashes(train.patients())) and len(saved) < 20
    assert not saved & set(patient_hashes(test.patients()))
    after = tuned(folder, "simclr", "suite=chain")
    run(after)
    assert set(state(after)["recipe"]["patients"]) == set(patient_hashes(train.patients()))  # pretraining saw all


def test_a_frozen_encoder_is_that_of_pretraining_to_the_bit_and_else_all_of_it_moves(folder):
    start = encoder(state(composed(folder, "experiment=pretraining/simclr")))
    frozen, moved = (
        tuned(folder, "simclr", "suite=f", "optim.prepare.frozen_image=all"),
        tuned(folder, "simclr", "suite=m"),
    )
    for cfg in (frozen, moved):
        run(cfg)
    same, other = encoder(state(frozen)), encoder(state(moved))
    assert any(name.endswith("running_var") for name in start) and same.keys() == other.keys()
    assert all(torch.equal(value, start[name]) for name, value in same.items())
    assert not [name for name, value in other.items() if torch.equal(value, start[name]) and value.ndim]
    assert other.keys() <= start.keys()


def test_random_weights_start_as_those_of_the_column_of_pretraining(folder):
    cfg = tuned(folder, "random", "suite=r", "optim.prepare.frozen_image=all", "seed=3")
    run(cfg)
    column = composed(folder, "experiment=pretraining/random", "seed=3")
    random = Tested(column, run_folder(column)).trained[0].image.state_dict()
    found = encoder(state(cfg))
    assert found and all(torch.equal(value, random[name.removeprefix("model.image.")]) for name, value in found.items())


def test_an_encoder_of_another_network_or_one_that_is_not_there_is_refused(folder):
    with pytest.raises(
        ValueError, match=r"simclr/seed_0/last\.ckpt: .*vision\.image_size is 32 in the file and 64 in the model"
    ):
        run(tuned(folder, "simclr", "suite=other", "model.vision.image_size=64"))
    with pytest.raises(
        ValueError, match=r"init\.image: .*pretraining/moco/seed_0/last\.ckpt does not exist; give a run"
    ):
        run(tuned(folder, "moco", "suite=absent"))


def test_the_head_of_supervised_pretraining_is_measured_too_and_one_that_is_not_there_is_left_out(folder):
    left_out = ("~data.test.retrieval", "~data.test.queries", "trainer.max_epochs=1", "eval=head")
    cfg = composed(folder, "experiment=pretraining/supervised", *left_out)
    run(cfg)
    rows = pd.read_parquet(run_folder(cfg) / "head.parquet")
    assert set(rows["task"]) == {"findings"} and set(rows["share"]) == {1.0} and set(rows["draw"]) == {0}
    simclr = composed(folder, "experiment=pretraining/simclr", *left_out, "stages=[evaluate]")
    run(simclr)
    notes = json.loads((run_folder(simclr) / "results.json").read_text())["notes"]["head"]
    assert notes == ["head is left out: SimCLR has no head that scores labels"]
