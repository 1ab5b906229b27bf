"""Two ranks under Lightning's DDP train and validate as one process does."""

from functools import partial

import lightning
import numpy as np
import pytest
import torch
from ranks import on_two_ranks

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.data.augment import ImageAugment
from anatomy_clip.data.datamodule import SliceDataModule
from anatomy_clip.models.tokenizers import CLIP_TOKENIZER, tokenize_classes
from anatomy_clip.models.towers.open_clip import from_config
from anatomy_clip.objectives.clip import CLIP
from anatomy_clip.stores.store import write_store
from anatomy_clip.text.sampler import PromptSampler
from anatomy_clip.training.module import TrainModule
from anatomy_clip.training.optim import warmup_cosine
from anatomy_clip.training.watchers import ZeroShotWatcher

TAXONOMY = Taxonomy.load("whole_body")
VISION = {"image_size": 16, "patch_size": 8, "width": 32, "layers": 1, "head_width": 32}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1}
STRUCTURES = ("liver", "brain", "humerus_left", "heart")


def make_store(folder, name, count):
    records = [
        SliceRecord(
            source="test", split=name, patient=f"{name}-{n}", study="s", series="s", index=n,
            modality=Modality.CT if n % 3 else Modality.MR, protocol=Protocol.NONE if n % 3 else Protocol.T2,
            orientation=Orientation.AXIAL, structures={STRUCTURES[n % 4]: 9000.0},
        )
        for n in range(count)
    ]  # fmt: skip
    images = np.random.default_rng(count).integers(0, 256, (count, 16, 16), dtype=np.uint8)
    write_store(folder / name, images, records, {})


def fit(folder, ranks, batch_size):
    """Train 4 steps on 35 slices (3 are left over), validate on 17: rank 0 has two batches of them, rank 1 one."""
    torch.manual_seed(0)
    model = from_config(8, VISION, TEXT)
    labels = {"organ": tuple(TAXONOMY.organs), "station": tuple(TAXONOMY.stations)}
    prompts = {k: tokenize_classes([[f"{n} scan"] for n in names], 77, CLIP_TOKENIZER) for k, names in labels.items()}
    module = TrainModule(
        model, CLIP(model), lambda modules: torch.optim.SGD([p for m in modules for p in m.parameters()], lr=0.1),
        partial(warmup_cosine, warmup_steps=1), watchers=[ZeroShotWatcher(prompts, labels, ["set"])],
        validation_sets=["set"], recipe={},
    )  # fmt: skip
    data = SliceDataModule(
        [folder / "train"], {"set": folder / "validation"}, {}, taxonomy=TAXONOMY,
        texts=PromptSampler(["{organ} {modality}", "{modality}"]), augment=ImageAugment(16), batch_size=batch_size,
    )  # fmt: skip
    trainer = lightning.Trainer(
        accelerator="cpu", devices=ranks, strategy="ddp" if ranks > 1 else "auto", max_epochs=2, logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, num_sanity_val_steps=0,
        use_distributed_sampler=False, gradient_clip_val=1.0,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    assert trainer.world_size == ranks
    assert trainer.global_step == 4
    metrics = {k: v.item() for k, v in trainer.callback_metrics.items() if k.startswith("validation")}
    return metrics, {name: value.clone() for name, value in module.state_dict().items()}


def rank_fit(folder, rank):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_RANK", str(rank))  # as a cluster's launcher does
        return fit(folder, 2, 8)


def test_two_ranks_of_8_equal_one_of_16(tmp_path):
    make_store(tmp_path, "train", 35)
    make_store(tmp_path, "validation", 17)
    ranks = on_two_ranks(partial(rank_fit, tmp_path), tmp_path)
    metrics, weights = fit(tmp_path, 1, 16)
    assert any("/auroc/" in name for name in metrics)
    assert {"validation/organ/set_ct", "validation/organ/set_mr", "validation/station/set_mr_ct"} <= metrics.keys()
    for rank_metrics, rank_weights in ranks:
        assert rank_metrics == pytest.approx(metrics, abs=1e-6)
        for name, value in weights.items():
            torch.testing.assert_close(rank_weights[name], value, atol=1e-6, rtol=1e-5, msg=name)
