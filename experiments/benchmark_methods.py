"""Time pretraining on films by each method beside a plain loop, and GLoRIA's local loss beside a loop over texts.

python experiments/benchmark_methods.py [rounds] [folder of a store of films]

Same network, weights, loss, optimiser and batches, one core. The variants take turns, and CPU time is counted,
so that what else the machine does falls on both. Without a folder, some films are made first (half a minute).
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from itertools import chain, islice, repeat
from pathlib import Path

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, open_dict
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from anatomy_clip.anatomy.labels import LabelSet
from anatomy_clip.cli.configs import config_folder
from anatomy_clip.cli.prepare import prepare
from anatomy_clip.core.types import Batch
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.base import Objective
from anatomy_clip.objectives.words import word_cosines
from anatomy_clip.runs.wiring import build, build_data, build_objective, wants_of
from anatomy_clip.stores.vocabulary import read_vocabulary
from experiments.training_loops import in_memory, our_model, train_bare, train_ours
from experiments.watch import rounds, with_range

METHODS = ("simclr", "moco", "contrastive_binary", "caption_lstm", "caption_transformer", "clip", "convirt", "gloria",
           "supervised")  # fmt: skip
STEPS = 8  # of a round, the first of which isn't counted
LAPTOP = (48, 24, 36, 128)  # samples, words of a text, regions of an image, width
PAPER = (48, 97, 361, 768)


class FromConfig:
    """A method as a run's config builds it."""

    def __init__(self, cfg: DictConfig) -> None:
        self.cfg = cfg
        self.wants = wants_of(cfg)
        self.taxonomy: LabelSet = build(cfg.taxonomy)

    def __call__(self, model: ImageTextModel) -> Objective:
        """The objective."""
        return build_objective(self.cfg, self.taxonomy, model)


def config(method: str, films: Path) -> DictConfig:
    """The run of a column of pretraining on one store, without evaluation."""
    cfg = compose("config", overrides=[f"experiment=pretraining/{method}", "data.workers=0"])
    cfg.data.update(train=[str(films)], validation={}, test={})
    if wants_of(cfg).texts:
        with open_dict(cfg.model):
            cfg.model.vocabulary = list(read_vocabulary(films))
    return cfg


def batches_of(cfg: DictConfig, method: FromConfig) -> list[Batch]:
    """As many batches as a round has steps, those of an epoch over and over where they are fewer."""
    data = build_data(cfg, method.taxonomy, our_model(cfg.model, method))
    data.setup("fit")
    epoch = list(islice(data.train_dataloader(), STEPS))
    return list(islice(chain.from_iterable(repeat(epoch)), STEPS))


def methods(films: Path, count: int, folder: Path) -> None:
    """Print films a CPU second of each method, and its time beside the plain loop's: median, least and most."""
    print(f"{'method':22s} {'films/cpu-s':>11s} {'time / plain loop':>21s}")
    for name in METHODS:
        cfg = config(name, films)
        method = FromConfig(cfg)
        batches = batches_of(cfg, method)
        variants = {
            "plain": partial(train_bare, cfg.model, in_memory(batches), STEPS, method),
            "ours": partial(train_ours, cfg.model, in_memory(batches), STEPS, folder, method),
        }
        found = list(rounds(count, variants))
        ours = [watches["ours"].seconds() for watches in found]
        ratios = [watches["ours"].seconds() / watches["plain"].seconds() for watches in found]
        print(f"{name:22s} {cfg.data.batch_size / np.median(ours):11.1f} {with_range(ratios):>21s}", flush=True)


def pairs(samples: int, words: int, regions: int, width: int) -> tuple[Tensor, Tensor]:
    """Random words (B, T, D) and regions (B, R, D)."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((samples, words, width), (samples, regions, width))
    said, seen = (torch.randn(*shape, generator=generator) / width**0.25 for shape in shapes)
    return said.requires_grad_(), seen.requires_grad_()


def _both_ways(scores: Tensor) -> Tensor:
    right = torch.arange(len(scores))
    return cross_entropy(10 * scores, right) + cross_entropy(10 * scores.T, right)


def local_loss(words: Tensor, regions: Tensor) -> Tensor:
    """GLoRIA's local loss, (B, T, D) and (B, R, D) -> (), as its objective computes it."""
    return _both_ways((5 * word_cosines(words, regions, 4.0)).logsumexp(dim=-1).T)


def loop_over_texts(words: Tensor, regions: Tensor) -> Tensor:
    """The same, text by text, with what each word attends to made for every pair: the authors' order of computing."""
    scores = []
    for text in words:
        products = regions @ text.T  # (B, R, T)
        attention = (4.0 * products.softmax(dim=-1)).mT.softmax(dim=-1)  # (B, T, R)
        seen = attention @ regions  # (B, T, D)
        scores.append((5 * cosine_similarity(text.expand_as(seen), seen, dim=-1)).logsumexp(dim=-1))  # (B,)
    return _both_ways(torch.stack(scores, dim=1))


def _seconds(loss: Callable[[Tensor, Tensor], Tensor]) -> float:
    words, regions = pairs(*LAPTOP)
    begun = time.process_time()
    loss(words, regions).backward()
    return time.process_time() - begun


def local_losses(count: int) -> None:
    """Print how much quicker the local loss is than the loop over texts, forward and backward."""
    _seconds(local_loss), _seconds(loop_over_texts)
    each = [(_seconds(loop_over_texts), _seconds(local_loss)) for _ in range(5 * count)]
    loop, ours = np.median(each, axis=0)
    faster = with_range([theirs / own for theirs, own in each])
    print(f"GLoRIA's local loss at {LAPTOP}: loop over texts {loop:.3f} s, ours {ours:.3f} s, {faster} x as quick")


def peak_memory() -> tuple[float, float]:
    """GB that this process held at most, before and after the local loss with its gradient at the paper's size."""
    torch.set_num_threads(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    local_loss(*pairs(*PAPER)).backward()
    return before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(count: int, films: Path | None) -> None:
    """Print all of it."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    local_losses(count)
    with multiprocessing.get_context("spawn").Pool(1) as fresh:
        before, most = fresh.apply(peak_memory)
    print(f"its most memory at {PAPER}: {most:.2f} GB, {before:.2f} GB of it there before")
    with initialize_config_dir(str(config_folder()), version_base="1.3"), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if films is None:
            cfg = compose(
                "prepare", overrides=["source=films", "side=96", f"paths.data={folder}", "contact_sheet=false",
                                      "source.share=0.1", "workers=1"],
            )  # fmt: skip
            prepare(cfg, build(cfg.source), "train")
            films = folder / "films/train"
        methods(films, count, folder)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
