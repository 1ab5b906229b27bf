"""This project's own checkpoints as a starting point."""

import pytest
import torch

from anatomy_clip.models.towers.open_clip import from_config

VISION = {"image_size": 32, "patch_size": 16, "width": 32, "layers": 1, "head_width": 32}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1}


def build(seed, weights=None, normalisation=None, **vision):
    torch.manual_seed(seed)
    return from_config(8, VISION | vision, TEXT, weights=weights and str(weights), normalisation=normalisation)


def checkpoint(model):
    state = {f"model.{k}": v for k, v in model.state_dict().items()}
    return {"state_dict": state, "recipe": {"finished": True, "model": model.describe()}}


def test_weights_temperature_and_normalisation_come_back(tmp_path):
    saved = checkpoint(build(0, normalisation="imagenet"))
    saved["state_dict"]["objective.logit_scale"] = torch.tensor(3.25)
    torch.save(saved, tmp_path / "last.ckpt")
    model = build(1, tmp_path / "last.ckpt")
    assert model.initial_logit_scale == 3.25
    assert model.normalisation == "imagenet"
    for key, value in build(0).state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key
    with pytest.raises(ValueError, match="normalisation is imagenet in the file and clip in the model"):
        build(1, tmp_path / "last.ckpt", normalisation="clip")


def test_misfits_are_named(tmp_path):
    saved = checkpoint(build(0))
    del saved["recipe"]["model"]  # as checkpoints were before the network stood in them
    saved["state_dict"]["model.text.ln_finale.weight"] = saved["state_dict"].pop("model.text.ln_final.weight")
    torch.save(saved, tmp_path / "last.ckpt")
    with pytest.raises(ValueError) as error:
        from_config(
            8, VISION | {"width": 64}, TEXT, quick_gelu=False, normalisation="clip", weights=str(tmp_path / "last.ckpt")
        )
    text = str(error.value)
    assert "missing: text.ln_final.weight" in text
    assert "text.ln_finale.weight (did you mean 'text.ln_final.weight'?)" in text
    assert "image.projection: (32, 8) in the file, (64, 8) in the model" in text


def test_an_interrupted_training_is_no_starting_point(tmp_path):
    saved = checkpoint(build(0))
    saved["recipe"]["finished"] = False
    torch.save(saved, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="training has not finished"):
        build(0, tmp_path / "last.ckpt")


def test_a_recipe_alone_is_no_checkpoint(tmp_path):
    torch.save({"recipe": {"finished": True}}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"last.ckpt: has a recipe but no state_dict"):
        build(0, tmp_path / "last.ckpt")
