"""Weights of every layout against open_clip's own CLIP; misuse is refused by name."""

import json
import os
import pickle

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
)
from open_clip.model import convert_weights_to_lp
from open_clip.push_to_hf_hub import save_config_for_hf
from safetensors.torch import save_file

from anatomy_clip.models.towers.open_clip import from_config, from_name
from anatomy_clip.models.weights.read import read_checkpoint

TOWERS = pytest.mark.parametrize("vision", [VIT, RESNET], ids=["vit", "resnet"])


def load(path, vision=VIT, text=TEXT, **stated):
    """Our model from a file, in the mode of evaluation."""
    return from_config(EMBED, vision, text, weights=str(path), **stated).eval()


def pubmedclip(state, prefix="module."):
    """What PubMedCLIP's training saves."""
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.ones(4)}}, "param_groups": [{"lr": 1e-5, "params": [0]}]}
    state = {prefix + key: value for key, value in state.items()}
    return {"best_epoch": 7, "state_dict": state, "optimizer_state_dict": optimizer, "best_loss": 1.5}


@TOWERS
def test_pubmedclip_file_equals_open_clip(tmp_path, vision):
    theirs = open_clip_twin(vision)
    convert_weights_to_lp(theirs, torch.float16)
    state = theirs.state_dict()
    assert {v.dtype for v in state.values()} >= {torch.float16, torch.float32}
    torch.save(pubmedclip(state), tmp_path / "PubMedCLIP.pth")
    model = load(tmp_path / "PubMedCLIP.pth", vision, normalisation="clip")  # the activation: by the file
    assert {v.dtype for v in model.parameters()} == {torch.float32}
    assert model.initial_logit_scale == 4.25
    grey = pictures(64)
    assert_same(ours_embeds(model, grey), open_clip_embeds(theirs.float(), grey), atol=1e-6)


def test_the_reference_tells_the_two_activations_apart():
    grey = pictures(64)
    quick, plain = (open_clip_embeds(open_clip_twin(quick_gelu=quick), grey) for quick in (True, False))
    assert all((a - b).abs().max() > 1e-4 for a, b in zip(quick, plain, strict=True))


def test_plain_gelu_with_pubmedclip_is_refused(tmp_path):
    torch.save(pubmedclip(open_clip_twin().state_dict()), tmp_path / "p.pth")
    with pytest.raises(ValueError, match=r"quick_gelu is True in the file and False in the model .*-quickgelu"):
        load(tmp_path / "p.pth", normalisation="clip", quick_gelu=False)
    with pytest.raises(ValueError, match=r"'ViT-B-32-quickgelu' has quick_gelu True, but quick_gelu=False is set"):
        from_name("ViT-B-32-quickgelu", quick_gelu=False)


def test_what_pubmedclip_cannot_tell_must_be_given(tmp_path):
    torch.save(pubmedclip(open_clip_twin().state_dict()), tmp_path / "p.pth")
    with pytest.raises(ValueError, match=r"p.pth: it does not state its normalisation, .*set model.normalisation"):
        load(tmp_path / "p.pth")


@pytest.mark.parametrize(
    ("wrap", "prefix"),
    [
        (lambda state: state, ""),
        (lambda state: {"epoch": 3, "name": "x", "state_dict": state, "optimizer": {}}, "module."),
        (lambda state: {"model": state, "scaler": {}}, "_orig_mod."),
        (lambda state: {"model_state_dict": state}, "module._orig_mod."),
    ],
    ids=["bare", "open_clip's trainer", "compiled", "both"],
)
def test_wrappers_and_prefixes_of_checkpoints(tmp_path, wrap, prefix):
    theirs = open_clip_twin(quick_gelu=False)
    torch.save(wrap({prefix + key: value for key, value in theirs.state_dict().items()}), tmp_path / "c.pt")
    with pytest.raises(ValueError, match=r"it does not state its quick_gelu, .*set model.quick_gelu"):
        load(tmp_path / "c.pt", normalisation="clip")
    model = load(tmp_path / "c.pt", normalisation="clip", quick_gelu=False)
    grey = pictures(64)
    assert_same(ours_embeds(model, grey), open_clip_embeds(theirs, grey), atol=1e-6)


def test_a_text_tower_of_its_own_module_loses_its_prefix(tmp_path):
    state = open_clip_twin().state_dict()
    renamed = {k if k.startswith(("visual.", "logit")) else f"text.{k}": v for k, v in state.items()}
    torch.save(renamed, tmp_path / "custom.pt")
    model = load(tmp_path / "custom.pt", normalisation="clip", quick_gelu=True)
    assert torch.equal(model.text.ln_final.weight, state["ln_final.weight"])


@TOWERS
def test_openai_state_dict_tells_its_settings(tmp_path, vision):
    theirs = open_clip_twin(vision)
    metadata = {"input_resolution": torch.tensor(64), "context_length": torch.tensor(77), "vocab_size": torch.tensor(9)}
    torch.save(metadata | theirs.state_dict(), tmp_path / "openai.pt")
    model = load(tmp_path / "openai.pt", vision)
    assert model.architecture["quick_gelu"] is True
    assert model.normalisation == "clip"
    with pytest.raises(ValueError, match=r"normalisation is clip in the file and imagenet in the model"):
        load(tmp_path / "openai.pt", vision, normalisation="imagenet")


