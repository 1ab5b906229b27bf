"""A run over two processes by the real entry: trained together, evaluated once, and skipped the next time."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

from anatomy_clip.stores.store import Store

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = [
    "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.max_epochs=1",
    "trainer.sync_batchnorm=false", "+trainer.enable_progress_bar=false", "+trainer.limit_train_batches=2",
    "model.weights=null", "model.vision.image_size=32", "data.workers=0", "data.batch_size=8",
    "optim.scheduler.warmup_steps=1", "resamples=10",
]  # fmt: skip
SCRIPT, COMMAND = [str(ROOT / "experiments/run.py")], ["-m", "anatomy_clip.cli", "train"]


def start(data, outputs, *arguments, program=SCRIPT):
    folders = f"paths.data={data}", f"paths.outputs={outputs}"
    command = [sys.executable, *program, *arguments, *SETTINGS, *folders]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, cwd=ROOT, check=False)


def test_two_ranks_make_one_run(data, tmp_path):
    done = start(data, tmp_path, "experiment=table3/pmc_msa", program=COMMAND)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "table3/pmc_msa/seed_0"
    assert {"last.ckpt", "zero_shot.parquet", "contrast.parquet", "results.json", "stages.json"} <= {
        path.name for path in folder.iterdir()
    }
    assert not list(folder.glob(".*.partial"))
    slices = sum(len(Store.open(data / "phantom" / name).manifest) for name in ("set1", "shifted_test"))
    assert len(pd.read_parquet(folder / "zero_shot.parquet")) == slices
    again = start(data, tmp_path, "experiment=table3/pmc_msa")
    assert again.returncode == 0 and again.stdout.count("is already finished") == 4


def test_a_sweep_whose_runs_take_several_processes_is_refused(data, tmp_path):
    done = start(data, tmp_path, "--multirun", "seed=0,1")
    assert done.returncode == 2
    assert "add cluster=slurm" in done.stderr and not (tmp_path / "scratch").exists()
