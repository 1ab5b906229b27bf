"""A sweep by the real entry: every run has its own folder and its own W&B id."""

import os
from itertools import product

import pytest

from anatomy_clip.cli.program import start

pytest.importorskip("wandb")

# `make soak` takes 4 columns x 3 seeds; starting W&B costs seconds a run.
COLUMNS, SEEDS = (["a", "b", "c", "d"], [0, 1, 2]) if "SOAK_KILLS" in os.environ else (["a", "b"], [0, 1])
RUNS = len(COLUMNS) * len(SEEDS)


def test_a_sweep_has_a_folder_and_an_id_for_each_run_and_skips_what_is_done(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_SILENT", "true")
    arguments = [
        "--multirun", f"name={','.join(COLUMNS)}", f"seed={','.join(map(str, SEEDS))}", "suite=arms", "stages=[fit]",
        f"paths.data={data}", f"paths.outputs={tmp_path}", "logger=wandb", "model.weights=null",
        "model.vision.image_size=32", "model.text={context_length:77,vocab_size:49408,width:16,heads:1,layers:1}",
        "model.embed_dim=16", "data.workers=0", "data.batch_size=8", "optim.scheduler.warmup_steps=1",
        "trainer.max_steps=2", "+trainer.limit_val_batches=0", "+trainer.enable_progress_bar=false",
    ]  # fmt: skip
    start("train", arguments)
    folders = {tmp_path / "arms" / name / f"seed_{seed}" for name, seed in product(COLUMNS, SEEDS)}
    assert {path.parent for path in tmp_path.rglob("last.ckpt")} == folders
    assert len(wandb_ids(tmp_path)) == len(set(wandb_ids(tmp_path))) == RUNS
    capsys.readouterr()
    (tmp_path / "arms" / "b" / "seed_1" / "stages.json").unlink()  # as if it had been stopped at its end
    start("train", arguments)
    assert capsys.readouterr().out.count("fit is already finished") == RUNS - 1
    ids = wandb_ids(tmp_path)
    assert len(ids) == RUNS + 1  # one more start, under the id that the run had
    assert len(set(ids)) == RUNS


def wandb_ids(folder):
    return [path.stem.removeprefix("run-") for path in folder.rglob("run-*.wandb")]