@pytest.mark.parametrize("weights", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
@TOWERS
def test_open_clip_folder(tmp_path, vision, weights):
    theirs = open_clip_twin(vision, quick_gelu=False)
    theirs.visual.image_mean, theirs.visual.image_std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    save_config_for_hf(
        theirs, tmp_path / "open_clip_config.json", {"embed_dim": EMBED, "vision_cfg": vision, "text_cfg": TEXT}
    )
    write = save_file if weights.endswith("safetensors") else torch.save
    write(theirs.state_dict(), tmp_path / weights)
    model = load(f"local-dir:{tmp_path}", vision)
    assert model.architecture["quick_gelu"] is False
    assert model.normalisation == "imagenet"
    assert torch.equal(model.text.text_projection, theirs.text_projection)
    with pytest.raises(ValueError, match="quick_gelu is False in the file and True in the model"):
        load(tmp_path / weights, vision, quick_gelu=True)
    with pytest.raises(ValueError, match=r"text.heads is 1 in the file and 2 in the model"):
        load(tmp_path, vision, TEXT | {"heads": 2})


def test_another_resolution_or_context_is_named_before_any_tensor(tmp_path):
    torch.save(pubmedclip(open_clip_twin().state_dict()), tmp_path / "p.pth")
    with pytest.raises(ValueError, match=r"vision.image_size is 64 in the file and 96 in the model") as error:
        load(tmp_path / "p.pth", VIT | {"image_size": 96}, TEXT | {"context_length": 50}, normalisation="clip")
    assert "text.context_length is 77 in the file and 50 in the model" in str(error.value)


def test_misfits_are_named(tmp_path):
    state = open_clip_twin().state_dict()
    state["ln_finale.weight"] = state.pop("ln_final.weight")
    state["visual.proj"] = state["visual.proj"][:, :8]
    del state["logit_scale"]
    torch.save(pubmedclip(state), tmp_path / "p.pth")
    with pytest.raises(ValueError) as error:
        load(tmp_path / "p.pth", normalisation="clip")
    text = str(error.value)
    assert "missing: text.ln_final.weight, logit_scale" in text
    assert "text.ln_finale.weight (did you mean 'text.ln_final.weight'?)" in text
    assert "image.projection: (128, 8) in the file, (128, 32) in the model" in text


def test_a_temperature_that_is_no_number_is_refused(tmp_path):
    state = open_clip_twin().state_dict()
    state["logit_scale"].fill_(float("nan"))
    torch.save(pubmedclip(state), tmp_path / "p.pth")
    with pytest.raises(ValueError, match="logit_scale is nan"):
        load(tmp_path / "p.pth", normalisation="clip")


def test_optimizer_state_stays_on_disk(tmp_path):
    saved = pubmedclip({"logit_scale": torch.tensor(1.0)})
    saved["optimizer_state_dict"]["state"][0]["exp_avg"] = torch.ones(50_000_000)  # 200 MB
    torch.save(saved, tmp_path / "big.pth")
    del saved

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    kept = read_checkpoint(tmp_path / "big.pth")
    assert kept["best_epoch"] == 7
    assert resident() - before < 50e6


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["last.ckpt", "pytorch_model.bin", "PubMedCLIP.pth"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_is_refused(tmp_path, name, zipped):
    content = pubmedclip(open_clip_twin().state_dict()) | {"best_loss": Bomb(tmp_path / "ran")}
    torch.save(content, tmp_path / name, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=f"{name}: can't be read as weights"):
        load(tmp_path / name, normalisation="clip")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps(print)])
@pytest.mark.parametrize("name", ["last.ckpt", "model.safetensors"])
def test_damaged_or_dangerous_files_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="can't be read as weights"):
        read_checkpoint(tmp_path / name)


def test_a_file_cut_short_is_refused(tmp_path):
    torch.save(pubmedclip(open_clip_twin().state_dict()), tmp_path / "p.pth")
    whole = (tmp_path / "p.pth").read_bytes()
    (tmp_path / "p.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"p.pth: can't be read as weights"):
        load(tmp_path / "p.pth", normalisation="clip")


def test_what_is_no_clip_is_refused(tmp_path):
    torch.save({"state_dict": {"fc.weight": torch.ones(2)}}, tmp_path / "foreign.pth")
    with pytest.raises(
        ValueError, match=r"its tensors are not those of a CLIP model in a known layout; their names: fc.weight"
    ):
        load(tmp_path / "foreign.pth")


def test_a_folder_without_a_layout_says_what_it_wants(tmp_path):
    torch.save({}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"it needs open_clip_config.json with open_clip_model.safetensors or"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "is not JSON"),
        ("[]", "not a mapping"),
        ("{}", "has no complete model_cfg"),
        (
            json.dumps({"model_cfg": {"embed_dim": 8, "vision_cfg": {"with": 1}, "text_cfg": {}}}),
            "open_clip does not know: with",
        ),
    ],
)
def test_a_broken_config_beside_the_weights_is_named(tmp_path, content, match):
    save_file(open_clip_twin().state_dict(), tmp_path / "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_text(content)
    with pytest.raises(ValueError, match=match):
        load(tmp_path)
