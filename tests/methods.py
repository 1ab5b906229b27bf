"""Every method on a model of a few weights, and a batch that has all that any of them wants."""

from functools import partial
from types import SimpleNamespace

import torch
from batches import make_batch
from torch.nn.functional import one_hot

from anatomy_clip.core.types import Batch, Texts
from anatomy_clip.models.towers.open_clip import from_config
from anatomy_clip.objectives.caption_lstm import CaptionLSTM
from anatomy_clip.objectives.caption_transformer import CaptionTransformer
from anatomy_clip.objectives.contrastive_binary import ContrastiveBinary
from anatomy_clip.objectives.convirt import ConVIRT
from anatomy_clip.objectives.gloria import GLoRIA
from anatomy_clip.objectives.moco import MoCo
from anatomy_clip.objectives.simclr import SimCLR
from anatomy_clip.objectives.supervised import Supervised
from anatomy_clip.objectives.supervised_classes import SupervisedClasses

VIT = {"image_size": 16, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16}  # without batch statistics
RESNET = {"image_size": 32, "timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"}
TEXT = {"context_length": 16, "vocab_size": 99, "width": 24, "heads": 2, "layers": 1}
START, END, IDS = 97, 98, 99  # CLIP's text tower finds the end by its id, the largest
FINDINGS = ("effusion", "edema", "nodule")
METHODS = {
    "convirt": partial(ConVIRT, width=12),
    "simclr": partial(SimCLR, width=12),
    "moco": partial(MoCo, width=12, queue=20, momentum=0.9, parts=2),
    "gloria": GLoRIA,
    "contrastive_binary": partial(ContrastiveBinary, hidden=12),
    "caption_transformer": partial(CaptionTransformer, width=16, layers=2, heads=2, dropout=0.0),
    "caption_lstm": partial(CaptionLSTM, width=12),
    "supervised": partial(Supervised, label_names={"finding": FINDINGS}),
    "supervised_classes": partial(SupervisedClasses, label_names={"class": FINDINGS}),
}


def wants(method):
    made = METHODS[method]
    return getattr(made, "func", made).wants


def make(method, vision=VIT, dtype=torch.float32, **options):
    torch.manual_seed(0)
    asked = wants(method)
    model = from_config(16, vision, TEXT, text_tower=asked.compares, joint=asked.joint).to(dtype)
    model.tokenizer = SimpleNamespace(size=IDS, length=lambda row: int(row.argmax()) + 1)
    objective = METHODS[method](model, **options).to(dtype)
    objective.setup(model)
    return model, objective


def batch(method, n=8, side=16, seed=1):
    """Texts of different lengths, the longest comes first; some words of several pieces; some labels unknown."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (wants(method).views * n, 1, side, side), generator=generator, dtype=torch.uint8)
    plain = make_batch(images, rows=range(n))
    texts = {kind: _texts(n, longest, generator) for kind, longest in (("caption", 7), ("report", 12))}
    labels = torch.randint(-1, 2, (n, len(FINDINGS)), generator=generator)
    labels[: n // 2, 1:] = -1  # so that two ranks know of different numbers
    classes = one_hot(torch.arange(n) % len(FINDINGS), len(FINDINGS))
    classes[: n // 3] = -1  # the same
    asked = {kind: texts[kind] for kind in wants(method).texts}
    known = {"finding": labels.to(torch.int8), "class": classes.to(torch.int8)}
    return Batch(images, asked, {**plain.labels, **known}, plain.rows)


def _texts(n, longest, generator):
    ids = torch.randint(1, START, (n, longest), generator=generator)
    length = torch.randint(4, longest - 1, (n,), generator=generator)
    length[0] = longest
    place = torch.arange(longest)
    mask = place < length[:, None]
    ids = ids.masked_fill(~mask, 0)
    ids[:, 0] = START
    ids[torch.arange(n), length - 1] = END
    inside = (place > 0) & (place < length[:, None] - 1)
    begins = (torch.rand(n, longest, generator=generator) < 0.7) | (place == 1)
    word = (begins & inside).cumsum(dim=1) - 1
    return Texts(ids, torch.arange(n), mask, word.masked_fill(~inside, -1))
