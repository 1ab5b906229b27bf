"""A sweep through Hydra's submitit launcher, by its local executor: real jobs, real signals, no SLURM.

Half a minute and more, so only with CLUSTER_TESTS=1 (make soak).
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
pytestmark = pytest.mark.skipif(not os.environ.get("CLUSTER_TESTS"), reason="CLUSTER_TESTS=1 starts real jobs")

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "model.vision.image_size=32", "model.text={context_length:77,vocab_size:49408,width:32,heads:1,layers:1}",
    "model.embed_dim=16", "model.weights=null", "optim.scheduler.warmup_steps=2", "data.batch_size=16",
    "data.workers=0", "stages=[fit]",
    "+trainer.enable_progress_bar=false", "suite=jobs",
]  # fmt: skip


def sweep(data, outputs, *overrides):
    command = [
        sys.executable, str(ROOT / "experiments/run.py"), "--multirun", "cluster=local", "trainer=cpu",
        "hydra.launcher.gpus_per_node=0", f"paths.data={data}", f"paths.outputs={outputs}",
        *SMALL, *overrides,
    ]  # fmt: skip
    return subprocess.Popen(command, cwd=outputs, env={**os.environ, "OMP_NUM_THREADS": "1"})


def logs(outputs, kind="out"):
    return {p.parent.name: p.read_text() for p in outputs.rglob(f".submitit/*/*_log.{kind}")}


def weights(outputs, seed):
    state = torch.load(outputs / f"jobs/run/seed_{seed}/last.ckpt", weights_only=True)
    assert state["recipe"]["finished"]
    return state["state_dict"]


def preempt(outputs, seed):
    """Tell the process of a job, as SLURM does, that it will be stopped; only once it has trained for a while."""
    last = outputs / f"jobs/run/seed_{seed}/last.ckpt"
    end = time.monotonic() + 120
    while not last.exists():
        assert time.monotonic() < end, logs(outputs, "err")
        time.sleep(0.1)
    (job,) = [name for name, log in logs(outputs).items() if f"seed_{seed}: training" in log]
    (task,) = Path(f"/proc/{job}/task/{job}/children").read_text().split()
    os.kill(int(task), signal.SIGUSR2)
    return job


def test_a_preempted_job_is_requeued_and_ends_in_the_same_weights(data, tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    steps = "trainer.max_steps=120"
    cut = sweep(data, tmp_path / "cut", steps, "trainer.max_epochs=100", "seed=0,1")
    job = preempt(tmp_path / "cut", 1)
    assert cut.wait(300) == 0
    whole = sweep(data, tmp_path / "whole", steps, "trainer.max_epochs=100", "seed=1")
    assert whole.wait(300) == 0
    assert len(logs(tmp_path / "cut")) == 2
    assert "this job is preempted" in logs(tmp_path / "cut", "err")[job] + logs(tmp_path / "cut")[job]
    assert "training continues" in logs(tmp_path / "cut")[job]
    for seed in (0, 1):
        assert "fit" in json.loads((tmp_path / f"cut/jobs/run/seed_{seed}/stages.json").read_text())
    ours, expected = weights(tmp_path / "cut", 1), weights(tmp_path / "whole", 1)
    assert all(torch.equal(ours[name], expected[name]) for name in expected)
