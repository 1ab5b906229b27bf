"""A run small enough to be killed many times, in processes of its own."""

import contextlib
import csv
import hashlib
import multiprocessing
import os
import signal
import time
from pathlib import Path

import torch
from support import compose_config

from anatomy_clip.runs.folder import run_folder
from anatomy_clip.runs.stages import run

# Dropout draws from torch's global generator in every step; batch norm changes its statistics in every forward pass.
SMALL = [
    "experiment=table3/pmc_msa",
    "stages=[fit]",
    "model.vision.image_size=32",
    "+model.vision.timm_drop=0.2",
    "model.text={context_length:77,vocab_size:49408,width:16,heads:1,layers:1}",
    "model.embed_dim=16",
    "model.weights=null",
    "trainer.max_epochs=2",
    "+trainer.limit_train_batches=6",
    "optim.scheduler.warmup_steps=2",
    "data.batch_size=16",
    "data.workers=0",
    "checkpoint_every=2",
    "+trainer.enable_progress_bar=false",
]
_FORK = multiprocessing.get_context("fork")  # a child has everything imported already


def config(data, outputs, *overrides):
    return compose_config("config", f"paths.data={data}", f"paths.outputs={outputs}", *SMALL, *overrides)


def start(cfg):
    """Begin a run in a process of its own, in a process group of its own, as a shell would."""
    child = _FORK.Process(target=_run, args=(cfg,))
    child.start()
    return child


def _run(cfg):
    os.setpgid(0, 0)
    with open(os.devnull, "w") as quiet, contextlib.redirect_stdout(quiet):
        run(cfg)


def finish(cfg):
    """Do a run to its end; returns the seconds."""
    began = time.monotonic()
    child = start(cfg)
    child.join()
    assert child.exitcode == 0
    return time.monotonic() - began


def stop(child, number):
    """Send a signal to the training process alone and wait for it; returns its exit status."""
    os.kill(child.pid, number)
    child.join(30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)  # workers of a killed parent would look for it for some seconds yet
    return child.exitcode


def checkpoint(cfg):
    return torch.load(run_folder(cfg) / "last.ckpt", weights_only=True)


def weights_digest(cfg):
    """SHA-256 of all weights and statistics."""
    digest = hashlib.sha256()
    for name, tensor in sorted(checkpoint(cfg)["state_dict"].items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def logs(cfg):
    """(step, name) -> value; a step that was done again counts once, as it came out last."""
    files = sorted(Path(run_folder(cfg), "log").glob("version_*/metrics.csv"), key=lambda p: int(p.parent.name[8:]))
    rows = [row for file in files for row in csv.DictReader(file.open())]
    return {(row["step"], k): v for row in rows for k, v in row.items() if v and k not in ("step", "epoch")}
