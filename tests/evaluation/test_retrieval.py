"""Retrieval of films and reports against plain loops, on features by hand."""

import numpy as np
import pytest
import torch
from films import make_record
from tested import FakeRun, embedded
from torch.nn.functional import normalize

from anatomy_clip.anatomy.findings import FindingSet
from anatomy_clip.core.radiographs import Finding
from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.terms import State
from anatomy_clip.evaluation.embedded import EmbeddedSet
from anatomy_clip.evaluation.retrieval import Retrieval
from anatomy_clip.text.reports.words import described_by

CLASSES = ("edema", "nodule", "no_finding")
FINDINGS = FindingSet(["edema", "nodule"])
WIDTH, POSITIVE = 8, Finding(State.POSITIVE)
DIRECTIONS = np.random.default_rng(9).normal(size=(3, WIDTH))


def class_films(split, each, seed, other=()):
    """Films of each class near its direction, a patient each; `other` are what further films show."""
    shown = [(name,) for name in CLASSES for _ in range(each)] + list(other)
    records = [
        make_record(
            n,
            split,
            image=f"{split}-{n}",
            findings=dict.fromkeys(names, POSITIVE),
            report={"impression": f"{split} {n} {names[0]}"},
        )
        for n, names in enumerate(shown)
    ]
    rng = np.random.default_rng(seed)
    near = np.array([DIRECTIONS[CLASSES.index(names[0])] for names in shown])
    return embedded(near + rng.normal(size=near.shape) * 1.5, records)


def embed(texts, *, cut=False):
    assert cut  # of reports
    vectors = [np.random.default_rng(len(t) * 1000 + sum(map(ord, t))).normal(size=WIDTH) for t in texts]
    return normalize(torch.as_tensor(np.array(vectors)).float(), dim=-1)


def studies(count=12, films=2):
    """Studies of one or two films; the reports of the first three say the same."""
    records = [
        make_record(n, "test", study=f"s{s}", image=f"f{n}", patient=f"p{s // 2}",
                    report={"findings": f"Study {max(s, 2)}.", "impression": "Seen."})
        for n, s in enumerate(s for s in range(count) for _ in range(1 + s % films))
    ]  # fmt: skip
    return embedded(np.random.default_rng(3).normal(size=(len(records), WIDTH)), records)


def run_of(**changes):
    sets = {"retrieval": class_films("retrieval", 6, 1), "queries": class_films("queries", 3, 2, [("edema", "nodule")])}
    return FakeRun({"test": sets | {"test": studies()} | changes}, embed_texts=embed)


def evaluator(**arguments):
    names = {"candidates": "retrieval", "queries": "queries", "classes": CLASSES, "pairs": ["test"], "cutoffs": [2, 5]}
    return Retrieval(FINDINGS, resamples=50, **names | arguments)


def of_task(table, task, measure, column="value"):
    return table[(table["task"] == task) & (table["measure"] == measure)][column].to_numpy()


def test_films_and_impressions_find_films_of_their_class():
    run = run_of()
    table = evaluator().predict(run)
    sets = run.sets("test")
    for task in ("image_image", "text_image"):
        found = of_task(table, task, "p_at_5")
        assert len(found) == 9  # the query of two classes doesn't count
        for n, record in enumerate(sets["queries"].records[:9]):
            text = embed([record.report["impression"]], cut=True)[0]
            asked = sets["queries"].embeddings[n] if task == "image_image" else text
            best = np.argsort(-(sets["retrieval"].embeddings @ asked).numpy())[:5]
            same = [record.findings.keys() == sets["retrieval"].records[int(m)].findings.keys() for m in best]
            assert found[n] == pytest.approx(np.mean(same))
        np.testing.assert_allclose(of_task(table, task, "p_at_5", "chance"), 1 / 3)
    assert of_task(table, "image_image", "p_at_5").mean() > 0.5 > of_task(table, "text_image", "p_at_5").mean()


def test_a_query_among_the_candidates_does_not_find_itself():
    run = run_of()
    table = evaluator(queries="retrieval", cutoffs=[1, 17]).predict(run)
    np.testing.assert_allclose(of_task(table, "image_image", "p_at_17"), 5 / 17)  # all others
    np.testing.assert_allclose(of_task(table, "image_image", "p_at_1", "chance"), 5 / 17)
    assert of_task(table, "image_image", "p_at_1").mean() < 1


