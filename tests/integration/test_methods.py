"""ConVIRT and SimCLR by the real `run`: each is tested by what it can do."""

import json

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import normalize

from anatomy_clip.models.tokenizers import tokenize
from anatomy_clip.runs.folder import run_folder
from anatomy_clip.runs.stages import run
from anatomy_clip.runs.wiring import build, build_data, load_run
from anatomy_clip.stores.store import Store
from tests.integration.test_whole_path import config

SMALL = ["model.weights=null", "objective.width=8", "eval=[zero_shot,linear_probe]", "trainer.max_steps=4",
         "eval.contrast=null", "eval.captions.beam=0", "~data.test.shifted"]  # fmt: skip


def trained(data, outputs, method):
    cfg = config(data, outputs, f"objective={method}", f"suite={method}", *SMALL)
    run(cfg)
    results = json.loads((run_folder(cfg) / "results.json").read_text())
    probed = pd.read_parquet(run_folder(cfg) / "linear_probe.parquet")
    slices = len(Store.open(data / "phantom/set1").manifest)
    assert probed.groupby(["share", "draw"]).size().tolist() == [slices, slices]  # 10 % and all of the patients
    assert [score["cell"] for score in results["scores"]["linear_probe"]] == [
        "probe/organ/10/set1",
        "probe/organ/100/set1",
    ]
    return cfg, results


def test_convirt_names_organs_through_its_heads(data, tmp_path):
    cfg, results = trained(data, tmp_path, "convirt")
    assert {"test/organ/set1_ct", "test/organ/set1_mr"} <= {s["cell"] for s in results["scores"]["zero_shot"]}
    taxonomy = build(cfg.taxonomy)
    model, objective = load_run(cfg, run_folder(cfg), taxonomy)
    model.eval(), objective.eval()
    table = pd.read_parquet(run_folder(cfg) / "zero_shot.parquet")
    names = tokenize(
        [f"An image of {organ} organs" for organ in taxonomy.organs], model.context_length, model.tokenizer
    )
    with torch.no_grad():
        text = normalize(objective.text_head(model.encode_text(names).pooled), dim=-1)
    test_data = build_data(cfg, taxonomy, model)
    test_data.setup("test")
    loader, _ = test_data.test_sets()["set1"]
    for batch in loader:
        with torch.no_grad():
            features = model.encode_image(batch.images)
            image = normalize(objective.image_head(features.pooled), dim=-1)
        assert features.embedding is None  # the towers project into no joint space
        rows = table.set_index("row").loc[batch.rows.tolist(), "organ_scores"]
        np.testing.assert_allclose(np.stack(rows), (image @ text.T).numpy(), atol=1e-5)


def test_simclr_is_left_out_of_zero_shot_with_a_note_and_is_probed(data, tmp_path):
    cfg, results = trained(data, tmp_path, "simclr")
    note = "zero_shot is left out: SimCLR does not compare images with texts"
    assert note in results["notes"]["zero_shot"] and results["scores"]["zero_shot"] == []
    assert results["notes"]["captions"] == ["captions is left out: SimCLR does not compare images with texts"]
    assert not (run_folder(cfg) / "zero_shot.parquet").exists()
    assert not list(run_folder(cfg).glob("*validation*")) and not (run_folder(cfg) / "decisions.json").exists()
