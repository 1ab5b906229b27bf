"""What decides a run's numbers, and what doesn't."""

import pytest
from support import compose_config

from anatomy_clip.core.trees import differences
from anatomy_clip.runs.folder import claim, training_config


@pytest.fixture
def claimed(tmp_path):
    claim(compose_config("config"), tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "change",
    [
        "trainer.accelerator=gpu", "trainer.devices=[3]", "trainer.devices={_target_: x.free_gpu}",
        "+trainer.enable_progress_bar=false", "trainer.log_every_n_steps=1", "data.workers=7", "paths.data=/elsewhere",
        "logger=wandb", "checkpoint_every=5",
    ],
)  # fmt: skip
def test_what_decides_no_number_refuses_no_run(claimed, change):
    claim(compose_config("config", change), claimed)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("trainer.devices=2", "trainer.devices"),  # each takes a batch of its own
        ("trainer.precision=bf16-mixed", "trainer.precision"),
        ("optim.optimizer.lr=1", "optim.optimizer.lr"),
        ("data.batch_size=2", "data.batch_size"),
        ("seed=1", "seed"),
    ],
)
def test_what_decides_numbers_is_named(claimed, change, key):
    with pytest.raises(ValueError, match=rf"another config \({key} differ\); add overwrite=true"):
        claim(compose_config("config", change), claimed)


def test_what_is_tested_decides_no_training():
    other = compose_config("config", "stages=[evaluate]", "eval=ensemble", "data.test={}", "data.optional=[]")
    assert not differences(training_config(compose_config("config")), training_config(other))
