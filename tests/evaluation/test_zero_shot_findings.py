"""Zero-shot findings against plain loops and scikit-learn, with texts embedded by hand."""

import zlib

import numpy as np
import pytest
import torch
from films import make_record
from sklearn.metrics import f1_score, roc_auc_score
from tested import FakeRun, embedded
from torch.nn.functional import normalize

from anatomy_clip.anatomy.findings import FindingSet
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.refusals import Refused
from anatomy_clip.evaluation.zero_shot_findings import ZeroShotFindings
from anatomy_clip.text.finding_prompts import finding_prompts

FINDINGS = ("nodule", "edema", "pneumothorax")
WIDTH = 12


def text_vector(text):
    return normalize(
        torch.as_tensor(np.random.default_rng(zlib.crc32(text.encode())).normal(size=WIDTH)), dim=0
    ).float()


def embed(texts, *, cut=False):
    return torch.stack([text_vector(text) for text in texts])


def films(split, count, seed):
    """Films near a prompt of the findings that they show; some labels are unknown."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 3)) < 0.3).astype(int)
    first = embed([finding_prompts(FINDINGS)[name].present[0] for name in FINDINGS]).numpy()
    features = rng.normal(size=(count, WIDTH)) * 0.6 + labels @ first
    labels[rng.random(labels.shape) < 0.2] = -1
    records = [make_record(n, split, patient=f"p{n // 2}") for n in range(count)]
    return embedded(features, records, finding=labels)


def run_of(**changes):
    roles = {"validation": {"films": films("validation", 40, 1)}, "test": {"test": films("test", 60, 2)}}
    return FakeRun(roles | changes, embed_texts=embed)


def evaluator(**arguments):
    return ZeroShotFindings(FindingSet(FINDINGS), resamples=50, **arguments)


def plain_scores(shown):
    """(N, F): the cosine of the best present prompt less that of the best absent one."""
    return np.array([
        [
            max(float(image @ text_vector(t)) for t in prompts.present)
            - max(float(image @ text_vector(t)) for t in prompts.absent)
            for prompts in finding_prompts(FINDINGS).values()
        ]
        for image in shown.embeddings
    ])  # fmt: skip


def test_scores_auroc_and_f1_are_those_of_plain_loops():
    run = run_of()
    one = evaluator()
    table = one.predict(run)
    (test,) = run.sets("test").values()
    scores, truth, named = plain_scores(test), test.labels["finding"], np.stack(table["named"])
    np.testing.assert_allclose(np.stack(table["scores"]), scores, atol=1e-6)
    cells = {cell.cell: cell for cell in one.score(table)}
    f1s, areas = [], []
    for k, finding in enumerate(FINDINGS):
        at = truth[:, k] >= 0
        areas.append(roc_auc_score(truth[at, k], scores[at, k]))
        f1s.append(f1_score(truth[at, k], named[at, k]))
        assert cells[f"zero_shot/global/auroc/test/{finding}"].value == pytest.approx(areas[-1])
        assert cells[f"zero_shot/global/f1/test/{finding}"].value == pytest.approx(f1s[-1])
        assert cells[f"zero_shot/global/f1/test/{finding}"].n == at.sum()
    for measure, values in (("auroc", areas), ("f1", f1s)):
        whole = cells[f"zero_shot/global/{measure}/test"]
        assert whole.value == pytest.approx(np.mean(values)) and whole.lo < whole.value < whole.hi


def test_thresholds_are_those_of_the_best_f1_on_validation_films():
    (validation,) = run_of().sets("validation").values()
    cells = {cell.cell: cell for cell in evaluator().score(evaluator().predict(run_of(test={"test": validation})))}
    for k, finding in enumerate(FINDINGS):
        known = validation.labels["finding"][:, k] >= 0
        scores, truth = plain_scores(validation)[known, k], validation.labels["finding"][known, k]
        best = max(f1_score(truth, scores >= limit) for limit in scores)
        assert cells[f"zero_shot/global/f1/test/{finding}"].value == pytest.approx(best)


def test_what_lifts_all_similarities_of_an_image_changes_nothing():
    run = run_of()
    before = np.stack(evaluator().predict(run)["scores"])
    compare = FakeRun.compare
    run.compare = lambda images, texts: {
        "global": compare(run, images, texts)["global"] + images[:, :1].double().numpy()
    }
    np.testing.assert_allclose(np.stack(evaluator().predict(run)["scores"]), before, atol=1e-9)


def test_each_film_alone_unless_scores_are_standardised_over_the_set():
    run = run_of()
    (whole,) = run.sets("test").values()
    few = run_of(test={"test": embedded(whole.pooled[:7], whole.records[:7], finding=whole.labels["finding"][:7])})
    ours, theirs = (np.stack(evaluator().predict(r)["scores"]) for r in (run, few))
    np.testing.assert_allclose(ours[:7], theirs, atol=1e-6)
    one = evaluator(set_wise=True)
    table = one.predict(run)
    together = np.stack(table["scores"])
    np.testing.assert_allclose(together.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(together.std(axis=0), 1)
    alone = {cell.cell: cell.value for cell in evaluator().score(evaluator().predict(run))}
    for cell in one.score(table):
        if "/auroc/" in cell.cell:
            assert cell.value == pytest.approx(alone[cell.cell])


def test_every_way_to_compare_has_rows_and_cells_of_its_own():
    run = run_of()
    compare = FakeRun.compare

    def both(images, texts):
        scores = compare(run, images, texts)["global"]
        return {"global": scores, "local": -scores}

    run.compare = both
    cells = [cell.cell for cell in evaluator().score(evaluator().predict(run))]
    assert {cell.split("/")[1] for cell in cells} == {"global", "local"} and len(cells) == 2 * 2 * 4


def test_a_finding_that_validation_never_shows_has_no_f1():
    (validation,) = run_of().sets("validation").values()
    labels = validation.labels["finding"].copy()
    labels[:, 1] = np.minimum(labels[:, 1], 0)
    run = run_of(validation={"films": embedded(validation.pooled, validation.records, finding=labels)})
    cells = {cell.cell: cell for cell in evaluator().score(evaluator().predict(run))}
    nothing = cells["zero_shot/global/f1/test/edema"]
    assert np.isnan(nothing.value) and nothing.n == 0
    others = [cells[f"zero_shot/global/f1/test/{name}"].value for name in ("nodule", "pneumothorax")]
    assert cells["zero_shot/global/f1/test"].value == pytest.approx(np.mean(others))


def test_no_validation_set_and_labels_of_slices_are_refused():
    with pytest.raises(Refused, match=r"data\.validation has no set"):
        evaluator().predict(run_of(validation={}))
    with pytest.raises(Refused, match="needs labels of findings"):
        ZeroShotFindings(Taxonomy.load("whole_body"))
