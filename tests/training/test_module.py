from functools import partial

import lightning
import numpy as np
import pytest
import torch
from batches import make_batch, make_prompts
from sklearn.metrics import roc_auc_score

from anatomy_clip.models.towers.open_clip import from_config
from anatomy_clip.objectives.clip import CLIP
from anatomy_clip.training.checkpoints import AtomicCheckpointIO
from anatomy_clip.training.module import TrainModule
from anatomy_clip.training.optim import adamw, warmup_cosine
from anatomy_clip.training.restarts import LastCheckpoint
from anatomy_clip.training.watchers import ZeroShotWatcher

VISION = {"image_size": 16, "patch_size": 8, "width": 32, "layers": 1, "head_width": 32}
TEXT = {"context_length": 77, "vocab_size": 512, "width": 16, "heads": 1, "layers": 1}
LABELS = {"organ": ("brain", "liver", "foot"), "station": ("head", "abdomen")}
PROMPTS = {kind: make_prompts(torch.arange(5, 5 + len(n)).reshape(-1, 1, 1)) for kind, n in LABELS.items()}


def batches(count, seed):
    generator = torch.Generator().manual_seed(seed)

    def integers(high, *shape, dtype=torch.int64):
        return torch.randint(0, high, shape, generator=generator, dtype=dtype)

    return [
        make_batch(
            integers(256, 8, 1, 16, 16, dtype=torch.uint8), integers(500, 8, 6),
            integers(2, 8, 3), integers(2, 8, 2), integers(2, 8),
        )
        for _ in range(count)
    ]  # fmt: skip


class Epochs(torch.utils.data.Dataset):
    """Batches already made; Lightning's loaders around them yield each as it is."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def loader(count, seed):
    return torch.utils.data.DataLoader(Epochs(batches(count, seed)), batch_size=None)


def module():
    torch.manual_seed(0)
    model = from_config(8, VISION, TEXT)
    return TrainModule(
        model,
        CLIP(model),
        partial(adamw, lr=1e-3, weight_decay=0.1),
        partial(warmup_cosine, warmup_steps=1),
        watchers=[ZeroShotWatcher(PROMPTS, LABELS, ["phantom"])],
        validation_sets=["phantom"],
        recipe={"taxonomy": {"name": "test"}},
        log_every=2,
    )


def fit(folder, epochs, ckpt=None, total=4):
    made = module()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[LastCheckpoint(folder)],
        plugins=[AtomicCheckpointIO()],
        logger=lightning.pytorch.loggers.CSVLogger(folder, name="", version=""),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    # A fixed length of the schedule, so that two halves follow the same curve as the whole.
    made.make_scheduler = lambda optimizer, total_steps: warmup_cosine(optimizer, total_steps=total * 4, warmup_steps=1)
    trainer.fit(made, loader(4, 1), loader(3, 2), ckpt_path=ckpt, weights_only=True)
    return made, trainer


def test_validation_cells_equal_numpy_and_scikit_learn(tmp_path):
    made, trainer = fit(tmp_path, 1)
    made.eval()
    with torch.no_grad():
        data = batches(3, 2)
        images = torch.cat([made.model.encode_image(b.images).embedding for b in data])
        scores = (images @ made.objective.embed_classes(made.model, PROMPTS["organ"]).T).numpy()
    organs = torch.cat([b.labels["organ"] for b in data]).numpy() == 1
    ct = torch.cat([b.labels["modality"] for b in data]).numpy()[:, 0] == 1
    counted = ct & organs.any(axis=1)
    hit = organs[np.arange(len(organs)), scores.argmax(axis=1)][counted].mean()
    logged = trainer.callback_metrics
    assert logged["validation/organ/phantom_ct"].item() == pytest.approx(hit)
    area = roc_auc_score(organs[ct, 1], scores[ct, 1])
    assert logged["validation/organ/phantom_ct/auroc/liver"].item() == pytest.approx(area)
    assert "validation/station/phantom_mr_ct" in logged


def test_loss_falls_and_terms_are_logged(tmp_path):
    fit(tmp_path, 6, total=6)
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("train/loss")
    losses = [float(value) for line in lines[1:] if (value := line.split(",")[column])]
    assert len(losses) == 12
    assert np.mean(losses[-2:]) < np.mean(losses[:2]) - 0.1


def test_going_on_from_an_epochs_end_equals_never_stopping(tmp_path):
    whole, _ = fit(tmp_path / "whole", 4)
    fit(tmp_path / "parts", 2)
    resumed, trainer = fit(tmp_path / "parts", 4, ckpt=str(tmp_path / "parts/last.ckpt"))
    assert trainer.global_step == 16
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_one_whole_checkpoint_with_its_recipe_and_no_code(tmp_path):
    fit(tmp_path, 3)
    assert sorted(p.name for p in tmp_path.glob("*.ckpt*")) == ["last.ckpt"]
    assert not list(tmp_path.glob(".*.partial"))
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert checkpoint["recipe"] == {"taxonomy": {"name": "test"}}


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)
    with pytest.raises(Exception, match="pickle"):
        AtomicCheckpointIO().save_checkpoint({"step": lambda: 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
