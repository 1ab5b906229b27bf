"""What every training by an objective keeps to: from composed configs, in a real Trainer."""

import lightning
import numpy as np
import pytest
import torch
from methods import FINDINGS, batch, wants
from support import compose_config

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.models.tokenizers import ClipTokenizer
from anatomy_clip.models.towers.text import TextTower
from anatomy_clip.objectives.moco import MoCo
from anatomy_clip.runs import wiring
from anatomy_clip.runs.wiring import build, build_data, build_model, build_objective, build_watchers
from anatomy_clip.stores.store import write_store
from anatomy_clip.training.module import TrainModule

TAXONOMY = Taxonomy.load("whole_body")
METHODS = {  # and the sizes of their parts
    "convirt": ("width=12",), "simclr": ("width=12",), "moco": ("width=12", "queue=40"), "gloria": (),
    "contrastive_binary": ("hidden=12",), "caption_transformer": ("width=16",), "caption_lstm": ("width=12",),
    "supervised": (), "supervised_classes": (),
}  # fmt: skip
OF_FILMS = {"finding": FINDINGS, "class": FINDINGS}
WITHOUT_TEXTS = ("simclr", "moco")
SIDE, SAMPLES, CONTEXT = 64, 6, 16  # four regions an image
SMALL = (  # a ResNet with norm statistics beside a small text tower
    f"model.vision.image_size={SIDE}", "model.embed_dim=16", "optim.scheduler.warmup_steps=1",
    f"model.text={{context_length:{CONTEXT},vocab_size:49408,width:16,heads:1,layers:1}}", f"data.batch_size={SAMPLES}",
    "data.workers=0", "model.weights=null",
)  # fmt: skip


def config(method, *overrides):
    own = [f"objective.{size}" for size in METHODS[method]]
    return compose_config("config", f"objective={method}", *SMALL, *own, *overrides)


@pytest.fixture(autouse=True)
def findings(monkeypatch):
    """Films have labels of findings and of classes."""
    names = wiring.label_names
    monkeypatch.setattr(wiring, "label_names", lambda taxonomy: {**names(taxonomy), **OF_FILMS})


def batches(method, count):
    return [batch(method, SAMPLES, SIDE, seed) for seed in range(count)]


def module_of(cfg):
    torch.manual_seed(0)
    model = build_model(cfg)
    objective = build_objective(cfg, TAXONOMY, model)
    return TrainModule(model, objective, **build(cfg.optim), validation_sets=[], recipe={})


def fit(module, batches, **options):
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=0, **options,
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(batches, batch_size=None))
    return trainer


def state(part):
    return {name: value.clone() for name, value in part.state_dict().items()}


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    changed = [name for name, value in expected.items() if not torch.equal(found[name], value)]
    assert not changed


@pytest.mark.parametrize("method", METHODS)
def test_a_frozen_encoder_is_bitwise_the_same_after_training_norm_statistics_too(method):
    module = module_of(config(method, "optim.prepare.frozen_image=all"))
    encoder, learned = state(module.model.image), state(module.objective)
    assert any(name.endswith("running_mean") for name in encoder)
    trainer = fit(module, batches(method, 4))
    assert trainer.global_step == 4
    assert_equal(state(module.model.image), encoder)
    own = [name for name, weight in module.objective.named_parameters() if weight.requires_grad]
    assert own and all(not torch.equal(module.objective.state_dict()[name], learned[name]) for name in own)
    if method == "moco":
        assert_equal(state(module.objective.momentum_encoder["tower"]), encoder)


@pytest.mark.parametrize("method", METHODS)
def test_without_freezing_the_encoder_and_its_statistics_do_change(method):
    module = module_of(config(method))
    encoder = state(module.model.image)
    fit(module, batches(method, 4))
    trained = {name for name, _ in module.model.image.named_parameters()}
    assert all(not torch.equal(module.model.image.state_dict()[n], v) for n, v in encoder.items() if n in trained)
    statistics = [name for name in encoder if name.endswith(("running_mean", "running_var"))]
    assert statistics
    assert all(not torch.equal(module.model.image.state_dict()[name], encoder[name]) for name in statistics)


