"""A bundle decides by the very scores that its run's thresholds were chosen on, however the run was evaluated."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from runs.tiny import TINY
from support import compose_config

from anatomy_clip.anatomy.findings import FindingSet
from anatomy_clip.core.files import sha256_of
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.describe.bundle.export import export_run
from anatomy_clip.describe.bundle.folder import BUNDLE, SUMS, read_bundle
from anatomy_clip.describe.predictor import Describer
from anatomy_clip.evaluation.base import scores_and_targets
from anatomy_clip.inference.decisions import Decisions
from anatomy_clip.runs.stages import run
from anatomy_clip.stores.store import Store, write_store

SHOWN = [(("brain",), "head"), (("lungs", "heart"), "chest"), (("lungs",), "chest"), (("liver",), "abdomen")]
OWN = ("kidneys", "intestine", "pelvic bone", "knee", "foot")  # of a patient
DISPLAY = {"_target_": "anatomy_clip.imaging.intensity.Display", "level": 50, "width": 350, "low": 1, "high": 99}
EVALUATIONS = {
    "plain": [],
    "ensemble": ["eval=ensemble"],
    "prior": ["eval=label_prior"],
    "words": ["eval.zero_shot.prompts.organ_templates=['{organ}, as CT shows it']",
              "eval.captions.wording=['{modality} of {organ}','{modality}']", "eval.captions.seen=2"],
    "few": ["eval=label_prior", "+data.train_patients=2"],
}  # fmt: skip


def make_store(folder, patients):
    """Slices of CT, the last of a patient with an organ that no other shows."""
    rng = np.random.default_rng(sum(map(ord, folder.name)))
    records = [
        SliceRecord("test", folder.name, f"{folder.name}{p}", "s", "1", n, Modality.CT, Protocol.NONE,
                    Orientation.AXIAL, organs=organs, stations=(station,))
        for p in range(patients) for n, (organs, station) in enumerate([*SHOWN, ((OWN[p],), "abdomen")])
    ]  # fmt: skip
    write_store(folder, rng.integers(0, 256, (len(records), 32, 32), dtype=np.uint8), records,
                {"settings": {"display": DISPLAY}})  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    for name, patients in {"train": 5, "validation": 5, "set1": 2, "shifted": 1}.items():
        make_store(folder / name, patients)
    return folder


def evaluated(folder, name, *changes):
    """Train and evaluate a run; returns its folder."""
    tiny = [change for change in TINY if not change.startswith("eval=")]
    paths = [f"paths.data={folder}", f"paths.outputs={folder}/outputs", f"name={name}"]
    stages = ["stages=[fit,evaluate]", "eval.contrast=null"]
    run(compose_config("config", *tiny, *paths, *stages, *changes))
    return folder / "outputs" / "s" / name / "seed_0"


@pytest.mark.parametrize("name", EVALUATIONS)
def test_scores_and_decisions_are_those_of_the_evaluation(folder, name, tmp_path):
    made = evaluated(folder, name, *EVALUATIONS[name])
    bundle = export_run(made, tmp_path / "bundle")
    table = pd.read_parquet(made / "zero_shot_validation.parquet")
    images = Store.open(folder / "validation").images[table["row"].to_numpy()]
    taxonomy = bundle.taxonomy
    organ, _ = scores_and_targets(table, "organ", taxonomy.organs)
    station, _ = scores_and_targets(table, "station", taxonomy.stations)
    expected = Decisions.from_dict(json.loads((made / "decisions.json").read_text())).decide(organ, station)
    decided = bundle.decide(bundle.encoder()(bundle.preprocessing.input(images)))
    np.testing.assert_allclose(decided.organ_probabilities, expected.organ_probabilities, atol=1e-5)
    np.testing.assert_allclose(decided.station_probabilities, expected.station_probabilities, atol=1e-5)
    for field in ("organs", "stations", "abstained"):
        np.testing.assert_array_equal(getattr(decided, field), getattr(expected, field))
    with Describer(bundle) as describer:  # the front door, of two of them as pictures
        for n in (0, 3):
            cv2.imwrite(str(tmp_path / f"{n}.png"), images[n])
            (series,) = describer.describe(tmp_path / f"{n}.png", modality="CT", workers=0).series
            found = {one.name: one.score for one in series.slices[0].organs}
            assert series.slices[0].abstained == expected.abstained[n]
            named = {taxonomy.organs[k]: expected.organ_probabilities[n, k] for k in np.flatnonzero(expected.organs[n])}
            assert found == pytest.approx({} if expected.abstained[n] else named, abs=2e-4)
    check_captions(name, bundle)


def check_captions(name, bundle):
    """They are worded as the run was tested, of the patients that it was trained on."""
    texts = [caption.text for caption in bundle.captions]
    if name == "words":
        assert texts == ["CT of brain", "CT of liver"]  # of the four commonest the first by alphabet
    else:
        assert all(text.startswith("A axial oriented CT image of ") for text in texts)
        assert len(texts) == len(SHOWN) + (2 if name == "few" else len(OWN))


def test_the_prior_changes_what_is_decided(folder, tmp_path):
    """Without its offsets, the thresholds are those of other scores: what the bundle carries isn't idle."""
    bundle = export_run(evaluated(folder, "prior", *EVALUATIONS["prior"]), tmp_path / "bundle")
    images = Store.open(folder / "validation").images
    seen = bundle.encoder()(bundle.preprocessing.input(images))
    bare = replace(bundle, offsets={}).decide(seen)
    assert np.abs(bare.organ_probabilities - bundle.decide(seen).organ_probabilities).max() > 0.05


