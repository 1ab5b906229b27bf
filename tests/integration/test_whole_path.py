"""From stores to results by the real `run`: stand-in, column, resume, refusals, workers."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from support import compose_config

from anatomy_clip.core.manifest import Manifest
from anatomy_clip.inference.decisions import Decisions
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.runs.folder import run_folder
from anatomy_clip.runs.stages import run
from anatomy_clip.stores.store import Store, write_store

TINY = [
    "model.vision.image_size=32",
    "model.text={context_length:77,vocab_size:49408,width:32,heads:1,layers:1}",
    "model.embed_dim=16",
    "trainer.max_steps=8",
    "optim.scheduler.warmup_steps=2",
    "data.batch_size=16",
    "data.workers=0",
    "resamples=50",
    "eval.captions.grown=1000",
    "eval.captions.beam=2",
    "+trainer.enable_progress_bar=false",
]


def config(data, outputs, *overrides):
    return compose_config("config", f"paths.data={data}", f"paths.outputs={outputs}", *TINY, *overrides)


@pytest.fixture(scope="module")
def outputs(data, tmp_path_factory):
    """An outputs folder in which the stand-in is trained."""
    folder = tmp_path_factory.mktemp("outputs")
    run(config(data, folder, "experiment=table3/stand_in"))
    return folder


def weights(folder):
    return torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_column_is_trained_in_bf16_as_the_gpu_configs_ask(data, outputs):
    gpu = config(data, outputs, "experiment=table3/pmc_msa", "trainer=gpu").trainer
    precision = [f"trainer.precision={gpu.precision}", f"trainer.gradient_clip_val={gpu.gradient_clip_val}"]
    cfg = config(data, outputs, "experiment=table3/pmc_msa", "name=bf16", "stages=[fit,evaluate]", *precision)
    run(cfg)
    assert (gpu.precision, gpu.gradient_clip_val) == ("bf16-mixed", 1.0)
    state, start = weights(run_folder(cfg)), weights(outputs / "table3/stand_in/seed_0")
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert {tensor.dtype for tensor in state.values() if tensor.is_floating_point()} == {torch.float32}
    assert not same(state, start)


def test_the_tests_of_a_run_embed_each_slice_once(data, outputs, monkeypatch):
    embedded = []
    encode = ImageTextModel.encode_image
    monkeypatch.setattr(
        ImageTextModel, "encode_image", lambda model, images: embedded.append(len(images)) or encode(model, images)
    )
    cfg = config(data, outputs, "experiment=table3/pmc", "name=once")
    run(cfg)
    folder = run_folder(cfg)
    tables = (folder / f"{name}.parquet" for name in ("zero_shot", "zero_shot_validation"))
    slices = sum(len(pd.read_parquet(path)) for path in tables)
    assert sum(embedded) == slices + 1  # the report of the weights embeds a golden image
    assert (folder / "contrast.parquet").exists() and (folder / "captions.parquet").exists()


def test_a_column_is_trained_and_evaluated_and_then_skipped(data, outputs, capsys):
    cfg = config(data, outputs, "experiment=table3/pmc_msa")
    run(cfg)
    folder = run_folder(cfg)
    results = json.loads((folder / "results.json").read_text())
    cells = {score["cell"] for score in results["scores"]["zero_shot"]}
    assert {"test/organ/set1_mr", "test/organ/set1_ct", "test/station/set1_mr_ct", "test/organ/shifted_ct"} <= cells
    absent = [f"test set {name} was missing" for name in ("samples_ct", "samples_mr", "real")]
    assert results["notes"] == dict.fromkeys(("zero_shot", "contrast", "captions"), absent)
    table = pd.read_parquet(folder / "zero_shot.parquet")
    assert len(table) == sum(len(Store.open(data / "phantom" / s).manifest) for s in ("set1", "shifted_test"))
    contrast = pd.read_parquet(folder / "contrast.parquet")
    assert set(contrast["set"]) == {"set1", "shifted"} and contrast["win"].between(0, 1).all()
    shown = table[(table["organ_targets"].map(len) > 0) & (table["station_targets"].map(len) > 0)]
    assert (contrast["slot"] == "organ").sum() == len(shown)
    captions = pd.read_parquet(folder / "captions.parquet")
    assert len(captions) == 2 * len(table) and captions["organ_f1_right"].between(0, 1).all()
    assert set(pd.read_parquet(folder / "zero_shot_validation.parquet")["set"]) == {"phantom"}
    assert Decisions.from_dict(json.loads((folder / "decisions.json").read_text())).organ.labels[0] == "brain"
    before = (folder / "last.ckpt").stat().st_mtime_ns
    run(config(data, outputs, "experiment=table3/pmc_msa", "stages=[evaluate]", "resamples=40"))
    again = pd.read_parquet(folder / "zero_shot.parquet")  # of what the run trained, not of what it started from
    assert again["organ_scores"].map(list).tolist() == table["organ_scores"].map(list).tolist()
    run(cfg)
    capsys.readouterr()
    run(cfg)
    assert (folder / "last.ckpt").stat().st_mtime_ns == before
    assert capsys.readouterr().out.count("is already finished") == 4


def test_pmc_evaluates_the_stand_in_as_it_is(data, outputs):
    cfg = config(data, outputs, "experiment=table3/pmc")
    run(cfg)
    assert {p.name for p in run_folder(cfg).iterdir()} == {
        "config.yaml", "contrast.parquet", "zero_shot.parquet", "results.json", "stages.json", "captions.parquet",
        "decisions.json", "zero_shot_validation.parquet",
    }  # fmt: skip


def test_same_seed_same_numbers_with_0_and_2_workers(data, outputs):
    columns = []
    for suite, workers in (("a", 0), ("b", 2)):
        cfg = config(data, outputs, "experiment=table3/pmc_msa", f"suite={suite}", f"data.workers={workers}")
        run(cfg)
        columns.append(run_folder(cfg))
    assert same(*(weights(folder) for folder in columns))
    a, b = (pd.read_parquet(folder / "zero_shot.parquet") for folder in columns)
    np.testing.assert_array_equal(np.stack(a["organ_scores"]), np.stack(b["organ_scores"]))
    other = config(data, outputs, "experiment=table3/pmc_msa", "suite=a", "seed=1")
    run(other)
    assert not same(weights(columns[0]), weights(run_folder(other)))


def test_an_interrupted_training_goes_on_to_the_same_weights(data, outputs, monkeypatch):
    from anatomy_clip.training.module import TrainModule

    whole = config(data, outputs, "experiment=table3/pmc_m", "suite=whole")
    run(whole)
    cut = config(data, outputs, "experiment=table3/pmc_m", "suite=cut")
    step = TrainModule.training_step

    def killed(self, batch, batch_idx):
        if self.current_epoch == 1 and batch_idx == 1:
            raise MemoryError("killed")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(TrainModule, "training_step", killed)
    with pytest.raises(MemoryError):
        run(cut)
    assert (run_folder(cut) / "last.ckpt").exists()
    assert not (run_folder(cut) / "results.json").exists()
    monkeypatch.setattr(TrainModule, "training_step", step)
    run(cut)
    assert same(weights(run_folder(whole)), weights(run_folder(cut)))


def test_a_folder_of_another_config_is_refused_by_name(data, outputs):
    run(config(data, outputs, "experiment=table3/pmc_ms", "suite=refused"))
    changed = config(data, outputs, "experiment=table3/pmc_ms", "suite=refused", "optim.optimizer.lr=0.1")
    with pytest.raises(ValueError, match=r"pmc_ms/seed_0: was made with another config \(optim.optimizer.lr differ"):
        run(changed)
    changed.overwrite = True
    run(changed)


def test_an_evaluation_is_done_again_when_a_test_set_appears(data, outputs):
    cfg = config(data, outputs, "experiment=table3/pmc", "suite=grows", f"data.test.samples_ct={outputs}/later")
    run(cfg)
    (outputs / "later").symlink_to(data / "phantom" / "set1")
    run(cfg)
    assert "samples_ct" in set(pd.read_parquet(run_folder(cfg) / "zero_shot.parquet")["set"])


def test_a_checkpoint_of_another_taxonomy_is_refused(data, outputs):
    cfg = config(data, outputs, "experiment=table3/pmc_m", "suite=taxonomy")
    run(cfg)
    path = run_folder(cfg) / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["recipe"]["taxonomy"] = {"name": "upper_body"}
    torch.save(checkpoint, path)
    cfg.resamples = 60
    with pytest.raises(ValueError, match="was trained with another taxonomy than 'whole_body'"):
        run(cfg)


def test_weights_that_are_not_there_say_what_to_do(data, tmp_path):
    with pytest.raises(ValueError, match=r"last.ckpt: no such weights file; .*make reproduce-table3"):
        run(config(data, tmp_path, "experiment=table3/pmc_m"))


def test_a_patient_in_two_splits_stops_the_run(data, outputs, tmp_path):
    store = Store.open(data / "phantom" / "train")
    validation = Store.open(data / "phantom" / "validation")
    both = [*validation.manifest, store.manifest[0]]
    images = np.concatenate([validation.images, store.images[:1]])
    write_store(tmp_path / "leaky", images, both, {})
    assert isinstance(store.manifest, Manifest)
    cfg = config(data, outputs, "experiment=table3/pmc_m", "suite=leak", f"data.validation.phantom={tmp_path}/leaky")
    with pytest.raises(ValueError, match=r"leakage: same patient: data\.train .*, row 0 .*leaky\), row "):
        run(cfg)


def test_an_unknown_stage_is_named(data, outputs):
    with pytest.raises(ValueError, match=r"'evalute' is unknown \(did you mean 'evaluate'\?\)"):
        run(config(data, outputs, "stages=[evalute]", "suite=stage"))


def test_paper_scale_fails_clearly_while_weights_are_missing(data, tmp_path):
    cfg = compose_config(
        "config", "scale=paper", "experiment=table3/pmc", f"paths.outputs={tmp_path}", f"paths.weights={tmp_path}"
    )
    with pytest.raises(ValueError, match=r"PubMedCLIP_ViT32.pth: no such weights file"):
        run(cfg)
