"""Twenty steps of training beside open_clip's own trainer: the same losses."""

import torch
from batches import make_batch
from omegaconf import OmegaConf

from experiments import training_loops as loops

MODEL = OmegaConf.create({
    "_target_": "anatomy_clip.models.towers.open_clip.from_config", "embed_dim": 32, "quick_gelu": True,
    "normalisation": "clip", "weights": None,
    "vision": {"image_size": 32, "patch_size": 8, "width": 64, "layers": 2, "head_width": 32},
    "text": {"context_length": 77, "vocab_size": 512, "width": 32, "heads": 2, "layers": 2},
})  # fmt: skip


def batches(count, n=12):
    generator = torch.Generator().manual_seed(0)
    for length in range(6, 6 + count):
        images = torch.randint(0, 256, (n, 1, 32, 32), generator=generator, dtype=torch.uint8)
        tokens = torch.randint(1, 400, (n, length), generator=generator)
        tokens[:, -1] = 511  # end of text
        tokens[: n // 2] = tokens[n // 2 :]  # captions repeat
        yield make_batch(images, tokens)


def test_losses_of_20_steps_are_those_of_open_clips_trainer(tmp_path):
    data = list(batches(20))
    model = loops.our_model(MODEL)
    theirs = [loops.their_batch(batch, model, 77) for batch in data]
    watches = [
        loops.train_open_clip(MODEL, loops.in_memory(theirs), 20, 12),
        loops.train_bare(MODEL, loops.in_memory(data), 20),
        loops.train_ours(MODEL, loops.in_memory(data), 20, tmp_path),
    ]
    expected, *ours = (torch.stack(watch.losses) for watch in watches)
    assert len(expected) == 20
    assert expected.std() > 0.01
    for losses in ours:
        torch.testing.assert_close(losses, expected, rtol=1e-4, atol=0)