def copied(folder, name, tmp_path):
    return shutil.copytree(evaluated(folder, name, *EVALUATIONS[name]), tmp_path / "run")


def changed(path, change):
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content)))


def test_prompts_are_those_that_were_measured_where_the_config_changed_since(folder, tmp_path):
    made = copied(folder, "ensemble", tmp_path)
    cfg = OmegaConf.load(made / "config.yaml")
    cfg.eval.zero_shot.prompts.organ_templates = ["{organ}"]
    OmegaConf.save(cfg, made / "config.yaml")
    bundle = export_run(made, tmp_path / "bundle")
    assert bundle.prompts["organ"] == json.loads((made / "decisions.json").read_text())["prompts"]["organ"]
    assert len(bundle.prompts["organ"][0]) == 5


def test_what_cannot_be_exported_is_one_sentence(folder, tmp_path):
    made = copied(folder, "prior", tmp_path)
    whole = (made / "decisions.json").read_text()
    changed(made / "decisions.json", lambda d: {k: v for k, v in d.items() if k not in ("prompts", "offsets")})
    with pytest.raises(ValueError, match=r"chosen on scores with eval\.zero_shot\.label_prior.*overwrite=true"):
        export_run(made, tmp_path / "bundle")
    (made / "decisions.json").write_text("null")
    with pytest.raises(ValueError, match=r"decisions\.json: has no thresholds"):
        export_run(made, tmp_path / "bundle")
    (made / "decisions.json").write_text(whole)
    cfg = OmegaConf.load(made / "config.yaml")
    for change, message in (
        ({"eval": {"captions": None}}, r"has no evaluator captions"),
        ({"objective": {"_target_": "anatomy_clip.objectives.convirt.ConVIRT"}}, r"its objective, ConVIRT, compares"),
        ({"objective": {"_target_": "anatomy_clip.objectives.gloria.GLoRIA"}}, r"its objective, GLoRIA, compares"),
        (
            {"objective": {"_target_": "anatomy_clip.objectives.contrastive_binary.ContrastiveBinary"}},
            r"its objective, ContrastiveBinary, compares",
        ),
    ):
        OmegaConf.save(OmegaConf.merge(cfg, change), made / "config.yaml")
        with pytest.raises(ValueError, match=message):
            export_run(made, tmp_path / "bundle")
    OmegaConf.save(cfg, made / "config.yaml")
    state = torch.load(made / "last.ckpt", weights_only=True)
    state["recipe"]["taxonomy"] = FindingSet(["edema"]).to_dict()
    torch.save(state, made / "last.ckpt")
    (made / "decisions.json").unlink()  # no evaluator of radiographs leaves any
    with pytest.raises(ValueError, match="was trained on radiographs, but a bundle describes CT and MR"):
        export_run(made, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_bundle_of_version_1_adds_nothing_to_its_cosines(bundle_folder, tmp_path):
    old = shutil.copytree(bundle_folder, tmp_path / "old")
    changed(old / BUNDLE, lambda d: {k: v for k, v in d.items() if k != "offsets"} | {"version": 1})
    (old / SUMS).write_text("".join(f"{sha256_of(p)}  {p.name}\n" for p in sorted(old.iterdir()) if p.name != SUMS))
    bundle, seen = read_bundle(old), np.eye(read_bundle(old).embeddings["organ"].shape[1], dtype=np.float32)
    expected = bundle.decisions.decide(*(seen @ bundle.embeddings[kind].T for kind in ("organ", "station")))
    np.testing.assert_array_equal(bundle.decide(seen).organ_probabilities, expected.organ_probabilities)
    np.testing.assert_array_equal(read_bundle(bundle_folder).decide(seen).organs, expected.organs)
