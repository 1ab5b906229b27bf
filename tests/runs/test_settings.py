"""What decides a run's numbers, and what doesn't."""

import re
from contextlib import nullcontext

import pytest
from omegaconf import OmegaConf
from support import compose_config

from anatomy_clip.runs.folder import claim, training_config

DECIDE_NO_NUMBER = (
    "trainer.accelerator=gpu trainer.devices=[3] trainer.devices={_target_:x.free_gpu} trainer.log_every_n_steps=1 "
    "+trainer.enable_progress_bar=false data.workers=7 paths.data=/elsewhere logger=wandb checkpoint_every=5"
).split()
DECIDE_NUMBERS = (  # each of two devices takes a batch of its own
    "trainer.devices=2 trainer.precision=bf16-mixed optim.optimizer.lr=1 data.batch_size=2 seed=1 "
    "init.image=s/first/seed_0"
).split()


@pytest.mark.parametrize("change", DECIDE_NO_NUMBER + DECIDE_NUMBERS)
def test_a_folder_is_refused_to_a_run_of_other_numbers_alone(change, tmp_path):
    claim(compose_config("config"), tmp_path)
    (tmp_path / "results.json").write_text("{}")
    key = re.escape(change.split("=")[0])
    refused = pytest.raises(ValueError, match=rf"another config \({key} differ\); add overwrite=true")
    with refused if change in DECIDE_NUMBERS else nullcontext():
        claim(compose_config("config", change), tmp_path)


def test_a_run_that_made_nothing_refuses_its_folder_to_none(tmp_path):
    claim(compose_config("config"), tmp_path)
    claim(other := compose_config("config", "optim.optimizer.lr=1"), tmp_path)
    assert OmegaConf.load(tmp_path / "config.yaml").optim.optimizer.lr == other.optim.optimizer.lr


def test_what_is_tested_decides_no_training():
    other = compose_config("config", "stages=[evaluate]", "eval=ensemble", "data.test={}", "data.optional=[]")
    kept = training_config(other)
    assert training_config(compose_config("config")) == kept and "eval" not in kept and "test" not in kept["data"]
