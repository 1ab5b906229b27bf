"""`anatomy-clip export-weights` on a run's folder."""

import json
from pathlib import Path

import open_clip
import pytest
import torch
from models.clips import open_clip_embeds, ours_embeds, pictures
from omegaconf import OmegaConf
from support import compose_config

from anatomy_clip.cli.export_weights import main as export_run
from anatomy_clip.runs.wiring import build, recipe

TEXT = "model.text={context_length:77,vocab_size:49408,width:32,heads:1,layers:1}"


@pytest.fixture
def outputs(tmp_path):
    """An outputs folder with one finished run of a tiny vision transformer, and the embeddings of its model."""
    cfg = compose_config("config", "experiment=table3/pmc_msa", "model=tiny_vit", "model.vision.layers=1", TEXT,
                         "model.weights=/home/someone/stand_in.ckpt", f"paths.outputs={tmp_path}")  # fmt: skip
    folder = tmp_path / "table3" / "pmc_msa" / "seed_0"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(cfg, resolve=False))
    torch.manual_seed(0)
    model = build(cfg.model, weights=None, _convert_="all").eval()
    made = recipe(cfg, build(cfg.taxonomy), model) | {"finished": True}
    state = {f"model.{key}": value for key, value in model.state_dict().items()}
    torch.save(
        {"recipe": made, "state_dict": state | {"objective.logit_scale": torch.tensor(3.0)}}, folder / "last.ckpt"
    )
    score = {"cell": "test/organ/set1_ct", "value": 0.75, "lo": 0.7, "hi": 0.8, "n": 10}
    (folder / "results.json").write_text(json.dumps({"scores": {"zero_shot": [score]}}))
    return tmp_path, ours_embeds(model, pictures(96))


def test_a_run_becomes_a_model_of_open_clip_with_its_card(outputs):
    folder, expected = outputs
    cfg = compose_config("export", f"paths.outputs={folder}")
    export_run(cfg)
    theirs = open_clip.create_model(f"local-dir:{cfg.to}").eval()
    for found, wanted in zip(open_clip_embeds(theirs, pictures(96)), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
    assert theirs.logit_scale.item() == 3.0
    card = (Path(cfg.to) / "README.md").read_text()
    for words in ("table3/pmc_msa, seed 0", "Started from: stand_in.ckpt.", "phantom/train", "| 75.0 |", "An image of",
                  "Not for diagnosis", "clahe", "belong to {station} region"):  # fmt: skip
        assert words in card
    assert "/home" not in card
    with pytest.raises(ValueError, match="already exists"):
        export_run(cfg)
    export_run(compose_config("export", f"paths.outputs={folder}", "layout=transformers"))
    assert (folder / "export/table3/pmc_msa/seed_0/transformers/vocab.json").exists()


def test_a_run_that_is_not_there_or_has_no_weights_is_named(outputs):
    folder, _ = outputs
    with pytest.raises(ValueError, match=r"seed_1: has no config.yaml; run=<suite>"):
        export_run(compose_config("export", f"paths.outputs={folder}", "run=table3/pmc_msa/seed_1"))
    (folder / "table3/pmc_msa/seed_0/last.ckpt").unlink()
    with pytest.raises(ValueError, match=r"has no last.ckpt; .*with the stage fit"):
        export_run(compose_config("export", f"paths.outputs={folder}"))
