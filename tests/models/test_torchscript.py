"""OpenAI's own archives: a program with tensors in it, of which only the tensors are read."""

import pickle
import zipfile

import pytest
import torch
from models.clips import (
    EMBED,
    RESNET,
    TEXT,
    VIT,
    assert_same,
    open_clip_embeds,
    open_clip_twin,
    ours_embeds,
    pictures,
    tokens,
)

from anatomy_clip.models.towers.open_clip import from_config
from anatomy_clip.models.weights.torchscript import read_torchscript


def archive(path, model):
    """Save a model as OpenAI does: traced, with its metadata as buffers, in half precision where it is held so."""
    for name, number in (("input_resolution", 64), ("context_length", 77), ("vocab_size", 49408)):
        if hasattr(model, name):
            delattr(model, name)
        model.register_buffer(name, torch.tensor(number))
    torch.jit.trace_module(model, {"forward": (torch.rand(1, 3, 64, 64), tokens())}, check_trace=False).save(str(path))


@pytest.mark.parametrize("vision", [VIT, RESNET], ids=["vit", "resnet"])
def test_an_archive_equals_open_clip(tmp_path, vision):
    theirs = open_clip_twin(vision)
    archive(tmp_path / "ViT-B-32.pt", theirs)
    ours = from_config(EMBED, vision, TEXT, weights=str(tmp_path / "ViT-B-32.pt")).eval()
    assert ours.architecture["quick_gelu"] is True
    grey = pictures(64)
    assert_same(ours_embeds(ours, grey), open_clip_embeds(theirs, grey), atol=1e-6)


def test_tensors_equal_those_that_torch_reads(tmp_path):
    half = torch.nn.Sequential(torch.nn.Linear(4, 3).half(), torch.nn.BatchNorm1d(3))
    half[0].weight.data = torch.randn(4, 3).half().T  # not contiguous
    torch.jit.script(half).save(str(tmp_path / "m.pt"))
    expected = torch.jit.load(str(tmp_path / "m.pt")).state_dict()
    found = read_torchscript(tmp_path / "m.pt")
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key], value), key


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return __import__("os").mkdir, (str(self.path),)


@pytest.mark.parametrize("content", ["bomb", "no module", "truncated"])
def test_a_damaged_or_dangerous_archive_is_refused(tmp_path, content):
    data = {"bomb": pickle.dumps(Bomb(tmp_path / "ran"), 2), "no module": pickle.dumps([1], 2), "truncated": b"\x80"}
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as file:
        file.writestr("m/data.pkl", data[content])
        file.writestr("m/constants.pkl", b"")
    with pytest.raises(ValueError, match=r"m.pt: can't be read as weights"):
        from_config(EMBED, VIT, TEXT, weights=str(tmp_path / "m.pt"))
    assert not (tmp_path / "ran").exists()
