"""The layout of `transformers.CLIPModel`, in and out, against transformers itself."""

import json

import pytest
import torch
import transformers
from models.clips import EMBED, TEXT, VIT, assert_same, ours_embeds, pictures, pixels, stir, tokens, transformers_embeds
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

from anatomy_clip.models.export.folders import export
from anatomy_clip.models.tokenizers import tokenize
from anatomy_clip.models.towers.open_clip import from_config

transformers.logging.set_verbosity_error()
TOWER = {"num_hidden_layers": 2, "hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 2}
SMALL = {"text_config": TOWER, "vision_config": TOWER | {"image_size": 64, "patch_size": 16}, "projection_dim": EMBED}


def build(config, seed=0):
    torch.manual_seed(seed)
    return stir(CLIPModel(CLIPConfig(**config)), seed)


def load(folder, **stated):
    return from_config(
        EMBED, VIT, TEXT | {"width": 128, "heads": 2}, weights=str(folder), **({"normalisation": "clip"} | stated)
    ).eval()


@pytest.fixture
def folder(tmp_path):
    """A small CLIPModel's folder, as transformers writes it."""
    build(SMALL).save_pretrained(tmp_path)
    return tmp_path


def edit(folder, change, name="config.json"):
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


def test_vit_b32_with_fewer_layers_equals_transformers_both_ways(tmp_path):
    vision = {"image_size": 224, "patch_size": 32, "width": 768, "layers": 1}
    text = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 1}
    fewer = {"num_hidden_layers": 1}
    theirs = build({"text_config": fewer, "vision_config": fewer})  # for the rest, transformers' defaults are ViT-B/32
    grey = pictures(224)
    expected = transformers_embeds(theirs, grey)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = from_config(512, vision, text, normalisation="clip", weights=str(tmp_path / "theirs")).eval()
    assert_same(ours_embeds(ours, grey), expected)
    export(ours, tmp_path / "ours", "transformers", "card")
    assert_same(transformers_embeds(CLIPModel.from_pretrained(tmp_path / "ours").eval(), grey), expected)


@pytest.mark.parametrize("quick", [True, False])
def test_what_the_config_says_of_the_activation_is_taken(tmp_path, quick):
    kind = {"hidden_act": "quick_gelu" if quick else "gelu"}
    config = SMALL | {name: SMALL[name] | kind for name in ("text_config", "vision_config")}
    theirs = build(config)
    theirs.save_pretrained(tmp_path)
    ours = load(tmp_path)
    assert ours.architecture["quick_gelu"] is quick
    grey = pictures(64)
    assert_same(ours_embeds(ours, grey), transformers_embeds(theirs, grey))
    with pytest.raises(ValueError, match=f"quick_gelu is {quick} in the file"):
        load(tmp_path, quick_gelu=not quick)


def test_a_bin_of_an_older_version_has_position_ids_that_are_known(folder):
    state = build(SMALL).state_dict()
    state["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    state["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    grey = pictures(64)
    assert_same(ours_embeds(load(folder), grey), transformers_embeds(build(SMALL), grey))


def test_a_file_alone_tells_no_activation(folder):
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match=r"model.safetensors: it does not state its quick_gelu"):
        load(folder / "model.safetensors")
    load(folder / "model.safetensors", quick_gelu=True)


def test_the_preprocessor_tells_the_normalisation(folder):
    CLIPImageProcessor(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]).save_pretrained(folder)
    assert load(folder, normalisation=None).normalisation == "imagenet"
    with pytest.raises(ValueError, match="normalisation is imagenet in the file and clip in the model"):
        load(folder)
    edit(folder, lambda c: c.update(image_mean=[0.5, 0.5, 0.5]), "preprocessor_config.json")
    with pytest.raises(ValueError, match=r": mean \[0.5, 0.5, 0.5\].* not a known normalisation"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c.update(model_type="siglip"), "model_type is 'siglip'; only 'clip'"),
        (lambda c: c["vision_config"].update(hidden_act="gelu"), "activations 'gelu' .image. and 'quick_gelu' .text."),
        (lambda c: c["text_config"].update(layer_norm_eps=1e-6), "layer_norm_eps"),
        (
            lambda c: c["vision_config"].update(num_attention_heads=4),
            "vision.head_width is 32 in the file and 64 in the model",
        ),
        (
            lambda c: c["vision_config"].update(image_size=128),
            "vision.image_size is 128 in the file and 64 in the model",
        ),
    ],
)
def test_a_config_that_contradicts_the_model_is_named(folder, change, match):
    edit(folder, change)
    with pytest.raises(ValueError, match=match):
        load(folder)


def test_missing_and_unexpected_tensors_are_named(folder):
    state = build(SMALL).state_dict()
    state["text_model.final_layer_norme.bias"] = state.pop("text_model.final_layer_norm.bias")
    del state["vision_model.encoder.layers.1.self_attn.k_proj.weight"]
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(ValueError) as error:
        load(folder)
    text = str(error.value)
    assert "missing: image.visual.transformer.resblocks.1.attn.in_proj_weight, text.ln_final.bias" in text
    assert "text_model.final_layer_norme.bias" in text
    assert "vision_model.encoder.layers.1.self_attn.q_proj.weight" in text


def test_exported_tokenizer_and_preprocessor_do_what_ours_do(folder, tmp_path):
    export(load(folder), tmp_path / "out", "transformers", "card")
    texts = ["An image of liver, intestine organs", "knee", "A sagittal MR T2 image", "x-ray (2 mm): it's ÄÖ"]
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path / "out")
    expected = [[t for t in row if t] for row in tokens().tolist()]
    assert tokenizer(texts[:3])["input_ids"] == expected
    assert tokenizer(texts[3])["input_ids"] == tokenize(texts[3:]).tolist()[0]
    processor = CLIPImageProcessor.from_pretrained(tmp_path / "out")
    grey = pictures(64, 1)[0]
    made = processor(grey.expand(3, -1, -1).permute(1, 2, 0).numpy(), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(made[0], pixels(grey[None])[0], atol=1e-5, rtol=0)
    assert (tmp_path / "out" / "README.md").read_text() == "card"
