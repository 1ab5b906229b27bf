"""What encoders of films are measured by, from config to results, on a few small films."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from films import SIDE, make_record
from restart_runs import finish
from support import compose_config

from anatomy_clip.cli.results import main as results_of
from anatomy_clip.core.radiographs import Finding
from anatomy_clip.core.terms import State
from anatomy_clip.runs import stages
from anatomy_clip.runs.folder import run_folder
from anatomy_clip.runs.tested import Tested
from anatomy_clip.stores.store import MASKS, write_store

CLASSES = ("no_finding", "consolidation", "covid_pattern")
TINY = (
    f"model.vision.image_size={SIDE}", "model.embed_dim=16", "optim.scheduler.warmup_steps=0", "data.batch_size=4",
    "model.text={words: true, width: 16, heads: 2, layers: 1, context_length: 20, pool: max}", "data.workers=0",
    "trainer.max_steps=1", "+trainer.enable_progress_bar=false", "resamples=5", "eval.retrieval.cutoffs=[2]",
    "eval.linear_probe.draws=2", "eval.class_probe.draws=2",
)  # fmt: skip
LONG = "There is a small effusion. " * 6


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Stores of films that show one class each, in turn."""
    folder = tmp_path_factory.mktemp("data")
    for split in ("train", "validation", "test", "shifted", "retrieval", "queries"):
        records = [
            make_record(n, split, image=f"{split}-{n}", findings={
                name: Finding(State.POSITIVE if name == CLASSES[n % 3] else State.NEGATIVE) for name in CLASSES
            }, masks=CLASSES[1:])
            for n in range(12)
        ]  # fmt: skip
        images = np.random.default_rng(sum(map(ord, split))).integers(0, 256, (12, SIDE, SIDE), np.uint8)
        masks = np.zeros((12, SIDE, SIDE), np.uint8)
        masks[:, 4:20, 8:12] = 0b11  # of each class but no_finding
        write_store(folder / "films" / split, images, records, {MASKS: CLASSES[1:]}, {MASKS: masks})
    return folder


def config(data, outputs, objective, *overrides):
    return compose_config(
        "config", "experiment=pretraining/convirt", f"objective={objective}", f"name={objective}", "eval=pretraining",
        f"paths.data={data}", f"paths.outputs={outputs}", *TINY, *overrides,
    )  # fmt: skip


def evaluated(data, outputs, objective, *overrides):
    """A run of one step, evaluated by all evaluators of films."""
    cfg = config(data, outputs, objective, *overrides)
    stages.run(cfg)
    folder = run_folder(cfg)
    results = folder / "results.json"
    return Tested(cfg, folder), folder, json.loads(results.read_text()) if results.exists() else {}


def test_a_method_with_several_ways_to_compare_has_cells_of_each(data, tmp_path):
    _, folder, results = evaluated(data, tmp_path, "gloria", "eval.retrieval.cutoffs=[2,10]")
    cells = {score["cell"]: score for scores in results["scores"].values() for score in scores}
    for way in ("global", "local", "both"):
        assert {f"zero_shot/{way}/auroc/test", f"retrieval/image_report/{way}/r_at_2/shifted"} <= cells.keys()
    assert cells["retrieval/image_image/pooled/p_at_2/queries"]["n"] == 8  # covid_pattern is none of its classes
    assert cells["probe/finding/100/test"]["n"] == cells["classes/accuracy/100/test"]["n"] == 12
    for measure in ("pointing", "iou_randomised", "rank_correlation"):
        assert cells[f"saliency/pair/word_attention/{measure}/shifted"]["n"] == 8
    share = 16 * 4 / SIDE**2
    assert cells["saliency/chance/iou/test/consolidation"]["value"] == pytest.approx(share / (2 - share))
    rows = pd.read_parquet(folder / "linear_probe.parquet")
    assert set(rows["set"]) == {"test", "shifted"} and set(rows[rows["share"] == 0.01]["draw"]) == {0, 1}
    absent = ["test set nih was missing", "folds_probe: there is no test set nih"]
    assert results["notes"]["folds_probe"] == absent and results["scores"]["folds_probe"] == []
    results_of(compose_config("results", "suite=pretraining", "table=pretraining", f"paths.outputs={tmp_path}"))
    table = pd.read_csv(folder.parents[1] / "summary.csv")
    wanted = {"all_1", "pneumonia_100", "covid_10", "image_image", "text_image", "prompts", "pneumonia", "report"}
    assert wanted <= set(table["measure"]) and "zero_shot/both/auroc/test" in set(table["cell"])
    assert "30 %" not in (folder.parents[1] / "claims.md").read_text()  # of columns that weren't run
    assert "probe/finding/1/test/limb_fracture_by_study" in cells  # no film of these shows one


