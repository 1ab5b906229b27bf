import pickle

import pytest
import torch

from anatomy_clip.models.open_clip import from_config
from anatomy_clip.models.weights import load_weights, read_checkpoint

VISION = {"image_size": 32, "patch_size": 16, "width": 32, "layers": 1, "head_width": 32}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1}


def build(seed, **vision):
    torch.manual_seed(seed)
    return from_config(8, VISION | vision, TEXT)


def checkpoint(model, **extra):
    state = {f"model.{k}": v for k, v in model.state_dict().items()}
    return {"state_dict": state, "recipe": {"finished": True}, **extra}


def test_weights_and_temperature_come_back(tmp_path):
    saved = checkpoint(build(0))
    saved["state_dict"]["objective.logit_scale"] = torch.tensor(3.25)
    torch.save(saved, tmp_path / "last.ckpt")
    model = build(1)
    load_weights(model, tmp_path / "last.ckpt")
    assert model.initial_logit_scale == 3.25
    for key, value in build(0).state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key


def test_misfits_are_named(tmp_path):
    saved = checkpoint(build(0))
    saved["state_dict"]["model.text.ln_finale.weight"] = saved["state_dict"].pop("model.text.ln_final.weight")
    torch.save(saved, tmp_path / "last.ckpt")
    with pytest.raises(ValueError) as error:
        load_weights(build(0, width=64), tmp_path / "last.ckpt")
    text = str(error.value)
    assert "missing: text.ln_final.weight" in text
    assert "text.ln_finale.weight (nearest: text.ln_final.weight)" in text
    assert "image.projection: (32, 8) in the file, (64, 8) in the model" in text


def test_an_interrupted_training_is_no_starting_point(tmp_path):
    saved = checkpoint(build(0))
    saved["recipe"]["finished"] = False
    torch.save(saved, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="training hasn't finished"):
        load_weights(build(0), tmp_path / "last.ckpt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps(print)])
def test_damaged_or_dangerous_files_are_refused(tmp_path, content):
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="can't be read as weights"):
        read_checkpoint(path)


def test_a_foreign_checkpoint_is_refused(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "foreign.pth")
    with pytest.raises(ValueError, match="not a checkpoint of this project"):
        load_weights(build(0), tmp_path / "foreign.pth")