def test_films_find_their_report_and_reports_their_films():
    run = run_of()
    table = evaluator().predict(run)
    films = run.sets("test")["test"]
    names = sorted({one.study for one in films.records}, key=lambda name: int(name[1:]))
    said = {one.study: described_by(one.report) for one in films.records}
    texts = {study: embed([text], cut=True)[0] for study, text in said.items()}
    scores = np.array([[float(image @ texts[name]) for name in names] for image in films.embeddings])
    assert table[table["task"] == "image_report"].groupby("measure").size().eq(len(films)).all()
    assert table[table["task"] == "report_image"].groupby("measure").size().eq(len(names)).all()
    ranks = of_task(table, "image_report", "median_rank") * len(names)
    hits = of_task(table, "image_report", "r_at_2")
    for n, record in enumerate(films.records):
        own = scores[n, names.index(record.study)]
        ahead, level = (scores[n] > own + 1e-6).sum(), (abs(scores[n] - own) < 1e-6).sum()
        assert level == (3 if int(record.study[1:]) <= 2 else 1)
        assert ranks[n] == pytest.approx(ahead + (level + 1) / 2)
        assert hits[n] == pytest.approx(np.clip(2 - ahead, 0, level) / level)
    precise = of_task(table, "report_image", "p_at_2")
    for s, name in enumerate(names):
        best = np.argsort(-scores[:, s])[:2]
        assert precise[s] == pytest.approx(np.mean([films.records[int(n)].study == name for n in best]))
    np.testing.assert_allclose(of_task(table, "image_report", "r_at_5", "chance"), 5 / len(names))


def test_films_without_a_report_have_no_part_in_pairs():
    whole = studies()
    bare = [make_record(99, "test", study="bare", image="bare", report={})]
    features = torch.cat([torch.ones(1, WIDTH), whole.pooled])
    more = embedded(features, [*bare, *whole.records])
    one, other = (evaluator().predict(run_of(test=films)) for films in (whole, more))
    columns = ["task", "measure", "patient", "value", "chance"]
    pairs = [table[table["set"] == "test"][columns].reset_index(drop=True) for table in (one, other)]
    assert len(pairs[0]) > 0 and pairs[0].equals(pairs[1])


def test_cells_are_means_and_a_median_beside_chance():
    one = evaluator()
    table = one.predict(run_of())
    cells = {cell.cell: cell for cell in one.score(table.sample(frac=1.0, random_state=0))}
    mean = cells["retrieval/image_image/pooled/p_at_5/queries"]
    assert (
        mean.value == pytest.approx(of_task(table, "image_image", "p_at_5").mean()) and mean.lo < mean.value < mean.hi
    )
    ranks = of_task(table, "image_report", "median_rank")
    median = cells["retrieval/image_report/global/median_rank/test"]
    assert median.value == pytest.approx(np.median(ranks)) and median.n == len(ranks) and median.lo <= median.hi
    assert cells["retrieval/image_report/chance/r_at_5/test"].value == pytest.approx(5 / 12)


def test_a_method_that_compares_no_texts_finds_films_by_films_alone():
    bare = {
        name: EmbeddedSet(one.pooled, None, one.labels, one.rows, one.manifest)
        for name, one in run_of().sets("test").items()
    }
    run, one = FakeRun({"test": bare}), evaluator()
    assert set(one.predict(run)["task"]) == {"image_image"}
    assert one.choose(run, None) == [
        "retrieval: no texts are used, because the method does not compare images with texts"
    ]


def test_unknown_classes_and_sets_without_queries_are_refused():
    with pytest.raises(Refused, match=r"nodul is not one of the labels \(did you mean 'nodule'\?\)"):
        evaluator(classes=["nodul"])
    with pytest.raises(Refused, match="test set queries: no film shows exactly one of the classes"):
        evaluator(classes=["edema"]).predict(run_of(queries=class_films("queries", 0, 1, [("nodule",)])))
    with pytest.raises(Refused, match=r"test set querys, which is not in data\.test"):
        evaluator(queries="querys").predict(run_of())
