"""ViT-B/32, RN50 and BiomedCLIP in their true shape against transformers and open_clip: minutes, by `make parity`."""

import os

import open_clip
import pytest
import torch
from models.berts import TEXTS as BERT_TEXTS
from models.berts import make_folder, their_embeds
from models.clips import assert_same, open_clip_embeds, ours_embeds, pictures, stir, transformers_embeds
from support import compose_config
from transformers import CLIPConfig, CLIPModel

from anatomy_clip.models.export.folders import export
from anatomy_clip.models.tokenizers import tokenize
from anatomy_clip.models.towers.open_clip import from_name
from anatomy_clip.runs.wiring import build

pytestmark = pytest.mark.skipif("FULL_SIZE" not in os.environ, reason="set FULL_SIZE=1, or run `make parity`")


def test_vit_b32_equals_transformers_both_ways(tmp_path):
    torch.manual_seed(0)
    theirs = stir(CLIPModel(CLIPConfig()))  # transformers' defaults are ViT-B/32
    assert sum(p.numel() for p in theirs.parameters()) == 151_277_313
    grey = pictures(224)
    expected = transformers_embeds(theirs, grey)
    theirs.save_pretrained(tmp_path / "theirs")
    del theirs
    ours = from_name("ViT-B-32-quickgelu", normalisation="clip", weights=str(tmp_path / "theirs")).eval()
    assert_same(ours_embeds(ours, grey), expected)
    assert ours.provenance.parameters == 151_277_312  # the temperature is the objective's
    export(ours, tmp_path / "ours", "transformers", "card")
    del ours
    assert_same(transformers_embeds(CLIPModel.from_pretrained(tmp_path / "ours").eval(), grey), expected)


@pytest.mark.parametrize("architecture", ["ViT-B-32-quickgelu", "RN50-quickgelu"])
def test_pubmedclip_file_equals_open_clip_both_ways(tmp_path, architecture):
    torch.manual_seed(0)
    theirs = stir(open_clip.create_model(architecture))
    grey = pictures(224)
    expected = open_clip_embeds(theirs, grey)
    state = {f"module.{key}": value for key, value in theirs.state_dict().items()}
    torch.save({"best_epoch": 1, "best_loss": 1.0, "state_dict": state}, tmp_path / "p.pth")
    del theirs, state
    ours = from_name(architecture, normalisation="clip", weights=str(tmp_path / "p.pth")).eval()
    assert_same(ours_embeds(ours, grey), expected)
    export(ours, tmp_path / "ours", "open_clip", "card")
    del ours
    assert_same(open_clip_embeds(open_clip.create_model(f"local-dir:{tmp_path}/ours").eval(), grey), expected)


@torch.no_grad()
def test_biomedclip_as_our_config_states_it_equals_open_clip(tmp_path):
    vision = {"timm_model_name": "vit_base_patch16_224", "timm_pool": "", "timm_proj": "linear", "image_size": 224}
    make_folder(tmp_path, embed=512, vision=vision, bert={"vocab_size": 30522})  # the rest: BERT-base
    grey = pictures(224)
    expected = their_embeds(tmp_path, grey)
    node = compose_config("config", "scale=paper", "model=biomedclip").model
    assert node.weights.startswith("hf:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224@")
    ours = build(node, weights=str(tmp_path), _convert_="all").eval()
    tokens = tokenize(BERT_TEXTS, ours.context_length, ours.tokenizer)
    assert_same((ours.encode_image(grey).embedding, ours.encode_text(tokens).embedding), expected)
    assert ours.provenance.parameters == 195_902_720  # four bytes each: nearly all of the published file's 783,705,670
