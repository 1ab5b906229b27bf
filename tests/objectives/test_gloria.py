"""GLoRIA against its equations written out in loops, and what evaluators ask of it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from batches import make_prompts
from methods import END, IDS, RESNET, START, VIT, batch, make

from anatomy_clip.core.types import Texts
from anatomy_clip.objectives import words as module
from anatomy_clip.objectives.words import word_cosines, words_of
from experiments.benchmark_methods import local_loss, loop_over_texts, pairs

SIDE = 64
CONVOLUTIONS = RESNET | {"image_size": SIDE}
TOWERS = {  # tower, and stage whose output are the regions: a transformer's patches, 4 regions, 16 regions
    "patches": (VIT, 2, 16), "last": (CONVOLUTIONS, 1, SIDE), "last but one": (CONVOLUTIONS, 2, SIDE),
}  # fmt: skip


def softmax(values):
    powers = np.exp(np.asarray(values) - np.max(values))
    return powers / powers.sum()


def cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def attention_by_hand(words, regions):
    """(T, R): of each region over the words, and then of each word over the regions."""
    shares = np.stack([softmax([word @ region for word in words]) for region in regions])  # (R, T)
    return np.stack([softmax(4 * shares[:, t]) for t in range(len(words))])


def cosines_by_hand(words, regions):
    """Of each word with what it attends to, which is made here."""
    attention = attention_by_hand(words, regions)
    seen = [sum(share * region for share, region in zip(row, regions, strict=True)) for row in attention]
    return [cosine(word, context) for word, context in zip(words, seen, strict=True)]


def words_by_hand(local, texts, n):
    """The vectors of one text's words: its pieces added up."""
    found = {}
    for vector, word in zip(local[n], texts.word[n].tolist(), strict=True):
        if word >= 0:
            found[word] = found.get(word, 0) + vector
    return np.stack([found[k] for k in range(len(found))])


def cross_entropy(scores):
    """Of rows whose right answer is on the diagonal."""
    return sum(math.log(sum(math.exp(x) for x in row)) - row[n] for n, row in enumerate(scores)) / len(scores)


def regions_by_hand(model, data, layer):
    """Global vectors, and the regions of each image: one after the other, row by row of the map that a layer gives."""
    maps = []
    hook = layer.register_forward_hook(lambda module, given, found: maps.append(found)) if layer else None
    with torch.no_grad():
        image = model.encode_image(data.images)
    if hook is None:
        return image.pooled.numpy(), image.local.numpy()
    hook.remove()
    [found] = maps
    rows, columns = found.shape[2:]
    return image.pooled.numpy(), np.array([
        [one[:, y, x].tolist() for y in range(rows) for x in range(columns)] for one in found
    ])  # fmt: skip


def parts_by_hand(model, objective, data, layer=None):
    """Global vectors, regions and words of a batch as arrays; regions are patches, or what a layer gives."""
    texts = data.texts["caption"]
    with torch.no_grad():
        text = model.encode_text(texts.ids)
    weights = {name: value.detach().numpy() for name, value in objective.named_parameters()}
    words = [words_by_hand(text.local.numpy(), texts, n) for n in range(len(data))]
    pooled, regions = regions_by_hand(model, data, layer)
    whole = pooled @ weights["project.global.weight"].T + weights["project.global.bias"]
    return whole, regions @ weights["project.local.weight"].T, words


