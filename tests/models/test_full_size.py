"""Networks in their true shape against transformers, timm and open_clip: minutes, by `make parity`."""

import os

import open_clip
import pytest
import timm
import torch
from models.berts import TEXTS as BERT_TEXTS
from models.berts import make_folder, their_embeds, vocabulary
from models.clips import assert_same, open_clip_embeds, ours_embeds, pictures, stir, transformers_embeds
from support import compose_config
from transformers import BertConfig, BertModel, CLIPConfig, CLIPModel

from anatomy_clip.models.export.folders import export
from anatomy_clip.models.tokenizers import tokenize
from anatomy_clip.models.towers.open_clip import from_name
from anatomy_clip.runs.wiring import build, build_model

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


@torch.no_grad()
@pytest.mark.parametrize("method", ["convirt", "clip"])
def test_the_papers_towers_of_radiographs_equal_timm_and_transformers(tmp_path, method):
    torch.manual_seed(0)
    bert = BertModel(BertConfig(vocab_size=28996)).eval()  # the rest: BERT-base
    bert.save_pretrained(tmp_path / "Bio_ClinicalBERT")
    words = [*vocabulary(), *(f"word{n}" for n in range(28996 - len(vocabulary())))]
    (tmp_path / "Bio_ClinicalBERT" / "vocab.txt").write_text("\n".join(words) + "\n")
    resnet = timm.create_model("resnet50").eval()
    torch.save(resnet.state_dict(), tmp_path / "resnet50.pth")
    cfg = compose_config("config", f"experiment=pretraining_paper/{method}", f"paths.weights={tmp_path}")
    ours = build_model(cfg).eval()
    images = ours.pixels(pictures(224))
    torch.testing.assert_close(ours.image(images).maps[-1], resnet.forward_features(images), atol=1e-4, rtol=1e-4)
    tokens = tokenize(BERT_TEXTS[:1], ours.context_length, ours.tokenizer)
    expected = bert(tokens).last_hidden_state[0].amax(dim=0)
    torch.testing.assert_close(ours.encode_text(tokens).pooled[0], expected, atol=1e-4, rtol=0)
    sizes = {name: sum(p.numel() for p in tower.parameters()) for name, tower in ours.towers().items()}
    attention = 2048 * 6144 + 6144 + 50 * 2048 if method == "clip" else 0
    assert sizes == {"image": 23_508_032 + attention, "text": 107_719_680}
