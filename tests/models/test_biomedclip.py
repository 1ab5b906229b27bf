"""BiomedCLIP's layout against open_clip's own loading, tokenising and padded computation; misuse is refused by name."""

import json
import pickle
import socket
import sys
from dataclasses import replace

import pytest
import torch
from models.berts import TEXTS, VISION, make_folder, stated, text_keys, their_embeds, theirs, vocabulary
from models.clips import EMBED, TEXT, VIT, assert_same, pictures
from transformers import CLIPTokenizer

from anatomy_clip.data.collate import Collate
from anatomy_clip.evaluation.embedded import embed_classes, embed_texts
from anatomy_clip.models.adapt.freeze import prepare_towers
from anatomy_clip.models.export.folders import export
from anatomy_clip.models.tokenizers import CLIP_TOKENIZER, WordPieceTokenizer, tokenize, word_of_each
from anatomy_clip.models.towers.open_clip import from_config, from_name, write_tokenizer
from anatomy_clip.objectives.encoding import CaptionCache
from anatomy_clip.objectives.gloria import GLoRIA

KEYS = stated(text_keys(""))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder in the published layout; no test changes it."""
    return make_folder(tmp_path_factory.mktemp("published"))


@pytest.fixture
def folder(tmp_path):
    """One that a test may spoil."""
    return make_folder(tmp_path / "spoilt")


def load(weights, text=KEYS, **given):
    return from_config(EMBED, VISION, text, weights=str(weights), **given).eval()


def spoil(folder, change):
    path = folder / "open_clip_pytorch_model.bin"
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)


def tokens_of(model, trim=True):
    return tokenize(TEXTS, model.context_length, model.tokenizer, trim=trim)


@torch.no_grad()
def embeds(model, grey):
    return model.encode_image(grey).embedding, model.encode_text(tokens_of(model)).embedding


@pytest.mark.parametrize("pooler", ["cls_last_hidden_state_pooler", "cls_pooler", "mean_pooler"])
@pytest.mark.parametrize("projection", ["mlp", "linear"])
def test_trimmed_captions_equal_open_clips_padded_ones(tmp_path, monkeypatch, pooler, projection):
    make_folder(tmp_path / "f", pooler, projection)
    grey = pictures(160)
    expected = their_embeds(tmp_path / "f", grey)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("asked the network"))
    ours = load(tmp_path / "f", stated(text_keys("", pooler, projection)))
    assert tokens_of(ours).shape[1] == 27
    assert_same(embeds(ours, grey), expected)
    assert (ours.normalisation, ours.architecture["quick_gelu"], ours.initial_logit_scale) == ("clip", False, 4.25)
    assert (expected[1] @ expected[1].T).triu(1).max() < 0.99  # the reference tells the texts apart


def test_gradients_of_trimmed_captions_equal_the_padded_ones(published):
    ours = load(published)
    reference, tokenizer = theirs(published)
    direction = torch.randn(EMBED, generator=torch.Generator().manual_seed(2))
    (ours.encode_text(tokens_of(ours)).embedding @ direction).sum().backward()
    (reference.encode_text(tokenizer(TEXTS), normalize=True) @ direction).sum().backward()
    expected = {name: value.grad for name, value in reference.text.named_parameters()}
    found = {name: value.grad for name, value in ours.text.named_parameters()}
    assert found.keys() == expected.keys()
    largest = max(float(value.abs().max()) for value in expected.values())
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5 * largest, rtol=0, msg=name)


def test_tokens_are_open_clips(published):
    tokenizer = load(published).tokenizer
    expected = theirs(published)[1](TEXTS)
    assert torch.equal(tokenize(TEXTS, 256, tokenizer, trim=False), expected)
    trimmed = tokenize(TEXTS, 256, tokenizer)
    assert torch.equal(trimmed, expected[:, : int((expected != 0).sum(1).max())])
    assert [tokenizer.length(row) for row in trimmed] == (expected != 0).sum(1).tolist()
    assert torch.equal(tokenize(TEXTS, 256, pickle.loads(pickle.dumps(tokenizer))), trimmed)
    assert Collate(256, tokenizer).tokenizer is tokenizer


def test_a_caption_is_never_cut_by_what_the_file_says_of_truncation(published):
    program = json.loads(load(published).tokenizer.program)
    program["truncation"] = {"max_length": 5, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    program["padding"] = {
        "strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "[PAD]",
    }  # fmt: skip
    tokenizer = WordPieceTokenizer(json.dumps(program))
    assert [len(tokenizer.encode(text)) for text in ("knee", "an image of the liver")] == [3, 7]
    with pytest.raises(ValueError, match=r"caption of 9 tokens is longer than the model's context of 8: 'knee knee"):
        tokenize(["knee " * 7], 8, tokenizer)


def test_each_piece_says_its_word(published):
    tokenizer = load(published).tokenizer
    pieces = [tokenizer._backend.id_to_token(token) for token in tokenizer.encode(TEXTS[2])]
    starts = [not piece.startswith("##") for piece in pieces[1:-1]]
    expected = [-1, *(sum(starts[: n + 1]) - 1 for n in range(len(starts))), -1]
    found = word_of_each(TEXTS, tokenizer)
    assert found[2].tolist() == expected + [-1] * (found.shape[1] - len(expected))
    assert found.shape == tokenize(TEXTS, 256, tokenizer).shape


def test_pieces_make_the_same_words_outside_training_as_in_it(published):
    model = load(published)
    objective = GLoRIA(model).eval()
    texts = Collate(model.context_length, model.tokenizer)._texts("caption", [(text,) for text in TEXTS])
    assert int(texts.word.max()) < int(texts.mask.sum(dim=1).max()) - 3  # some words have several pieces
    with torch.no_grad():
        trained = objective.embed_texts(model.encode_text(texts.ids), texts)  # (T, 1 + N, D)
        pieces = objective.embed_texts(model.encode_text(texts.ids), replace(texts, word=None))
        classes = embed_classes(model, objective, [[text] for text in TEXTS])
    assert torch.equal(embed_texts(model, objective, TEXTS), trained) and torch.equal(classes[:, 0], trained)
    assert not torch.allclose(pieces, trained, atol=1e-3)


def test_a_row_ends_where_each_tokenizer_says():
    row = tokenize(["a !", "An image of liver organs"])[0]
    assert CLIP_TOKENIZER.length(row) == 4  # its last word has the id of padding
    assert CLIP_TOKENIZER.describe() == {} == CLIP_TOKENIZER.files()


def test_captions_of_a_frozen_tower_come_from_the_cache_as_they_are(published):
    model = load(published)
    prepare_towers(model, frozen_text="all")
    cache, tokens = CaptionCache(10), tokens_of(model)
    with torch.no_grad():
        expected = model.encode_text(tokens).embedding
    for _ in range(2):
        torch.testing.assert_close(cache(model, tokens), expected, atol=1e-6, rtol=0)
        assert cache.misses == len(TEXTS)


def test_a_berts_embeddings_and_lowest_layers_can_be_frozen(published):
    model = load(published)
    prepare_towers(model, frozen_text=1)
    lower = ("transformer.embeddings.", "transformer.encoder.layer.0.")
    trained = {name: weight.requires_grad for name, weight in model.text.named_parameters()}
    assert {name for name, one in trained.items() if not one} == {name for name in trained if name.startswith(lower)}
    model.encode_text(tokens_of(model)).pooled.sum().backward()
    assert model.text.transformer.encoder.layer[1].output.dense.weight.grad is not None
    layers = len(model.text.transformer.encoder.layer)
    with pytest.raises(ValueError, match=f"frozen_text=99: the text tower has {layers} blocks"):
        prepare_towers(model, frozen_text=99)


def test_the_provenance_has_the_sentence_in_the_models_own_tokens(published):
    model = load(published)
    reference, tokenizer = theirs(published)
    with torch.no_grad():
        text = reference.encode_text(tokenizer(["An axial CT image of the liver"]), normalize=True)[0]
    assert model.provenance.golden_text == pytest.approx(text[:4].tolist(), abs=2e-6)
    assert (model.provenance.context_length, model.provenance.layout) == (256, "open_clip's names, with a BERT")


def test_a_checkpoint_of_ours_carries_the_tokenizer(published, tmp_path):
    model = load(published)
    state = {f"model.{key}": value for key, value in model.state_dict().items()}
    torch.save({"state_dict": state, "recipe": {"finished": True, "model": model.describe()}}, tmp_path / "last.ckpt")
    back = load(tmp_path / "last.ckpt")
    grey = pictures(160)
    assert_same(embeds(back, grey), embeds(model, grey), atol=0)
    assert back.tokenizer is not model.tokenizer


def test_open_clip_loads_what_was_exported(published, tmp_path):
    ours = load(published, {**KEYS, "hf_model_name": str(published / "elsewhere")})  # where it finds the BERT's sizes
    export(ours, tmp_path / "out", "open_clip", "card")
    reference, tokenizer = theirs(tmp_path / "out")
    assert torch.equal(tokenizer(TEXTS), tokens_of(ours, trim=False))
    grey = pictures(160)
    assert_same(their_embeds(tmp_path / "out", grey), embeds(ours, grey))
    assert reference.logit_scale.item() == 4.25
    assert_same(embeds(load(tmp_path / "out"), grey), embeds(ours, grey), atol=0)
    with pytest.raises(ValueError, match=r"not test_vit; use layout=open_clip"):
        export(ours, tmp_path / "other", "transformers", "card")


def test_missing_and_unexpected_tensors_are_named(folder):
    def change(state):
        state["text.proj.1.weight"] = state.pop("text.proj.0.weight")
        del state["visual.trunk.norm.weight"]

    spoil(folder, change)
    with pytest.raises(ValueError) as error:
        load(folder)
    text = str(error.value)
    assert "missing: image.visual.trunk.norm.weight, text.proj.0.weight" in text
    assert "text.proj.1.weight (did you mean 'text.proj." in text


def test_position_ids_of_older_versions_are_known(folder):
    spoil(folder, lambda state: state.update({"text.transformer.embeddings.position_ids": torch.arange(512)[None]}))
    grey = pictures(160)
    assert_same(embeds(load(folder), grey), their_embeds(folder, grey))


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"width": 64}, r"text.width is 32 in the file and 64 in the model"),
        ({"layers": 12}, r"text.layers is 2 in the file and 12 in the model"),
        ({"vocab_size": 30522}, r"text.vocab_size is \d+ in the file and 30522 in the model"),
        ({"context_length": 77}, r"text.context_length is 256 in the file and 77 in the model"),
        ({"hf_pooler_type": "mean_pooler"}, r"text.hf_pooler_type is cls_last_hidden_state_pooler in the file"),
        (
            {"hf_pooler_type": "cls_poolr"},
            r"hf_pooler_type=cls_poolr can't be built; known: mean_pooler",
        ),
        ({"hf_proj_type": None}, r"hf_proj_type=None can't be built; known: mlp, linear"),
        ({"tokenizer_kwargs": {"strip_sep_token": True}}, r"tokenizer_kwargs=.*can't be built"),
        ({"heads": None}, r"someone/a-bert as a text tower can only be built as a BERT whose heads the config states"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_by_its_key(published, changed, match):
    with pytest.raises(ValueError, match=match):
        load(published, KEYS | changed)


def test_a_tower_of_clips_own_kind_is_not_loaded_with_a_bert(published):
    with pytest.raises(ValueError, match=r"text.hf_model_name is True in the file and False in the model"):
        from_config(EMBED, VIT, TEXT, weights=str(published))


def test_a_bert_without_weights_has_no_tokenizer(tmp_path):
    with pytest.raises(ValueError, match=r"a-bert has its own tokenizer, which is stored with the weights; set"):
        from_config(EMBED, VISION, KEYS)
    with pytest.raises(ValueError, match="roberta-base has its own tokenizer"):
        from_name("roberta-ViT-B-32")
    torch.manual_seed(0)
    clip = from_config(EMBED, VIT, TEXT)
    state = {f"model.{key}": value for key, value in clip.state_dict().items()}
    torch.save({"state_dict": state, "recipe": {"finished": True, "model": clip.describe()}}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"is stored with the weights, but .*last.ckpt has none; set model.weights"):
        load(tmp_path / "last.ckpt")


def test_a_tokenizer_that_is_missing_damaged_or_of_another_kind_is_named(folder):
    for name in ("vocab.txt", "tokenizer_config.json"):
        (folder / name).unlink()
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match=r"the tokenizer can't be read \(.*\); these files are needed: tokenizer.json"):
        load(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"has no tokenizer of the text tower beside the weights; put tokenizer"):
        load(folder)
    write_tokenizer(folder, 77)
    CLIPTokenizer.from_pretrained(folder).save_pretrained(folder)
    with pytest.raises(ValueError, match="a tokenizer of kind 'BPE'; a BERT's has 'WordPiece'"):
        load(folder)


def test_a_vocabulary_without_padding_is_refused(published):
    program = json.loads(load(published).tokenizer.program)
    program["added_tokens"] = [t for t in program["added_tokens"] if t["content"] != "[PAD]"]
    program["model"]["vocab"] = {"[EMPTY]" if k == "[PAD]" else k: v for k, v in program["model"]["vocab"].items()}
    with pytest.raises(ValueError, match=r"has no token \[PAD\]"):
        WordPieceTokenizer(json.dumps(program))


def test_without_transformers_the_extra_is_named(published, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"isn't installed: pip install 'anatomy_clip\[biomedclip\]'"):
        load(published)


def test_a_caption_longer_than_the_context_is_refused(published):
    with pytest.raises(ValueError, match="257 tokens don't fit the context of 256"):
        load(published).encode_text(torch.ones(1, 257, dtype=torch.int64))


def test_pieces_are_those_of_the_vocabulary(published):
    pieces = vocabulary()
    ids = load(published).tokenizer.encode("The  ABDOMEN")
    assert [pieces[n] for n in ids] == ["[CLS]", "the", "abdo", "##men", "[SEP]"]