@pytest.mark.parametrize(
    ("tower", "global_weight", "local_weight"),
    [*((tower, 0.5, 2.0) for tower in TOWERS), *(("patches", *one) for one in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0)))],
)
def test_the_loss_is_the_papers_equations_written_out(tower, global_weight, local_weight):
    vision, stage, side = TOWERS[tower]
    data = batch("gloria", side=side)
    model, both = make("gloria", vision, torch.float64, stage=stage)
    layer = None if tower == "patches" else getattr(model.image.visual.trunk, {1: "layer4", 2: "layer3"}[stage])
    whole, regions, words = parts_by_hand(model, both, data, layer)
    assert regions.shape[1] == {"patches": 4, "last": 4, "last but one": 16}[tower]
    weights = {"global_weight": global_weight, "local_weight": local_weight}
    objective = make("gloria", vision, torch.float64, stage=stage, **weights)[1]
    objective.load_state_dict({name: both.state_dict()[name] for name in objective.state_dict()})
    everything = range(len(data))
    as_wholes = np.array([[10 * cosine(whole[n], words[m].mean(axis=0)) for m in everything] for n in everything])
    by_words = np.array([
        [10 * math.log(sum(math.exp(5 * c) for c in cosines_by_hand(words[m], regions[n]))) for m in everything]
        for n in everything
    ])  # fmt: skip
    found = objective(model, data)
    terms = {"global": as_wholes, "local": by_words}
    weights = {"global": global_weight, "local": local_weight}
    expected = sum(w * (cross_entropy(terms[k]) + cross_entropy(terms[k].T)) for k, w in weights.items())
    assert float(found.loss.detach()) == pytest.approx(expected, abs=1e-6)
    used = {name for name, weight in weights.items() if weight}
    assert set(found.terms) == {f"{k}_{way}" for k in used for way in ("image_to_text", "text_to_image")}
    for name in used:
        assert float(found.terms[f"{name}_image_to_text"]) == pytest.approx(cross_entropy(terms[name]), abs=1e-6)
    found.loss.backward()
    assert all(p.grad is not None for p in objective.parameters())


def test_gradients_of_word_cosines_are_those_of_small_changes():
    generator = torch.Generator().manual_seed(0)
    words, regions = (torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)
                      for shape in ((2, 3, 4), (2, 5, 4)))  # fmt: skip
    assert torch.autograd.gradcheck(lambda w, r: word_cosines(w, r, 4.0), (words, regions))


def test_the_loop_over_texts_that_the_benchmark_times_gives_the_same_loss_and_gradients():
    found = []
    for loss in (local_loss, loop_over_texts):
        words, regions = (tensor.detach().double().requires_grad_() for tensor in pairs(12, 24, 36, 128))
        value = loss(words, regions)
        value.backward()
        found.append((value.detach(), words.grad, regions.grad))
    for ours, loop in zip(*found, strict=True):
        torch.testing.assert_close(ours, loop, rtol=0, atol=1e-6)


def test_a_few_texts_at_a_time_give_the_loss_and_the_gradients_of_all_at_once(monkeypatch):
    data = batch("gloria")

    def step():
        model, objective = make("gloria", dtype=torch.float64)
        loss = objective(model, data).loss
        loss.backward()
        return [loss.detach(), *(p.grad for p in (*model.parameters(), *objective.parameters()))]

    whole = step()
    calls = []
    plain = module._word_cosines
    monkeypatch.setattr(module, "_word_cosines", lambda words, **k: (calls.append(len(words)), plain(words, **k))[1])
    monkeypatch.setattr(module, "_NUMBERS", 3 * 8 * 4 * 5)  # three texts of 5 words against 8 images of 4 regions
    for ours, expected in zip(step(), whole, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)
    assert calls[:3] == [3, 3, 2] and len(calls) == 6  # once more in the backward pass


def test_pieces_of_a_word_are_added_up_and_start_end_and_padding_left_out():
    local = torch.arange(1.0, 7.0).reshape(1, 6, 1).repeat(2, 1, 2)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    word = torch.tensor([[-1, 0, 0, 1, 2, -1], [-1, 0, 0, -1, -1, -1]])
    texts = Texts(torch.zeros(2, 6, dtype=torch.int64), torch.arange(2), mask, word)
    assert words_of(local, texts)[..., 0].tolist() == [[5, 4, 5], [5, 0, 0]]
    assert words_of(local, replace(texts, word=None))[..., 1].tolist() == [[2, 3, 4, 5], [2, 3, 0, 0]]


def embedded(dtype=torch.float64):
    data = batch("gloria")
    model, objective = make("gloria", dtype=dtype)
    texts = data.texts["caption"]
    with torch.no_grad():
        images = objective.embed_images(model.encode_image(data.images))
        spoken = objective.embed_texts(model.encode_text(texts.ids), texts)
    return model, objective, data, images, spoken


