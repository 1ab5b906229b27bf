"""Every method on a few small films with reports, from config to checkpoint, killed on its way or not."""

import os
import signal
from copy import deepcopy
from functools import cache

import pytest
import torch
from films import SIDE, make_film_store, make_record
from restart_runs import finish, logs, start
from support import compose_config

from anatomy_clip.models.tokenizers import tokenize_texts
from anatomy_clip.runs.folder import run_folder
from anatomy_clip.runs.stages import run
from anatomy_clip.runs.wiring import build, build_model, load_run, wants_of
from anatomy_clip.training.module import TrainModule

TINY = (
    f"model.vision.image_size={SIDE}", "model.embed_dim=16", "optim.scheduler.warmup_steps=0", "data.batch_size=4",
    "model.text={words: true, width: 16, heads: 2, layers: 1, context_length: 20, pool: max}", "data.workers=0",
    "trainer.max_epochs=2", "checkpoint_every=2", "+trainer.enable_progress_bar=false", "stages=[fit]",
    "~data.test.retrieval", "~data.test.queries",
)  # fmt: skip
OWN = {  # method -> the parts of it that a checkpoint keeps
    "convirt": {"image_head", "text_head"}, "clip": {"logit_scale"}, "simclr": {"head"}, "supervised": {"head"},
    "moco": {"head", "momentum_encoder", "queue", "cursor"}, "gloria": {"project"},
    "contrastive_binary": {"image_half", "text_half", "last"},
    "caption_transformer": {"regions", "words", "places", "norm", "output_bias", "decoders"},
    "caption_lstm": {"words", "start", "attention_of_regions", "attention_of_state", "attention", "gate", "cell",
                     "from_state", "from_seen", "output"},
}  # fmt: skip
METHODS = tuple(OWN)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for split in ("train", "validation", "test", "shifted"):
        make_film_store(folder / "films" / split, count=12)
    return folder


def config(data, outputs, method="convirt", *overrides):
    queue = ["objective.queue=8", "objective.parts=1"] if method == "moco" else []
    paths = (f"paths.data={data}", f"paths.outputs={outputs}")
    return compose_config("config", f"experiment=pretraining/{method}", *paths, *TINY, *queue, *overrides)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """The config of a run of a method that never stopped; each is made when it is first asked for."""

    @cache
    def made(method):
        cfg = config(data, tmp_path_factory.mktemp(method), method)
        run(cfg)
        return cfg

    return made


def state(cfg):
    return torch.load(run_folder(cfg) / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_on_films_and_loads_again(method, whole):
    cfg = whole(method)
    saved = state(cfg)
    assert saved["global_step"] == 6 and saved["recipe"]["finished"]
    wants = wants_of(cfg)
    assert ("vocabulary" in saved["recipe"]["model"]) == bool(wants.texts)
    assert any(name.startswith("model.text.") for name in saved["state_dict"]) == wants.compares
    model, objective = load_run(cfg, run_folder(cfg), build(cfg.taxonomy))
    for name, value in model.state_dict().items():
        assert torch.equal(value, saved["state_dict"][f"model.{name}"]), name
    if wants.compares:
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


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_goes_on_to_the_very_checkpoint_and_logs(method, data, whole, tmp_path, monkeypatch):
    killed = config(data, tmp_path, method)
    original, calls = TrainModule.training_step, []

    def step(self, *args):
        calls.append(1)
        if len(calls) == 6:  # the third step of the second epoch; the second one is done again
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(TrainModule, "training_step", step)
        child = start(killed)
        child.join()
    assert child.exitcode == -signal.SIGKILL and state(killed)["global_step"] == 4
    finish(killed)
    expected, found = state(whole(method))["state_dict"], state(killed)["state_dict"]
    assert expected.keys() == found.keys()
    assert [name for name, value in expected.items() if not torch.equal(found[name], value)] == []
    assert {name.split(".")[1] for name in expected if name.startswith("objective.")} == OWN[method]
    assert logs(killed) == logs(whole(method))


def test_the_words_of_a_finished_run_stay_its_own_when_a_store_has_others(whole, tmp_path):
    cfg = deepcopy(whole("convirt"))
    other = make_film_store(tmp_path / "films" / "train", report={"impression": "Entirely different words here."})
    cfg.data.train = [str(other)]
    model, _ = load_run(cfg, run_folder(cfg), build(cfg.taxonomy))
    assert "effusion" in model.tokenizer.vocabulary and "entirely" not in model.tokenizer.vocabulary


def test_a_label_set_of_other_policies_is_another_one(data, whole):
    cfg = whole("convirt")
    changed = config(data, cfg.paths.outputs, "convirt", "+taxonomy.uncertain.edema=1")
    with pytest.raises(ValueError, match="was trained with another taxonomy than 'findings'"):
        load_run(changed, run_folder(cfg), build(changed.taxonomy))


def test_a_run_that_starts_from_one_which_saw_a_test_patient_is_refused(data, whole, tmp_path):
    known = make_record(3).patient
    store = make_film_store(tmp_path / "known", 1, patient=known.upper().replace("-", " "))
    start = f"init.image={run_folder(whole('convirt'))}"
    cfg = config(data, tmp_path, "supervised", start, f"data.test.test={store}")
    cfg.data.train = [str(make_film_store(tmp_path / "films" / "others"))]  # nobody of these is tested on
    with pytest.raises(
        ValueError, match=r"test set 'test' has 1 patient\(s\) on whom this run, or a run that it started"
    ):
        run(cfg)