def make_store(folder):
    records = [
        SliceRecord("s", "train", f"p{n}", "s", "1", 0, Modality.CT, Protocol.NONE, Orientation.AXIAL,
                    organs=("liver",), stations=("abdomen",))
        for n in range(2 * SAMPLES)
    ]  # fmt: skip
    images = np.random.default_rng(0).integers(0, 256, (len(records), SIDE, SIDE), dtype=np.uint8)
    write_store(folder, images, records, {})


@pytest.mark.parametrize("method", WITHOUT_TEXTS)
def test_a_method_without_texts_loads_no_tokens_and_builds_no_text_tower(method, tmp_path, monkeypatch):
    make_store(tmp_path / "train")

    def refuse(*_, **__):
        raise AssertionError("nobody asked for texts")

    monkeypatch.setattr(ClipTokenizer, "encode", refuse)
    monkeypatch.setattr(TextTower, "__init__", refuse)
    cfg = config(method, "prompts=augmented")
    cfg.data.update(train=[f"{tmp_path}/train"], validation={}, test={})
    model = build_model(cfg)
    assert model.text is None and list(model.towers()) == ["image"]
    assert build_watchers(cfg, TAXONOMY, model) == []
    data = build_data(cfg, TAXONOMY, model)
    data.setup("fit")
    made = next(iter(data.train_dataloader()))
    assert made.texts == {} and made.images.shape == (2 * SAMPLES, 1, SIDE, SIDE)
    assert len(made) == SAMPLES
    assert set(made.labels) == {"organ", "station", "modality"} and not wants(method).labels
    objective = build_objective(cfg, TAXONOMY, model)
    objective.setup(model)
    assert objective(model, made).loss.isfinite() and not objective.compares


def test_four_accumulated_batches_move_the_momentum_encoder_once_and_all_their_keys_enter_the_queue(monkeypatch):
    module = module_of(config("moco"))
    objective, keys, moved = module.objective, [], []
    encode, after = MoCo._keys, MoCo.after_optimizer_step

    def watched_keys(self, pixels):
        keys.append(encode(self, pixels))
        return keys[-1]

    def watched_step(self, model):
        before = [p.clone() for p in self.momentum_encoder.parameters()]
        after(self, model)
        now = [*model.image.parameters(), *self.head.parameters()]
        moved.append(len(keys))
        for old, new, followed in zip(before, self.momentum_encoder.parameters(), now, strict=True):
            torch.testing.assert_close(new, self.momentum * old + (1 - self.momentum) * followed, atol=1e-7, rtol=1e-6)

    monkeypatch.setattr(MoCo, "_keys", watched_keys)
    monkeypatch.setattr(MoCo, "after_optimizer_step", watched_step)
    trainer = fit(module, batches("moco", 8), accumulate_grad_batches=4)
    assert trainer.global_step == 2 and moved == [4, 8]
    joined = torch.cat(keys)  # 48 keys into a queue of 40
    assert int(objective.cursor) == 8
    assert torch.equal(objective.queue, torch.cat([joined[40:], joined[8:40]]))


@pytest.mark.parametrize("method", METHODS)
def test_every_weight_that_is_trained_gets_a_gradient(method):
    module = module_of(config(method))
    module.objective(module.model, batch(method, SAMPLES, SIDE)).loss.backward()
    assert not [name for name, weight in module.named_parameters() if weight.requires_grad and weight.grad is None]
    # the towers' residual branches begin at zero, and what lies below them gets a gradient of zeros at first
    own = {name: weight for name, weight in module.objective.named_parameters() if weight.requires_grad}
    assert own and not [name for name, weight in own.items() if not weight.grad.any()]


def test_labels_that_the_taxonomy_has_not_are_refused(monkeypatch):
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"^taxonomy: has no labels of finding, .* it has organ, station, modality$"):
        module_of(config("supervised"))
