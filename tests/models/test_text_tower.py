"""A plain BERT's weights into a text tower against transformers; max pooling against a loop; misuse is refused."""

import json

import pytest
import torch
from models.berts import TEXTS, stated, text_keys, vocabulary
from transformers import BertConfig, BertForPreTraining, BertModel

from anatomy_clip.models.export.folders import export
from anatomy_clip.models.tokenizers import tokenize
from anatomy_clip.models.towers.open_clip import from_config

VISION = {"image_size": 32, "timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"}
TEXT = stated(text_keys("", pooler="max_pooler", projection="linear"))
SIZES = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 128, "num_attention_heads": 2}


@pytest.fixture
def bert(tmp_path):
    """A folder as its authors publish it: configuration, weights and vocabulary, no more."""
    return write_bert(tmp_path / "bert", BertModel)


def write_bert(folder, kind, **changes):
    torch.manual_seed(0)
    model = kind(BertConfig(vocab_size=len(vocabulary()), **SIZES | changes))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary()) + "\n")
    return folder


def load(folder, text=TEXT, **options):
    return from_config(16, VISION, text, text_weights=str(folder), **options).eval()


@torch.no_grad()
def word_vectors(folder, tokens):
    """The last hidden state of each text alone, without padding: what transformers makes of them."""
    theirs = BertModel.from_pretrained(folder).eval()
    return [theirs(row[row != 0][None]).last_hidden_state[0] for row in tokens]


@torch.no_grad()
def test_vectors_are_transformers_and_the_largest_counts_of_text_alone(bert):
    model = load(bert)
    tokens = tokenize(TEXTS, model.context_length, model.tokenizer)
    features = model.encode_text(tokens)
    for n, vectors in enumerate(word_vectors(bert, tokens)):
        torch.testing.assert_close(features.local[n, : len(vectors)], vectors, atol=1e-5, rtol=0)
        largest = [max(float(vector[w]) for vector in vectors) for w in range(model.text.width)]
        torch.testing.assert_close(features.pooled[n], torch.tensor(largest), atol=1e-5, rtol=0)
    assert model.provenance.source == str(bert)


@torch.no_grad()
def test_an_old_file_with_heads_and_old_names_gives_the_same(tmp_path):
    folder = write_bert(tmp_path / "old", BertForPreTraining)
    tokens = tokenize(TEXTS, 256, load(folder).tokenizer)
    expected = load(folder).encode_text(tokens).pooled
    state = BertForPreTraining.from_pretrained(folder).state_dict()
    state = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
             for k, v in state.items()}  # fmt: skip
    assert any(name.startswith("cls.") for name in state) and any(name.endswith("gamma") for name in state)
    state["bert.embeddings.position_ids"] = torch.arange(512)[None]
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    assert torch.equal(load(folder).encode_text(tokens).pooled, expected)


@torch.no_grad()
def test_its_own_pooling_layer_is_read_where_the_tower_pools_by_it(bert):
    model = load(bert, {**TEXT, "hf_pooler_type": "cls_pooler"})
    tokens = tokenize(TEXTS[:2], 256, model.tokenizer)
    theirs = BertModel.from_pretrained(bert).eval()
    expected = theirs(tokens, attention_mask=tokens != 0).pooler_output
    torch.testing.assert_close(model.encode_text(tokens).pooled, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c | {"model_type": "roberta"}, "model_type is 'roberta'; only 'bert'"),
        (lambda c: c | {"hidden_act": "relu"}, "hidden_act=relu, which differs from the base design"),
        (lambda c: c | {"num_attention_heads": 4}, "text.heads is 4 in the file and 2 in the model"),
        (lambda c: c | {"vocab_size": 7}, "text.vocab_size is 7 in the file"),
    ],
)
def test_another_bert_than_the_config_states_is_refused(bert, change, message):
    path = bert / "config.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(ValueError, match=message):
        load(bert)


def test_what_is_not_there_is_refused_with_a_remedy(bert, tmp_path):
    with pytest.raises(ValueError, match=r"model.text_weights: .*nowhere: no such folder; put a BERT there"):
        load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"set model.weights .* or model.text_weights to the folder of a BERT"):
        from_config(16, VISION, TEXT)
    (bert / "vocab.txt").unlink()
    with pytest.raises(ValueError, match="has no tokenizer of the text tower beside the weights"):
        load(bert)


def test_a_tensor_too_few_is_named(bert):
    state = BertModel.from_pretrained(bert).state_dict()
    del state["encoder.layer.1.output.dense.bias"]
    (bert / "model.safetensors").unlink()
    torch.save(state, bert / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"missing: transformer.encoder.layer.1.output.dense.bias"):
        load(bert)


def test_it_is_not_exported_to_open_clip_which_pools_the_padding(bert, tmp_path):
    with pytest.raises(ValueError, match="open_clip's max_pooler ignores the text"):
        export(load(bert), tmp_path / "out", "open_clip", "card")


def test_a_method_without_texts_needs_no_bert():
    assert from_config(16, VISION, TEXT, text_tower=False).text is None
