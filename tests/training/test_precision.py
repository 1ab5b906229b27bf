"""Training in bf16-mixed, as `trainer=gpu` asks for: gradients are clipped, and point where float32's do."""

from dataclasses import replace
from types import SimpleNamespace

import lightning
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch.nn.functional import cosine_similarity

from anatomy_clip.models.towers.open_clip import from_config
from anatomy_clip.objectives.class_tokens import ClassTokens
from anatomy_clip.objectives.clip import CLIP
from anatomy_clip.objectives.positives import SameCaption, SharedLabels
from tests.training.test_module import TEXT, VISION, batches, loader, module

RESNET = {"image_size": 64, "timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"}
TOWERS = {"vit": VISION, "resnet": RESNET}


def one_step(precision, clip):
    """Gradients, in one vector, as the optimiser sees them in the first step."""
    made, seen = module(), []
    made.make_scheduler = lambda optimizer, total_steps: torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    trainer = lightning.Trainer(
        accelerator="cpu", precision=precision, max_steps=1, gradient_clip_val=clip, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    made.on_train_batch_end = lambda *_: seen.append(
        torch.cat([p.grad.flatten() for p in made.parameters() if p.grad is not None])
    )
    trainer.fit(made, loader(1, 1), loader(1, 2))
    assert all(p.dtype == torch.float32 for p in made.parameters())
    return seen[0]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_to_the_norm_that_is_asked_for(precision):
    whole, clipped = one_step(precision, None), one_step(precision, 0.01)
    assert whole.norm() > 0.1
    torch.testing.assert_close(clipped, whole * (0.01 / whole.norm()), rtol=1e-3, atol=1e-9)


def test_fp16_with_a_fused_optimiser_is_refused_with_what_to_do():
    made = module()
    plugin = MixedPrecision("16-mixed", "cuda", scaler=torch.amp.GradScaler("cpu"))
    made._trainer = SimpleNamespace(precision_plugin=plugin)
    with pytest.raises(ValueError, match=r"use trainer\.precision=bf16-mixed, or trainer\.gradient_clip_val=null"):
        made.configure_gradient_clipping(None, 1.0, "norm")


OBJECTIVES = {
    "clip": CLIP,
    "chunks": lambda model: CLIP(model, chunk_size=3),
    "same_caption": lambda model: CLIP(model, positives=SameCaption()),
    "soft_targets": lambda model: CLIP(model, positives=SharedLabels(0.3)),
    "class_tokens": lambda model: ClassTokens(model, {"organ": torch.arange(5, 8)[:, None]}),
}


def loss_and_gradients(vision, make, dtype):
    """Loss of one batch and the gradients of all weights, float32, in one vector."""
    torch.manual_seed(0)
    model = from_config(8, vision, TEXT)
    objective = make(model)
    batch = batches(1, 1)[0]
    times = model.image_size // 16
    batch = replace(batch, images=batch.images.repeat_interleave(times, 2).repeat_interleave(times, 3))
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        loss = objective(model, batch).loss
    loss.backward()
    found = [p.grad.flatten() for p in (*model.parameters(), *objective.parameters()) if p.grad is not None]
    return loss.item(), torch.cat(found)


@pytest.mark.parametrize(
    ("vision", "name"),
    [("vit", name) for name in OBJECTIVES] + [("resnet", name) for name in OBJECTIVES if name != "chunks"],
)
def test_loss_and_gradients_under_bf16_are_nearly_those_of_float32(vision, name):
    loss, gradients = loss_and_gradients(TOWERS[vision], OBJECTIVES[name], torch.bfloat16)
    wanted, whole = loss_and_gradients(TOWERS[vision], OBJECTIVES[name], torch.float32)
    assert loss == pytest.approx(wanted, rel=0.02)  # bf16 has 8 bits: 0.4 % a rounding
    assert gradients.dtype == torch.float32 and gradients.shape == whole.shape
    assert cosine_similarity(gradients, whole, dim=0) > 0.98
    torch.testing.assert_close(gradients.norm(), whole.norm(), rtol=0.1, atol=0)
