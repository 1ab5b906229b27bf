"""Time training in one process, side by side: our step, a bare PyTorch loop with its parts, open_clip's own trainer.

Same weights to start from, same pairs, same order, fp32, one core. The variants take turns, round by round, and process
CPU time is counted, so that what else the machine does falls on all of them. Ratios outlive the machine.

python experiments/benchmark_training.py [rounds]
"""

from __future__ import annotations

import csv
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout

import numpy as np
import open_clip
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from PIL import Image
from torch.utils.data import DataLoader

from anatomy_clip.cli.prepare import prepare
from anatomy_clip.data.datamodule import SliceDataModule
from anatomy_clip.runs.wiring import build, build_data
from experiments.training_loops import (
    in_memory,
    our_model,
    their_batch,
    train_bare,
    train_open_clip,
    train_ours,
)
from experiments.watch import Watch, rounds, with_range

CONF = Path(__file__).resolve().parents[1] / "conf"
PATIENTS = 8  # phantoms whose slices are trained on
VARIANTS = ("open_clip's trainer", "bare loop", "ours")


def make_store(folder: Path) -> None:
    """Phantom slices as `make data` stores them."""
    cfg = compose(
        "prepare", overrides=["source=phantom", f"paths.data={folder}", "contact_sheet=false", "workers=1",
                              f"source.cohorts.train.patients={PATIENTS}"],
    )  # fmt: skip
    prepare(cfg, instantiate(cfg.source), "train")


def data_config(folder: Path, batch_size: int, *overrides: str) -> DictConfig:
    """The default run on the made store, without workers and without evaluation."""
    cfg = compose("config", overrides=[f"data.batch_size={batch_size}", "data.workers=0", *overrides])
    cfg.data.update(train=[f"{folder}/phantom/train"], validation={}, test={}, optional=[])
    return cfg


def load(cfg: DictConfig) -> SliceDataModule:
    """The data module of a config, set up."""
    data = build_data(cfg, build(cfg.taxonomy), our_model(cfg.model))
    data.setup("fit")
    return data


def write_csv(data: SliceDataModule, folder: Path) -> Path:
    """The data of an epoch as open_clip's trainer reads them: PNG files as stored, and captions, in our order."""
    loader = data.train_dataloader()
    dataset: Any = loader.dataset
    folder.mkdir()
    with (folder / "train.csv").open("w", newline="") as file:
        rows = csv.writer(file, delimiter="\t")
        rows.writerow(["image", "caption"])
        for key in loader.sampler:
            sample = dataset[key]
            path = folder / f"{sample.row}.png"
            if not path.exists():
                Image.fromarray(np.asarray(dataset.images[sample.row])).save(path)
            rows.writerow([path, sample.texts["caption"][0]])
    return folder / "train.csv"


def from_disk(path: Path, size: int, batch_size: int) -> DataLoader[Any]:
    """open_clip's loader of a table of files, in the table's order."""
    from open_clip_train.data import CsvDataset

    transform = open_clip.image_transform(size, is_train=True, aug_cfg={"scale": (0.7, 1.0)})
    dataset = CsvDataset(path, transform, "image", "caption", tokenizer=open_clip.get_tokenizer("ViT-B-32"))
    return DataLoader(dataset, batch_size=batch_size, drop_last=True)


def report(title: str, batch_size: int, found: list[dict[str, Watch]]) -> None:
    """Print pairs per CPU second and ratios within rounds: median, least and most."""
    print(f"\n{title}\n{'':22s} {'pairs/cpu-s':>11s} {'x open_clip':>21s} {'time / bare loop':>21s}")
    for name in VARIANTS:
        seconds = [watches[name].seconds() for watches in found]
        theirs = [w[VARIANTS[0]].seconds() / s for w, s in zip(found, seconds, strict=True)]
        bare = [s / w[VARIANTS[1]].seconds() for w, s in zip(found, seconds, strict=True)]
        print(f"{name:22s} {batch_size / np.median(seconds):11.1f} {with_range(theirs):>21s} {with_range(bare):>21s}")


def difference(watches: dict[str, Watch]) -> float:
    """Largest relative difference of our losses from open_clip's, over all steps."""
    theirs, ours = (torch.stack(watches[name].losses) for name in (VARIANTS[0], VARIANTS[2]))
    return float(((ours - theirs) / theirs).abs().max())


def steps_in_memory(title: str, cfg: DictConfig, steps: int, count: int, folder: Path) -> None:
    """The step alone: batches are made beforehand, each side's as its own loader gives them."""
    data = load(cfg)
    batches = [batch for batch, _ in zip(data.train_dataloader(), range(steps), strict=False)]
    model = our_model(cfg.model)
    theirs = [their_batch(batch, model, model.context_length) for batch in batches]
    size = cfg.data.batch_size
    variants = {
        VARIANTS[0]: lambda: train_open_clip(cfg.model, in_memory(theirs), steps, size),
        VARIANTS[1]: lambda: train_bare(cfg.model, in_memory(batches), steps),
        VARIANTS[2]: lambda: train_ours(cfg.model, in_memory(batches), steps, folder),
    }
    found = list(rounds(count, variants))
    distinct = np.mean([len(batch.texts["caption"].ids.unique(dim=0)) for batch in batches])
    report(f"{title}, batches of {size} in memory ({distinct:.1f} distinct captions), {steps} steps", size, found)
    print(f"losses of {steps} steps differ from open_clip's by at most {max(map(difference, found)):.1e}, relatively")


def steps_from_disk(title: str, cfg: DictConfig, count: int, folder: Path) -> None:
    """End to end: from files to weights, an epoch a round."""
    data, size = load(cfg), cfg.data.batch_size
    steps = len(data.train_dataloader())
    table = write_csv(data, folder / f"{title}_csv")
    side = our_model(cfg.model).image_size
    for _ in data.train_dataloader():  # an epoch that isn't the first: template captions are known by then
        pass
    variants = {
        VARIANTS[0]: lambda: train_open_clip(cfg.model, from_disk(table, side, size), steps, size),
        VARIANTS[1]: lambda: train_bare(cfg.model, data.train_dataloader(), steps),
        VARIANTS[2]: lambda: train_ours(cfg.model, data, steps, folder),
    }
    report(f"{title}, from disk, {steps} steps of {size}", size, list(rounds(count, variants)))


def main(count: int) -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with initialize_config_dir(str(CONF), version_base="1.3"), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_store(folder)
        # the one augmentation that open_clip's trainer has: a random crop
        crop = ["augment=none", "augment.crop={p: 1.0, scale: [0.7, 1.0], ratio: [0.75, 1.3333]}"]
        epochs = "augment.images_per_image=5"
        for name in ("tiny", "tiny_vit"):
            steps_from_disk(name, data_config(folder, 64, f"model={name}", *crop, epochs), count, folder)
        steps_in_memory("tiny_vit", data_config(folder, 64, "model=tiny_vit", epochs), 20, count, folder)
        vit = data_config(folder, 8, "model=pubmedclip_vit_b32")
        steps_in_memory("ViT-B/32", vit, 4, min(3, count), folder)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
