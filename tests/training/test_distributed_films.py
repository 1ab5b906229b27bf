"""Two ranks under Lightning's DDP train on films, by every method, as one process does with their batches together."""

from functools import partial

import lightning
import pytest
import torch
from films import SIDE, make_film_store
from ranks import on_two_ranks
from support import compose_config

from anatomy_clip.runs.wiring import build, build_data, build_model, build_objective, build_watchers
from anatomy_clip.training.module import TrainModule
from anatomy_clip.training.optim import warmup_cosine

# A vision transformer: it has no statistics of a batch, which sync_batchnorm would need a GPU for.
TINY = (
    f"model.vision.image_size={SIDE}", "+model.vision.patch_size=8", "+model.vision.width=32", "+model.vision.layers=1",
    "+model.vision.head_width=32", "model.embed_dim=16",
    "~model.vision.timm_model_name", "~model.vision.timm_pool", "~model.vision.timm_proj", "data.workers=0",
    "model.text={words: true, width: 16, heads: 2, layers: 1, context_length: 20, pool: max}",
    "~data.test.retrieval", "~data.test.queries",
)  # fmt: skip
METHODS = {  # and what a rank draws by itself: dropout, and the order of queue rows within a step
    "convirt": (), "clip": (), "simclr": (), "gloria": (), "contrastive_binary": (), "caption_lstm": (),
    "caption_transformer": ("objective.dropout=0",), "supervised": (), "moco": ("objective.queue=32",),
}  # fmt: skip


def fit(data, ranks, method):
    """Train 2 steps on 20 films, 4 of which are left over, and validate on 12."""
    cfg = compose_config(
        "config", f"experiment=pretraining/{method}", f"paths.data={data}", f"data.batch_size={8 // ranks}", *TINY,
        *METHODS[method],
    )  # fmt: skip
    torch.manual_seed(0)
    taxonomy = build(cfg.taxonomy)
    model = build_model(cfg)
    module = TrainModule(
        model, build_objective(cfg, taxonomy, model),
        lambda modules: torch.optim.SGD([p for m in modules for p in m.parameters() if p.requires_grad], lr=0.1),
        partial(warmup_cosine, warmup_steps=0), watchers=build_watchers(cfg, taxonomy, model),
        validation_sets=["films"], recipe={},
    )  # fmt: skip
    trainer = lightning.Trainer(
        accelerator="cpu", devices=ranks, strategy="ddp" if ranks > 1 else "auto", max_epochs=1, logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, num_sanity_val_steps=0,
        use_distributed_sampler=False, gradient_clip_val=1.0,
    )  # fmt: skip
    trainer.fit(module, datamodule=build_data(cfg, taxonomy, model))
    assert trainer.world_size == ranks and trainer.global_step == 2
    metrics = {k: v.item() for k, v in trainer.callback_metrics.items() if k.startswith("validation")}
    state = {name: value.clone() for name, value in module.state_dict().items()}
    if method == "moco":  # the keys of a step stand rank by rank
        queue = state["objective.queue"]
        state["objective.queue"] = queue[queue[:, 0].argsort()]
    return metrics, state


def rank_fits(data, rank):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_RANK", str(rank))  # as a cluster's launcher does
        return {method: fit(data, 2, method) for method in METHODS}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for split, count in (("train", 20), ("validation", 12), ("test", 4), ("shifted", 4)):
        make_film_store(folder / "films" / split, count)
    return folder


@pytest.fixture(scope="module")
def ranks(data, tmp_path_factory):
    """What each of two ranks has after its trainings."""
    return on_two_ranks(partial(rank_fits, data), tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("method", METHODS)
def test_two_ranks_of_4_equal_one_of_8(data, ranks, method):
    metrics, state = fit(data, 1, method)
    assert metrics
    for rank_metrics, rank_state in (one[method] for one in ranks):
        assert rank_metrics == pytest.approx(metrics, abs=1e-5)
        assert rank_state.keys() == state.keys()
        for name, value in state.items():
            torch.testing.assert_close(rank_state[name], value, atol=2e-6, rtol=1e-4, msg=name)
