"""The columns beyond the paper, by the real `run`."""

import numpy as np
import pandas as pd
import pytest
import torch
from support import compose_config

from anatomy_clip.anatomy.labels import label_matrices
from anatomy_clip.models.weights.averaging import average
from anatomy_clip.runs.folder import run_folder
from anatomy_clip.runs.stages import run
from anatomy_clip.runs.wiring import build, load_run
from anatomy_clip.stores.store import Store
from tests.integration.test_whole_path import TINY, weights

SHORT = [override for override in TINY if not override.startswith("eval.")]  # these columns have one evaluator


def config(data, outputs, *overrides):
    return compose_config("config", f"paths.data={data}", f"paths.outputs={outputs}", *SHORT, *overrides)


@pytest.fixture(scope="module")
def outputs(data, tmp_path_factory):
    """An outputs folder with the stand-in and the suite's PMC-MSA."""
    folder = tmp_path_factory.mktemp("outputs")
    run(config(data, folder, "experiment=table3/stand_in"))
    run(config(data, folder, "experiment=table3_plus/pmc_msa"))
    return folder


@pytest.mark.parametrize("name", ["same_caption", "soft_targets", "class_tokens", "balanced"])
def test_a_column_trains_to_other_weights(data, outputs, name):
    cfg = config(data, outputs, f"experiment=table3_plus/{name}")
    run(cfg)
    ours, base = weights(run_folder(cfg)), weights(outputs / "table3_plus/pmc_msa/seed_0")
    assert ours.keys() == base.keys()
    assert any(not torch.equal(ours[k], base[k]) for k in base)
    assert (run_folder(cfg) / "results.json").exists()


def test_wise_ft_lies_half_way_and_is_evaluated_as_such(data, outputs):
    cfg = config(data, outputs, "experiment=table3_plus/wise_ft")
    run(cfg)
    found = weights(run_folder(cfg))
    base, tuned = (weights(outputs / f / "seed_0") for f in ("table3/stand_in", "table3_plus/pmc_msa"))
    for name, tensor in found.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (base[name] + tuned[name]) / 2, atol=1e-6, rtol=1e-5)
        else:
            assert torch.equal(tensor, tuned[name])
    model, objective = load_run(cfg, run_folder(cfg), build(cfg.taxonomy))
    for owner, part in (("model", model), ("objective", objective)):
        for name, tensor in part.state_dict().items():
            torch.testing.assert_close(tensor, found[f"{owner}.{name}"])


def test_the_label_prior_ranks_by_training_frequency(data, outputs):
    base = pd.read_parquet(outputs / "table3_plus/pmc_msa/seed_0/zero_shot.parquet")
    cfg = config(data, outputs, "experiment=table3_plus/label_prior")
    run(cfg)
    ours = pd.read_parquet(run_folder(cfg) / "zero_shot.parquet")
    taxonomy = build(cfg.taxonomy)
    records = Store.open(data / "phantom/train").manifest
    scale = weights(outputs / "table3_plus/pmc_msa/seed_0")["objective.logit_scale"].exp().item()
    for kind in ("organ", "station"):
        labels = label_matrices(records, taxonomy)[kind] == 1
        share = (labels.sum(axis=0) + 0.5) / (len(labels) + 1)
        wanted = np.stack(base[f"{kind}_scores"]) + np.log(share) / scale
        np.testing.assert_allclose(np.stack(ours[f"{kind}_scores"]), wanted, atol=1e-5)


def test_several_prompts_are_another_ruler(data, outputs):
    cfg = config(data, outputs, "experiment=table3_plus/prompt_ensemble")
    run(cfg)
    ours = pd.read_parquet(run_folder(cfg) / "zero_shot.parquet")
    base = pd.read_parquet(outputs / "table3_plus/pmc_msa/seed_0/zero_shot.parquet")
    assert ours[["set", "row"]].equals(base[["set", "row"]])
    assert not np.allclose(np.stack(ours["organ_scores"]), np.stack(base["organ_scores"]))


def test_averages_that_make_no_sense_are_refused(data, outputs, tmp_path):
    path = outputs / "table3_plus/pmc_msa/seed_0/last.ckpt"
    other = tmp_path / "other.ckpt"
    torch.save({"state_dict": {"model.x": torch.zeros(2)}}, other)
    with pytest.raises(ValueError, match=r"shares=\[0.5\]"):
        average([path, path], [0.5])
    with pytest.raises(ValueError, match="a different network"):
        average([other, path], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"average\.checkpoints"):
        run(config(data, outputs, "stages=[average]", "suite=no_average"))
    with pytest.raises(ValueError, match="both set the weights"):
        build(config(data, outputs).data, shares={"phantom": 1.0}, rare_below=0.1, taxonomy=None, texts=None,
              augment=None)  # fmt: skip