def test_similarities_are_cosines_best_words_and_their_mean():
    model, objective, data, images, spoken = embedded()
    whole, regions, words = parts_by_hand(model, objective, data)
    found = objective.similarities(images, spoken)
    for n in range(8):
        for m in range(8):
            as_wholes = cosine(whole[n], words[m].mean(axis=0))
            by_words = 5 * max(cosines_by_hand(words[m], regions[n]))
            assert float(found["global"][n, m]) == pytest.approx(as_wholes, abs=1e-6)
            assert float(found["local"][n, m]) == pytest.approx(by_words, abs=1e-6)
            assert float(found["both"][n, m]) == pytest.approx((as_wholes + by_words) / 2, abs=1e-6)
    assert torch.equal(objective.similarity(images, spoken), found["both"])
    fewer = objective.similarities(images[3:], spoken[:2])[
        "both"
    ]  # a matrix product of another size may round otherwise
    torch.testing.assert_close(fewer, found["both"][3:, :2], rtol=0, atol=1e-12)


@pytest.mark.parametrize("part", ["global", "local"])
def test_one_part_alone_is_the_similarity(part):
    _, both, data, images, spoken = embedded()
    model, objective = make("gloria", dtype=torch.float64, **{f"{part}_weight": 1.0},
                            **{f"{other}_weight": 0.0 for other in ("global", "local") if other != part})  # fmt: skip
    objective.load_state_dict({name: both.state_dict()[name] for name in objective.state_dict()})
    texts = data.texts["caption"]
    pictures = objective.embed_images(model.encode_image(data.images))
    said = objective.embed_texts(model.encode_text(texts.ids), texts)
    torch.testing.assert_close(objective.similarity(pictures, said), both.similarities(images, spoken)[part])


def test_a_text_scores_the_same_alone_and_among_longer_ones():
    model, objective, data, images, spoken = embedded()
    texts = data.texts["caption"]
    shortest = int(texts.mask.sum(dim=1).argmin())
    length = int(texts.mask[shortest].sum())
    alone = Texts(texts.ids[[shortest], :length], torch.zeros(1, dtype=torch.int64), texts.mask[[shortest], :length],
                  texts.word[[shortest], :length])  # fmt: skip
    assert length < texts.ids.shape[1]
    own = objective.embed_texts(model.encode_text(alone.ids), alone)
    assert own.shape == spoken[[shortest]].shape  # so that texts of several batches can be joined
    torch.testing.assert_close(objective.similarity(images, own), objective.similarity(images, spoken[[shortest]]))


def test_of_a_classs_prompts_the_one_that_fits_best_counts():
    model, objective, _, images, _ = embedded()
    tokens = torch.tensor(
        [[[START, 5, 6, END, 0], [START, 7, 8, 9, END]], [[START, 10, END, 0, 0], [START, 5, 9, 6, END]]]
    )
    prompts = make_prompts(tokens, tokens.argmax(dim=-1) + 1)
    classes = objective.embed_classes(model, prompts)
    found = objective.similarity(images, classes)
    each = [prompts.each(lambda tensor, k=k: tensor[:, k]) for k in range(2)]
    alone = [objective.similarity(images, objective.embed_texts(model.encode_text(t.ids), t)) for t in each]
    torch.testing.assert_close(found, torch.maximum(*alone))
    assert found.shape == (8, 2) and IDS > END


def test_word_attention_is_that_of_the_equations():
    model, objective, data, images, spoken = embedded()
    _, regions, words = parts_by_hand(model, objective, data)
    found = objective.word_attention(images, spoken)  # (B, T, R)
    for n in range(8):
        expected = attention_by_hand(words[n], regions[n])
        np.testing.assert_allclose(found[n, : len(words[n])].numpy(), expected, atol=1e-6)
    alone = make("gloria", local_weight=0.0)[1]
    assert alone.word_attention(images, spoken) is None


def test_what_it_cant_train_by_is_refused():
    with pytest.raises(ValueError, match=r"^objective: global_weight and local_weight are both 0"):
        make("gloria", global_weight=0.0, local_weight=0.0)
    for stage in (0, 6):
        with pytest.raises(ValueError, match=rf"^objective\.stage={stage}: the image tower has stages 1 to 5"):
            make("gloria", CONVOLUTIONS, stage=stage)
    model, objective = make("gloria")
    data = batch("gloria")
    texts = data.texts["caption"]
    word = texts.word.clone()
    word[3] = -1
    with pytest.raises(ValueError, match="text has no word"):
        objective(model, replace(data, texts={"caption": replace(texts, word=word)}))
