"""Export to open_clip's folder, against open_clip; what can't be exported is refused; the card."""

import json

import open_clip
import pytest
import torch
from models.clips import EMBED, RESNET, TEXT, VIT, assert_same, open_clip_embeds, ours_embeds, pictures, stir

from anatomy_clip.models.export.folders import export
from anatomy_clip.models.export.model_card import Training, model_card
from anatomy_clip.models.towers.open_clip import from_config

TIMM = {"image_size": 64, "timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"}
TOWERS = pytest.mark.parametrize("vision", [VIT, RESNET, TIMM], ids=["vit", "resnet", "timm"])


def build(vision, quick_gelu=True, normalisation="clip", text=TEXT):
    torch.manual_seed(0)
    model = from_config(EMBED, vision, text, quick_gelu=quick_gelu, normalisation=normalisation)
    model.initial_logit_scale = 3.5
    return stir(model)


@TOWERS
@pytest.mark.parametrize("quick", [True, False])
def test_open_clip_loads_the_folder_and_gives_the_same_embeddings(tmp_path, vision, quick):
    ours = build(vision, quick)
    export(ours, tmp_path / "out", "open_clip", "card")
    theirs, prepare = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path}/out")
    grey = pictures(64)
    assert_same(ours_embeds(ours, grey), open_clip_embeds(theirs.eval(), grey))
    assert theirs.logit_scale.item() == 3.5
    assert prepare.transforms[-1].mean == pytest.approx((0.48145466, 0.4578275, 0.40821073))
    assert open_clip.get_tokenizer(f"local-dir:{tmp_path}/out").context_length == 77


@TOWERS
def test_what_was_exported_comes_back_with_nothing_stated(tmp_path, vision):
    ours = build(vision, normalisation="imagenet")
    export(ours, tmp_path / "out", "open_clip", "card")
    back = from_config(EMBED, vision, TEXT, weights=str(tmp_path / "out")).eval()
    assert (back.normalisation, back.initial_logit_scale, back.architecture["quick_gelu"]) == ("imagenet", 3.5, True)
    assert all(torch.equal(back.state_dict()[k], v) for k, v in ours.state_dict().items())


@pytest.mark.parametrize(("vision", "name"), [(RESNET, "CLIP's ResNet"), (TIMM, "test_resnet")])
def test_transformers_takes_vision_transformers_only(tmp_path, vision, name):
    with pytest.raises(
        ValueError, match=f"has a vision transformer as its image tower, not {name}; use layout=open_clip"
    ):
        export(build(vision), tmp_path / "out", "transformers", "card")
    assert not list(tmp_path.iterdir())


def test_a_transformer_that_is_not_clips_is_refused_by_its_key(tmp_path):
    with pytest.raises(ValueError, match=r"transformers' CLIPModel has no vision.pool_type=avg"):
        export(build(VIT | {"pool_type": "avg"}), tmp_path / "out", "transformers", "card")


def test_a_folder_that_is_there_is_kept_unless_told(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    with pytest.raises(ValueError, match="already exists; add overwrite=true"):
        export(build(VIT), tmp_path / "out", "open_clip", "card")
    assert (tmp_path / "out" / "mine.txt").exists()
    export(build(VIT), tmp_path / "out", "open_clip", "new", overwrite=True)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "README.md", "open_clip_config.json", "open_clip_model.safetensors",
    }  # fmt: skip
    with pytest.raises(ValueError, match="layout 'onnx' is unknown; known: open_clip, transformers"):
        export(build(VIT), tmp_path / "other", "onnx", "card")


@pytest.mark.parametrize("layout", ["open_clip", "transformers"])
def test_the_card_says_what_it_must(layout):
    scores = [
        {"cell": "test/organ/set1_ct", "value": 0.791, "lo": 0.759, "hi": 0.812, "n": 507},
        {"cell": "test/organ/one_mr", "value": 0.5, "lo": float("nan"), "hi": float("nan"), "n": 2},
    ]
    training = Training(
        name="table3/pmc_msa, seed 0", start="stand_in", stores=["phantom/train"], captions=["A {organ}"],
        augmentation=["crop", "blur"], evaluation=["An image of {organ}"],
        labels={"organ": ["liver", "foot"], "station": ["chest"]}, scores=scores, versions={"torch": "2"},
    )  # fmt: skip
    card = model_card(build(VIT), training, layout)
    for words in (
        f"library_name: {layout}", "Not for diagnosis", "Started from: stand_in", "`phantom/train`", "crop, blur",
        "Organ: liver, foot.", "| `test/organ/set1_ct` | 79.1 | 75.9 to 81.2 | 507 |", "unknown to unknown",
        "QuickGELU", "64 px", "3.5000", "Limits", "torch 2",
    ):  # fmt: skip
        assert words in card
    json.dumps(card)
