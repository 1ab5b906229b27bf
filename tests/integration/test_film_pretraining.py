"""Image-text methods on a few small films with reports, from config to checkpoint."""

import pytest
import torch
from films import SIDE, make_film_store
from support import compose_config

from anatomy_clip.models.tokenizers import tokenize_texts
from anatomy_clip.objectives.convirt import ConVIRT
from anatomy_clip.runs.folder import run_folder
from anatomy_clip.runs.stages import run
from anatomy_clip.runs.wiring import build, build_model, load_run, wants_of

TINY = (
    f"model.vision.image_size={SIDE}", "model.embed_dim=16", "optim.scheduler.warmup_steps=0", "data.batch_size=4",
    "model.text={words: true, width: 16, heads: 2, layers: 1, context_length: 20, pool: max}", "data.workers=0",
    "trainer.max_epochs=2", "checkpoint_every=1", "+trainer.enable_progress_bar=false", "stages=[fit]",
    "~data.test.retrieval", "~data.test.queries",
)  # fmt: skip
METHODS = ("convirt", "clip", "simclr", "moco")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for split in ("train", "validation", "test", "shifted"):
        make_film_store(folder / "films" / split)
    return folder


def config(data, outputs, method="convirt", *overrides):
    queue = ["objective.queue=8", "objective.parts=1"] if method == "moco" else []
    paths = (f"paths.data={data}", f"paths.outputs={outputs}")
    return compose_config("config", f"experiment=pretraining/{method}", *paths, *TINY, *queue, *overrides)


def state(cfg):
    return torch.load(run_folder(cfg) / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_on_films_and_loads_again(method, data, tmp_path):
    cfg = config(data, tmp_path, method)
    run(cfg)
    saved = state(cfg)
    assert saved["global_step"] == 4 and saved["recipe"]["finished"]
    texts = bool(wants_of(cfg).texts)
    assert ("vocabulary" in saved["recipe"]["model"]) == texts
    assert any(name.startswith("model.text.") for name in saved["state_dict"]) == texts
    model, objective = load_run(cfg, run_folder(cfg), build(cfg.taxonomy))
    for name, value in model.state_dict().items():
        assert torch.equal(value, saved["state_dict"][f"model.{name}"]), name
    if texts:
        texts = tokenize_texts(["A small left effusion.", "Unheard of words"], 20, model.tokenizer)
        tokens = texts.ids
        assert tokens[0].tolist()[1:-1] == [
            4 + model.tokenizer.vocabulary.index(w) for w in "a small left effusion".split()
        ]
        assert tokens[1].tolist() == [1, 3, 3, 3, 2, 0]
        assert objective.eval().embed_texts(model.eval().encode_text(tokens), texts).shape[0] == 2


def test_a_seed_gives_every_method_the_same_image_tower(data, tmp_path):
    towers = []
    for method in METHODS:
        torch.manual_seed(0)
        towers.append(build_model(config(data, tmp_path, method)).image.visual.trunk.state_dict())
    for tower in towers[1:]:
        shared = tower.keys() & towers[0].keys()
        assert len(shared) > 50 and all(torch.equal(tower[name], towers[0][name]) for name in shared)


def test_a_run_that_broke_off_ends_as_one_that_did_not(data, tmp_path, monkeypatch):
    whole, broken = config(data, tmp_path / "whole"), config(data, tmp_path / "broken")
    run(whole)
    forward, calls = ConVIRT.forward, []

    def failing(self, model, batch):
        calls.append(batch.rows)
        if len(calls) == 3:
            raise RuntimeError("broke off")
        return forward(self, model, batch)

    monkeypatch.setattr(ConVIRT, "forward", failing)
    with pytest.raises(RuntimeError, match="broke off"):
        run(broken)
    assert state(broken)["global_step"] == 2
    monkeypatch.setattr(ConVIRT, "forward", forward)
    run(broken)
    expected, found = state(whole)["state_dict"], state(broken)["state_dict"]
    assert expected.keys() == found.keys() and all(torch.equal(found[name], value) for name, value in expected.items())


def test_the_words_of_a_finished_run_stay_its_own_when_a_store_has_others(data, tmp_path):
    cfg = config(data, tmp_path)
    run(cfg)
    other = make_film_store(tmp_path / "films" / "train", report={"impression": "Entirely different words here."})
    cfg.data.train = [str(other)]
    model, _ = load_run(cfg, run_folder(cfg), build(cfg.taxonomy))
    assert "effusion" in model.tokenizer.vocabulary and "entirely" not in model.tokenizer.vocabulary


def test_a_label_set_of_other_policies_is_another_one(data, tmp_path):
    cfg = config(data, tmp_path)
    run(cfg)
    changed = config(data, tmp_path, "convirt", "+taxonomy.uncertain.edema=1")
    with pytest.raises(ValueError, match="was trained with another taxonomy than 'findings'"):
        load_run(changed, run_folder(cfg), build(changed.taxonomy))
