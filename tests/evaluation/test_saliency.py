"""Saliency of a network by hand, each of whose features is one quarter of the film."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from films import make_record
from tested import FakeRun, embedded
from torch import nn

from anatomy_clip.anatomy.findings import FindingSet
from anatomy_clip.core.radiographs import Finding
from anatomy_clip.core.terms import State, Visibility
from anatomy_clip.core.types import Batch, Features
from anatomy_clip.evaluation.base import Evaluator
from anatomy_clip.evaluation.saliency import Saliency
from anatomy_clip.evaluation.saliency_cells import cells_of
from anatomy_clip.models.words import WordTokenizer

NAMES, SIDE, COUNT = ("edema", "nodule"), 8, 12
FINDINGS = FindingSet(NAMES)
SHOWN, UNSEEN = Finding(State.POSITIVE), Finding(State.POSITIVE, visibility=Visibility.INVISIBLE)


class Quarters(nn.Module):
    """Feature c is the mean of quarter `order[c]`, row by row, and so is its map there; elsewhere the map is 0."""

    def __init__(self, order=(0, 1, 2, 3), convolutional=True):
        super().__init__()
        self.order, self.convolutional = order, convolutional
        self.register_buffer("mean", torch.zeros(1))
        self.image = SimpleNamespace(map_widths=(4,) if convolutional else ())
        self.tokenizer = WordTokenizer(["there", "is"])

    def encode_image(self, images):
        quarters = nn.functional.avg_pool2d(images.float(), SIDE // 2).flatten(1)  # (B, 4)
        maps = torch.stack([quarters[:, n, None] * torch.eye(4)[n] for n in self.order], dim=1)
        maps = maps.unflatten(2, (2, 2)).requires_grad_()
        pooled = maps.sum(dim=(2, 3))
        return Features(pooled, pooled[:, None], maps=(maps,) if self.convolutional else ())


class Compares:
    """The first feature speaks of edema, the second of nodules; the words that name a finding look at its quarter."""

    compares = True

    def embed_images(self, features):
        return features.pooled

    def similarity(self, images, texts):
        return images @ texts.T

    def word_attention(self, images, texts):
        words, named = torch.arange(7), texts.argmax(dim=1)  # "There is" and two words of every name
        naming = ((words >= 2) & (words < 4)).expand(len(named), -1)
        return torch.eye(4)[torch.where(naming, named[:, None], 3)]


class ComparesNone:
    compares = False


@dataclass
class FilmRun(FakeRun):
    """A run with films, their masks and a network."""

    trained: tuple = ()
    pictures: dict = field(default_factory=dict)  # set -> (N, S, S) uint8, masks of each
    batch_size: int = 5

    def randomised(self):
        return Quarters((3, 2, 1, 0), self.trained[0].convolutional)

    def films(self, name):
        images, masks = self.pictures[name]
        for n in range(0, len(images), self.batch_size):
            part = torch.from_numpy(images[n : n + self.batch_size])[:, None]
            yield Batch(part, {}, {}, torch.arange(n, n + len(part))), masks[n : n + self.batch_size]


def embed(texts):
    assert all(text.startswith("There is ") and text.endswith(".") for text in texts)
    return torch.stack([torch.eye(4)[0 if "edema" in text else 1] for text in texts])


def quarter(number, share=1.0):
    """A mask of the first rows of a quarter."""
    mask = np.zeros((SIDE, SIDE), bool)
    top, left = SIDE // 2 * (number // 2), SIDE // 2 * (number % 2)
    mask[top : top + round(SIDE // 2 * share), left : left + SIDE // 2] = True
    return mask


def films(split, seed):
    """Films that show edema in the first quarter, a nodule in the second, both or nothing; two of each patient."""
    rng = np.random.default_rng(seed)
    labels = np.array([[n % 2, n // 2 % 2] for n in range(COUNT)])
    images = rng.integers(0, 100, (COUNT, SIDE, SIDE)).astype(np.uint8)
    bright = rng.integers(0, 2, (COUNT, 2))  # of the other quarters, which vary as much and tell nothing
    records, masks = [], []
    for n, shown in enumerate(labels):
        found = {name: SHOWN for name, one in zip(NAMES, shown, strict=True) if one}
        for k in np.flatnonzero([*shown, *bright[n]]):
            images[n][quarter(k)] += 90
        records.append(make_record(n, split, patient=f"{split}-{n // 2}", findings=found, masks=tuple(found)))
        masks.append({name: quarter(NAMES.index(name), 0.5) for name in found})
    return images, records, masks, labels


def run_of(change=None, objective=None, convolutional=True, **arguments):
    """A run; `change` may alter the records and masks of its test set."""
    model = Quarters(convolutional=convolutional)
    roles, pictures = {}, {}
    for seed, role in enumerate(("train", "validation", "test")):
        images, records, masks, labels = films(role, seed)
        if role == "test" and change is not None:
            change(records, masks)
        pictures[role] = images, masks
        pooled = model.encode_image(torch.from_numpy(images)[:, None]).pooled.detach()
        roles[role] = {role: embedded(pooled, records, finding=labels)}
    trained = (model, objective or Compares())
    return FilmRun(roles, embed_texts=embed, trained=trained, pictures=pictures, **arguments)


def evaluator(**arguments):
    return Saliency(FINDINGS, resamples=50, strengths=[0.1], **arguments)


def test_maps_point_at_the_quarter_that_a_finding_is_seen_in():
    table = evaluator().predict(run_of())
    assert list(table.columns[:4]) == ["set", "row", "source", "patient"]
    kinds = {("probe", "gradient"), ("probe", "grad_cam"), ("pair", "gradient"), ("pair", "grad_cam")}
    kinds.add(("pair", "word_attention"))
    assert set(zip(table["score"], table["map"], strict=True)) == kinds
    assert (table.groupby(["score", "map"]).size() == COUNT).all()  # six films show edema, six a nodule
    flat = table[table["map"] == "gradient"]  # equal in a quarter, of which the mask is one half
    np.testing.assert_allclose(flat["pointing"], 0.5)
    np.testing.assert_allclose(flat["iou"], 4 / 12)  # 8 pixels, 4 of them expected in the mask of 8
    peaks = table[table["map"] != "gradient"]  # enlarged, they are highest in the outer corner of the quarter
    assert (peaks["pointing"] == 1).all()
    np.testing.assert_allclose(table["pointing_chance"], 8 / 64)
    np.testing.assert_allclose(table["iou_chance"], (1 / 8) / (2 - 1 / 8))
    pair = table[table["score"] == "pair"].set_index("map")
    np.testing.assert_allclose(pair["rank_correlation"]["word_attention"], 1)  # here the words look at no film
    of_film = pair.drop(index="word_attention")  # of one quarter; with other weights of another one
    assert (of_film["pointing_randomised"] == 0).all() and (of_film["iou_randomised"] == 0).all()
    np.testing.assert_allclose(of_film["rank_correlation"], -1 / 3, atol=1e-6)


def test_what_is_not_visible_or_has_no_mask_has_no_part():
    def change(records, masks):
        first = [n for n, one in enumerate(masks) if "edema" in one]
        records[first[0]] = replace(records[first[0]], findings={"edema": UNSEEN})
        masks[first[1]].pop("edema")
        masks[first[2]]["edema"] = np.zeros((SIDE, SIDE), bool)
        masks[0]["nodule"] = quarter(1)  # of a film that doesn't show it

    table = evaluator().predict(run_of(change))
    assert (table[table["finding"] == "edema"].groupby(["score", "map"]).size() == 3).all()
    assert 0 not in set(table["row"])


def test_a_mask_of_another_name_can_stand_for_a_finding():
    def change(records, masks):
        for one in masks:
            if "edema" in one:
                one["lungs"] = one.pop("edema")

    assert set(evaluator().predict(run_of(change))["finding"]) == {"nodule"}
    whole = evaluator().predict(run_of())
    pd.testing.assert_frame_equal(evaluator(masks={"edema": "lungs"}).predict(run_of(change)), whole)


def test_a_margin_around_masks_counts_for_pointing_alone():
    near, exact = evaluator(tolerance=2 / SIDE).predict(run_of()), evaluator().predict(run_of())
    flat = near["map"] == "gradient"
    assert (near[flat]["pointing"] == 1).all() and (near["pointing_chance"] > exact["pointing_chance"]).all()
    pd.testing.assert_frame_equal(near[["iou", "iou_chance"]], exact[["iou", "iou_chance"]])


@pytest.mark.parametrize("size", [1, COUNT])
def test_the_size_of_batches_does_not_matter(size):
    whole, parts = (evaluator().predict(run_of(batch_size=n)) for n in (5, size))
    order = ["row", "finding", "score", "map"]
    whole, parts = (one.sort_values(order, ignore_index=True) for one in (whole, parts))
    pd.testing.assert_frame_equal(whole, parts)


def test_methods_have_the_scores_and_maps_that_they_can_have_and_say_what_is_left_out(tmp_path):
    run = run_of(objective=ComparesNone(), convolutional=False)
    assert not Evaluator.compares and not Saliency.compares  # it isn't left out as a whole
    table = evaluator().predict(run)
    assert set(zip(table["score"], table["map"], strict=True)) == {("probe", "gradient")}
    left_out = [
        "there is no score of a pair, because the method",
        "there is no Grad-CAM, because the image tower is not",
    ]
    for note, expected in zip(evaluator().choose(run, tmp_path), left_out, strict=True):
        assert note.startswith(f"saliency: {expected}")


def test_sets_without_masks_have_no_cells_and_a_note(tmp_path):
    def change(records, masks):
        for n, (record, drawn) in enumerate(zip(records, masks, strict=True)):
            records[n] = replace(record, masks=())
            drawn.clear()

    run = run_of(change)
    table = evaluator().predict(run)
    assert table.empty and evaluator().score(table) == []
    assert evaluator().choose(run, tmp_path) == ["saliency: no film of test has a mask"]


def test_a_finding_that_the_labels_do_not_show_has_no_probe():
    run = run_of()
    run.roles["train"]["train"].labels["finding"][:, 1] = 0
    table = evaluator().predict(run)
    assert set(table[table["score"] == "probe"]["finding"]) == {"edema"}
    assert set(table[table["score"] == "pair"]["finding"]) == set(NAMES)


def test_the_first_film_of_each_finding_is_there_to_be_drawn():
    run = run_of()
    table = evaluator().predict(run)
    drawn = table[table["drawn_map"].notna()]
    assert dict(zip(drawn["finding"], drawn["row"], strict=True)) == {"edema": 1, "nodule": 2}
    assert len(drawn) == 2 * 5
    for one in drawn.to_dict("records"):
        images, masks = run.pictures["test"]
        assert (np.array(one["drawn_film"]) == images[one["row"]]).all()
        assert (np.array(one["drawn_mask"]) == masks[one["row"]][one["finding"]]).all()
        assert np.max(one["drawn_map"]) == 255


def test_cells_are_means_over_findings_of_means_over_films():
    rng = np.random.default_rng(0)
    rows = [
        {"set": "test", "row": n, "source": "s", "patient": f"p{n // 3}", "finding": NAMES[n % 5 == 0], "score": score,
         "map": "gradient", "drawn_map": None} | dict.fromkeys(("pointing_chance", "iou_chance"), 0.1 + 0.01 * n)
        for n in range(30) for score in ("probe", "pair")
    ]  # fmt: skip
    columns = ("pointing", "iou", "pointing_randomised", "iou_randomised", "rank_correlation")
    table = pd.DataFrame(rows).assign(**{name: rng.random(60) for name in columns})
    table.loc[4, "rank_correlation"] = np.nan
    cells = cells_of(table, NAMES)
    for score in ("probe", "pair"):
        for name in columns:
            part = table[table["score"] == score]
            means = part.groupby("finding")[name].mean()
            assert cells[f"saliency/{score}/gradient/{name}/test"].value == pytest.approx(means.mean())
            if name in ("pointing", "iou"):
                assert cells[f"saliency/{score}/gradient/{name}/test/nodule"].value == pytest.approx(means["nodule"])
    alone = table[table["score"] == "probe"].groupby("finding")["iou_chance"].mean()
    assert cells["saliency/chance/iou/test"].value == pytest.approx(alone.mean())
    assert len(cells["saliency/chance/iou/test"].patients) == 30
    without = np.ones((2, 30))
    without[1, ::5] = 0  # a sample without nodules is the mean over the findings that it has
    edema, whole = (cells[f"saliency/pair/gradient/iou/test{end}"] for end in ("/edema", ""))
    assert whole.statistic(without)[1] == pytest.approx(edema.value)
    assert whole.statistic(without)[0] == pytest.approx(whole.value)
