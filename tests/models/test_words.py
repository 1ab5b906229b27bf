import pickle

import pytest
import torch
from torch.nn.functional import normalize

from anatomy_clip.core.refusals import Refused
from anatomy_clip.models.tokenizers import ClipTokenizer, tokenize, word_of_each
from anatomy_clip.models.towers.open_clip import from_config
from anatomy_clip.models.towers.words import WordConfig, WordTower
from anatomy_clip.models.words import WordTokenizer

VOCABULARY = ("effusion", "heart", "left", "no", "normal")
TOKENIZER = WordTokenizer(VOCABULARY)
VISION = {"image_size": 32, "timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"}
TEXT = {"words": True, "width": 16, "heads": 2, "layers": 2, "context_length": 12}
SENTENCES = ["No LEFT effusion.", "Heart: huge, normal-sized heart", ""]


def tower(pool="max", embed_dim=None):
    torch.manual_seed(0)
    return WordTower(WordConfig.of(TEXT | {"pool": pool}), TOKENIZER.size, embed_dim).eval()


def test_ids_are_start_words_end_and_padding():
    assert TOKENIZER.size == 9
    assert tokenize(SENTENCES, 12, TOKENIZER).tolist() == [
        [1, 7, 6, 4, 2, 0, 0], [1, 5, 3, 8, 3, 5, 2], [1, 2, 0, 0, 0, 0, 0],
    ]  # fmt: skip
    assert [TOKENIZER.length(row) for row in tokenize(SENTENCES, 12, TOKENIZER)] == [5, 7, 2]


def test_each_token_says_its_word():
    assert word_of_each(SENTENCES, TOKENIZER).tolist() == [
        [-1, 0, 1, 2, -1, -1, -1], [-1, 0, 1, 2, 3, 4, -1], [-1] * 7,
    ]  # fmt: skip
    assert word_of_each(SENTENCES, ClipTokenizer()) is None


def test_the_tokenizer_travels_to_workers_and_in_a_description():
    for other in (pickle.loads(pickle.dumps(TOKENIZER)), WordTokenizer(TOKENIZER.describe()["vocabulary"])):
        assert other.encode(SENTENCES[1]) == TOKENIZER.encode(SENTENCES[1]) and other.size == TOKENIZER.size


def test_pools_are_those_of_the_word_vectors_without_padding():
    tokens = tokenize(SENTENCES, 12, TOKENIZER)
    for pool, by_hand in {
        "max": lambda rows: rows.max(dim=0).values,
        "mean": lambda rows: rows.mean(dim=0),
        "first": lambda rows: rows[0],
    }.items():
        features = tower(pool)(tokens)
        assert features.local.shape == (3, 7, 16) and features.embedding is None
        expected = [by_hand(row[:length]) for row, length in zip(features.local, (5, 7, 2), strict=True)]
        torch.testing.assert_close(features.pooled, torch.stack(expected))


def test_padding_and_the_rest_of_the_batch_change_nothing_and_each_word_sees_all_others():
    tokens = tokenize(SENTENCES, 12, TOKENIZER)
    network = tower(embed_dim=8)
    together, alone = network(tokens), network(tokens[:1, :5])
    torch.testing.assert_close(together.embedding[0], alone.embedding[0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(together.local[0, :5], alone.local[0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(together.embedding, normalize(together.embedding, dim=-1))
    other = tokens[:1, :5].clone()
    other[0, 3] = 8
    assert (network(other).local[0, 1] - alone.local[0, 1]).abs().max() > 1e-4  # an earlier word sees a later one


def test_every_weight_of_the_tower_gets_a_gradient():
    network = tower(embed_dim=8).train()
    network(tokenize(SENTENCES, 12, TOKENIZER)).embedding[:, 0].sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_a_text_over_the_context_is_refused():
    with pytest.raises(ValueError, match="texts of 13 tokens don't fit the context of 12"):
        tower()(torch.ones(1, 13, dtype=torch.int64))


def test_the_model_has_the_vocabulary_and_says_what_it_is():
    model = from_config(8, VISION, TEXT, vocabulary=VOCABULARY)
    assert model.tokenizer.size == 9 and model.context_length == 12
    assert model.describe()["vocabulary"] == list(VOCABULARY)
    assert model.encode_text(tokenize(SENTENCES, 12, model.tokenizer)).joint.shape == (3, 8)
    tokens_alone = from_config(8, VISION, TEXT, vocabulary=VOCABULARY, text_tower=False, joint=False)
    assert tokens_alone.text is None and tokens_alone.tokenizer.size == 9
    without = from_config(8, VISION, TEXT, text_tower=False, joint=False)
    assert without.text is None


@pytest.mark.parametrize(
    ("change", "said"),
    [({"pool": "sum"}, "use one of max, mean, first"), ({"layer": 2}, r"did you mean 'layers'")],
)
def test_unknown_keys_and_pools_are_refused(change, said):
    with pytest.raises(Refused, match=said):
        from_config(8, VISION, TEXT | change, vocabulary=VOCABULARY)


def test_a_tower_without_vocabulary_is_refused():
    with pytest.raises(Refused, match="there is no vocabulary; train on a store of films with reports"):
        from_config(8, VISION, TEXT)
