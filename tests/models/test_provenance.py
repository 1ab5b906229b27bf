"""The provenance of loaded weights, against open_clip's embeddings, hashlib and the tokenizer."""

import hashlib
import json

import pytest
import torch
from models.clips import EMBED, RESNET, TEXT, VIT, open_clip_twin, pixels
from support import compose_config

from anatomy_clip.models.tokenizers import tokenize
from anatomy_clip.models.towers.open_clip import from_config
from anatomy_clip.models.weights.golden import golden_embeddings
from anatomy_clip.runs.wiring import build, build_model, recipe


@pytest.mark.parametrize("vision", [VIT, RESNET], ids=["vit", "resnet"])
@torch.no_grad()
def test_provenance_of_a_loaded_model(tmp_path, vision):
    theirs = open_clip_twin(vision)
    torch.save(theirs.state_dict(), tmp_path / "w.pt")
    stated = {"quick_gelu": True, "normalisation": "clip"}
    model = from_config(EMBED, vision, TEXT, weights=str(tmp_path / "w.pt"), **stated)
    found = model.provenance
    assert found.sha256 == hashlib.sha256((tmp_path / "w.pt").read_bytes()).hexdigest()
    assert found.parameters == sum(p.numel() for p in theirs.parameters()) - 1
    image = torch.tensor([[(7 * y + 13 * x) % 256 for x in range(64)] for y in range(64)], dtype=torch.uint8)
    golden = theirs.encode_image(pixels(image[None, None]), normalize=True)[0]
    assert found.golden_image == pytest.approx(golden[:4].tolist(), abs=2e-6)
    text = theirs.encode_text(tokenize(["An axial CT image of the liver"], trim=False), normalize=True)[0]
    assert found.golden_text == pytest.approx(text[:4].tolist(), abs=2e-6)
    words = str(found)
    for part in (str(tmp_path / "w.pt"), found.sha256, "quick_gelu", "64 px", "77 tokens", "clip", "4.2500 (x70.1)"):
        assert part in words
    assert json.loads(json.dumps(found.plain()))["golden_text"] == list(found.golden_text)


def test_golden_embeddings_leave_the_model_as_it_was():
    torch.manual_seed(0)
    model = from_config(EMBED, RESNET, TEXT).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    golden_embeddings(model)
    assert model.training and model.image.visual.bn1.training
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


def test_a_run_prints_the_provenance_and_keeps_it_in_its_checkpoint(tmp_path, capsys):
    state = from_config(EMBED, VIT, TEXT, quick_gelu=True).state_dict()
    saved = {"state_dict": {f"model.{key}": value for key, value in state.items()}, "recipe": {"finished": True}}
    torch.save(saved, tmp_path / "w.ckpt")
    cfg = compose_config("config", "model=tiny_vit", f"model.weights={tmp_path}/w.ckpt", f"model.embed_dim={EMBED}")
    cfg.model.vision, cfg.model.text = VIT, TEXT
    model = build_model(cfg)
    sha256 = hashlib.sha256((tmp_path / "w.ckpt").read_bytes()).hexdigest()
    assert f"SHA-256 {sha256}" in capsys.readouterr().out
    kept = recipe(cfg, build(cfg.taxonomy), model)
    assert kept["weights"]["sha256"] == sha256
    assert kept["model"]["architecture"]["vision_cfg"] == VIT
    torch.save(kept, tmp_path / "recipe.pt")
    assert torch.load(tmp_path / "recipe.pt", weights_only=True) == kept


def test_random_weights_have_no_provenance():
    assert from_config(EMBED, VIT, TEXT).provenance is None