def test_a_method_that_compares_nothing_has_what_needs_no_texts(data, tmp_path):
    _, folder, results = evaluated(data, tmp_path, "simclr")
    assert not (folder / "zero_shot_findings.parquet").exists() and results["scores"]["zero_shot_findings"] == []
    assert {score["cell"].split("/")[1] for score in results["scores"]["retrieval"]} == {"image_image"}
    assert results["notes"]["retrieval"][1:] == [
        "retrieval: no texts are used, because the method does not compare images with texts"
    ]
    assert {score["cell"].split("/")[1] for score in results["scores"]["saliency"]} == {"chance", "probe"}
    assert results["notes"]["saliency"][1:] == [
        "saliency: there is no score of a pair, because the method does not compare images with texts"
    ]


def test_the_same_encoder_and_seed_give_the_same_tables_to_the_bit_in_another_process(data, tmp_path):
    _, folder, _ = evaluated(data, tmp_path / "one", "gloria")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    again = config(data, tmp_path / "two", "gloria")
    for path in run_folder(again).glob("*.parquet"):
        path.unlink()
    steps = json.loads((run_folder(again) / "stages.json").read_text())
    (run_folder(again) / "stages.json").write_text(json.dumps({"fit": steps["fit"]}))
    finish(again)
    tables = sorted(path.name for path in folder.glob("*.parquet"))
    names = ("class_probe", "folds_probe", "linear_probe", "retrieval", "saliency", "zero_shot_findings")
    assert tables == [f"{name}.parquet" for name in names]
    for name in tables:
        assert (folder / name).read_bytes() == (run_folder(again) / name).read_bytes(), name


def test_a_probe_is_the_same_for_any_batch_size_of_evaluation_and_learns_from_no_test_film(data, tmp_path):
    one, folder, _ = evaluated(data, tmp_path, "simclr", "eval={retrieval: null, zero_shot_findings: null}")
    table = pd.read_parquet(folder / "linear_probe.parquet")
    for size in (1, 5):
        cfg = one.cfg.copy()
        cfg.data.batch_size = size
        other = Tested(cfg, folder)
        for role in ("train", "test"):
            for name, films in one.sets(role).items():
                torch.testing.assert_close(other.sets(role)[name].pooled, films.pooled, rtol=1e-5, atol=1e-6)
        found = other.evaluators["linear_probe"].predict(other)
        assert list(found["labelled"].map(list)) == list(table["labelled"].map(list))
        np.testing.assert_allclose(np.stack(found["scores"]), np.stack(table["scores"]), atol=1e-3)
    films = one.sets("test")["test"]
    one.sets("test")["test"] = replace(films, labels={"finding": 1 - films.labels["finding"]}, pooled=-films.pooled)
    found = one.evaluators["linear_probe"].predict(one)
    same = found["set"] == "shifted"
    assert np.array_equal(np.stack(found[same]["scores"]), np.stack(table[same]["scores"]), equal_nan=True)
    assert not np.array_equal(np.stack(found[~same]["scores"]), np.stack(table[~same]["scores"]), equal_nan=True)


def test_long_reports_are_cut_at_a_sentence_and_equal_reports_compare_equally(data, tmp_path):
    one, _, _ = evaluated(
        data, tmp_path, "convirt", "eval={linear_probe: null, retrieval: null, zero_shot_findings: null}"
    )
    whole, cut = one.embed_texts([LONG, "There is a small effusion."], cut=True)
    shorter = one.embed_texts([("There is a small effusion. " * 3).strip()])[0]
    assert np.allclose(whole, shorter, atol=1e-5) and not np.allclose(whole, cut, atol=1e-5)
    with pytest.raises(ValueError, match="token"):
        one.embed_texts([LONG])
    films = one.sets("test")["test"]
    found = one.compare(films.compared, one.embed_texts(["Left effusion."]))
    cosines = films.compared.double().numpy() @ one.embed_texts(["Left effusion."]).double().numpy().T
    assert list(found) == ["global"] and np.allclose(found["global"], cosines, atol=1e-6)


def test_a_run_gives_masks_as_large_as_its_films_and_random_weights_of_its_seed(data, tmp_path):
    one, _, _ = evaluated(data, tmp_path, "simclr", f"model.vision.image_size={SIDE // 2}", "eval={}", "stages=[fit]")
    batches = list(one.films("test"))
    assert [len(batch) for batch, _ in batches] == [4, 4, 4]
    for batch, masks in batches:
        assert batch.images.shape == (4, 1, SIDE // 2, SIDE // 2)
        expected = np.zeros((SIDE // 2, SIDE // 2), bool)
        expected[2:10, 4:6] = True
        assert all((each["consolidation"] == expected).all() and len(each) == 2 for each in masks)
    state = torch.get_rng_state()
    first, again = (dict(one.randomised().image.named_parameters()) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    own = dict(one.trained[0].image.named_parameters())
    assert first.keys() == own.keys() and all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], own[name]) for name in own if own[name].ndim > 1)
