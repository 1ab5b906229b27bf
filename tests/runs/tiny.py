"""Runs that take a second: a few random slices, the smallest model, one step."""

import numpy as np
import torch
from support import compose_config

from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.stores.store import write_store

TINY = [
    "model.weights=null", "model.vision.image_size=32", "model.embed_dim=16",
    "model.text={context_length:77,vocab_size:49408,width:16,heads:1,layers:1}", "stages=[fit]", "suite=s",
    "trainer.max_steps=1", "optim.scheduler.warmup_steps=0", "data.batch_size=4", "data.workers=0", "resamples=10",
    "eval={contrast:null,captions:null}",
    "+trainer.enable_progress_bar=false",
    "data.test={set1: ${paths.data}/set1, shifted: ${paths.data}/shifted}",
    "data.validation={phantom: ${paths.data}/validation}", "data.train=['${paths.data}/train']",
]  # fmt: skip
SETS = {"train": ["a1", "a2"], "more": ["m1", "m2"], "validation": ["v1"], "set1": ["t1"], "shifted": ["t2"]}


def make_store(path, patients):
    """A store of four slices a patient."""
    records = [
        SliceRecord("test", path.name, patient, "s", "1", n, Modality.CT, Protocol.NONE, Orientation.AXIAL,
                    organs=("liver",), stations=("abdomen",))
        for patient in patients for n in range(4)
    ]  # fmt: skip
    images = np.random.default_rng(sum(map(ord, path.name))).integers(0, 256, (len(records), 32, 32), dtype=np.uint8)
    write_store(path, images, records, {})


def make_stores(folder):
    """All of `SETS`."""
    for name, patients in SETS.items():
        make_store(folder / name, patients)


def config(folder, name, *overrides):
    """The config of a run in `folder`."""
    paths = [f"paths.data={folder}", f"paths.outputs={folder}/outputs"]
    return compose_config("config", *TINY, *paths, f"name={name}", *overrides)


def saved(folder, name):
    """A run's checkpoint."""
    return torch.load(folder / "outputs" / "s" / name / "seed_0" / "last.ckpt", weights_only=True)
