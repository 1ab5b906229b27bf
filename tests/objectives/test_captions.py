"""Captioning against decoders written out token by token in float64."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from methods import batch, make

from anatomy_clip.core.types import Texts

CAPTIONERS = ("caption_transformer", "caption_lstm")


def weights_of(objective):
    return {name: value.detach().numpy() for name, value in objective.named_parameters()}


def softmax(x):
    powers = np.exp(x - x.max())
    return powers / powers.sum()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cross_entropy(logits, right):
    return math.log(np.exp(logits).sum()) - logits[right]


def reports_of(data):
    texts = data.texts["report"]
    return [ids[mask].tolist() for ids, mask in zip(texts.ids, texts.mask, strict=True)]


def regions_of(model, data):
    with torch.no_grad():
        return model.encode_image(data.images).local.numpy()


def normed(x, w, name):
    x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    return x * w[f"{name}.weight"] + w[f"{name}.bias"]


def attention(query, others, w, name, heads=2):
    """One query's attention to a list of others."""
    wq, wk, wv = np.split(w[f"{name}.in_proj_weight"], 3)
    bq, bk, bv = np.split(w[f"{name}.in_proj_bias"], 3)
    q, keys, values = wq @ query + bq, [wk @ o + bk for o in others], [wv @ o + bv for o in others]
    size = len(q) // heads
    found = []
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        shares = softmax(np.array([q[part] @ k[part] / math.sqrt(size) for k in keys]))
        found.append(sum(share * v[part] for share, v in zip(shares, values, strict=True)))
    return w[f"{name}.out_proj.weight"] @ np.concatenate(found) + w[f"{name}.out_proj.bias"]


def gelu(x):
    return np.array([v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in x])


def transformer_by_hand(w, regions, ids, way):
    """Sum of the cross entropy of each token after those before it; norms after each step, as in VirTex."""
    seen = [w["regions.weight"] @ region + w["regions.bias"] for region in regions]
    states = [normed(w["words.weight"][i] + w["places.weight"][n], w, "norm") for n, i in enumerate(ids[:-1])]
    for layer in range(2):
        at = f"decoders.{way}.layers.{layer}"
        moved = []
        for n, x in enumerate(states):
            x = normed(x + attention(x, states[: n + 1], w, f"{at}.self_attn"), w, f"{at}.norm1")
            x = normed(x + attention(x, seen, w, f"{at}.multihead_attn"), w, f"{at}.norm2")
            hidden = gelu(w[f"{at}.linear1.weight"] @ x + w[f"{at}.linear1.bias"])
            moved.append(normed(x + w[f"{at}.linear2.weight"] @ hidden + w[f"{at}.linear2.bias"], w, f"{at}.norm3"))
        states = moved
    logits = [w["words.weight"] @ x + w["output_bias"] for x in states]
    return sum(cross_entropy(row, right) for row, right in zip(logits, ids[1:], strict=True))


def test_the_transformers_loss_is_that_of_both_directions_token_by_token():
    model, objective = make("caption_transformer", dtype=torch.float64)
    torch.nn.init.normal_(objective.output_bias)  # else it could be left out
    data = batch("caption_transformer", n=4)
    w, reports = weights_of(objective), reports_of(data)
    tokens = sum(len(ids) - 1 for ids in reports)
    found = objective(model, data)
    expected = {}
    for way, order in (("from_start", 1), ("from_end", -1)):
        pairs = zip(regions_of(model, data), reports, strict=True)
        expected[way] = sum(transformer_by_hand(w, r, ids[::order], way) for r, ids in pairs) / tokens
        assert float(found.terms[way]) == pytest.approx(expected[way], abs=1e-6)
    assert float(found.loss.detach()) == pytest.approx(sum(expected.values()), abs=1e-6)


def lstm_by_hand(w, regions, ids):
    """Xu et al. 2015, section 3.1.2 with soft attention (4.2)."""

    def layer(name, x):
        return w[f"{name}.weight"] @ x + w.get(f"{name}.bias", 0)

    h, c = np.split(np.tanh(layer("start", regions.mean(axis=0))), 2)
    total = 0.0
    for before, right in pairwise(ids):
        fits = [layer("attention_of_regions", r) + layer("attention_of_state", h) for r in regions]
        shares = softmax(np.array([layer("attention", np.tanh(x)).item() for x in fits]))
        seen = sigmoid(layer("gate", h)) * sum(s * r for s, r in zip(shares, regions, strict=True))
        word = w["words.weight"][before]
        gates = w["cell.weight_ih"] @ np.concatenate([word, seen]) + w["cell.bias_ih"]
        take, keep, new, show = np.split(gates + w["cell.weight_hh"] @ h + w["cell.bias_hh"], 4)
        c = sigmoid(keep) * c + sigmoid(take) * np.tanh(new)
        h = sigmoid(show) * np.tanh(c)
        total += cross_entropy(layer("output", word + layer("from_state", h) + layer("from_seen", seen)), right)
    return total


def test_the_lstms_loss_is_its_equations_token_by_token():
    model, objective = make("caption_lstm", dtype=torch.float64)
    data = batch("caption_lstm", n=4)
    w, reports = weights_of(objective), reports_of(data)
    total = sum(lstm_by_hand(w, r, ids) for r, ids in zip(regions_of(model, data), reports, strict=True))
    tokens = sum(len(ids) - 1 for ids in reports)
    assert float(objective(model, data).loss.detach()) == pytest.approx(total / tokens, abs=1e-6)


@pytest.mark.parametrize("method", CAPTIONERS)
def test_padding_changes_nothing_and_a_batch_is_the_mean_over_its_tokens(method):
    model, objective = make(method, dtype=torch.float64)
    data = batch(method, n=4)
    texts = data.texts["report"]

    def loss(rows, columns):
        ids, mask = texts.ids[rows], texts.mask[rows]
        extra = columns - ids.shape[1]
        ids, mask = ((torch.nn.functional.pad(t, (0, extra))) if extra > 0 else t[:, :columns] for t in (ids, mask))
        report = Texts(ids, torch.arange(len(ids)), mask)
        part = replace(data, images=data.images[rows], rows=data.rows[rows], texts={"report": report})
        with torch.no_grad():
            return float(objective(model, part).loss)

    everything = loss(slice(None), 12)
    assert loss(slice(None), 16) == pytest.approx(everything, abs=1e-9)
    lengths = texts.mask.sum(dim=1).tolist()
    assert len(set(lengths)) > 1
    alone = sum((length - 1) * loss(slice(n, n + 1), length) for n, length in enumerate(lengths))
    assert alone / (sum(lengths) - len(lengths)) == pytest.approx(everything, abs=1e-9)


def test_dropout_is_left_out_in_evaluation():
    model, objective = make("caption_transformer", dtype=torch.float64)
    dropping = type(objective)(model, width=16, layers=2, heads=2, dropout=0.5).double()
    dropping.load_state_dict(objective.state_dict())
    data = batch("caption_transformer")
    with torch.no_grad():
        assert not torch.equal(dropping(model, data).loss, objective(model, data).loss)
        torch.testing.assert_close(dropping.eval()(model, data).loss, objective(model, data).loss)
