"""A run that is killed, interrupted or fails goes on to the very weights and logs of one that never stopped."""

import os
import random
import signal
import time

import pytest
from restart_runs import checkpoint, config, finish, logs, start, stop, weights_digest

from anatomy_clip.data.collate import Collate
from anatomy_clip.objectives.clip import CLIP
from anatomy_clip.runs.folder import run_folder
from anatomy_clip.runs.stages import run
from anatomy_clip.training.module import TrainModule

KILLS = int(os.environ.get("SOAK_KILLS", "1"))  # moments for each number of workers; `make soak` takes 20


@pytest.fixture(scope="module")
def outputs(data, tmp_path_factory):
    """An outputs folder; a first short run has imported and cached what every process needs."""
    folder = tmp_path_factory.mktemp("outputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TrainModule.__init__.__kwdefaults__, "log_every", 5)  # no divisor of a checkpoint's steps
        run(config(data, folder, "suite=first", "trainer.max_epochs=1", "trainer.limit_train_batches=3"))
        yield folder


@pytest.fixture(scope="module")
def whole(data, outputs):
    """A run that never stops: (digest of its weights, its logs, seconds)."""
    cfg = config(data, outputs, "suite=whole", "checkpoint_every=0")
    seconds = finish(cfg)
    return weights_digest(cfg), logs(cfg), seconds


@pytest.mark.parametrize("moment", range(KILLS))
@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_goes_on_to_the_same_weights_and_logs(data, outputs, whole, workers, moment):
    digest, logged, seconds = whole
    cfg = config(data, outputs, f"data.workers={workers}", f"suite=killed_{workers}_{moment}")
    child = start(cfg)
    time.sleep(
        random.Random(f"{moment} {workers}").uniform(0.2, 1.0) * seconds * (1 + workers / 4)
    )  # workers take time to start
    stop(child, signal.SIGKILL)
    last = run_folder(cfg) / "last.ckpt"
    print(
        f"{workers} workers: killed after a checkpoint of step {checkpoint(cfg)['global_step'] if last.exists() else 0}"
    )
    finish(cfg)
    assert weights_digest(cfg) == digest
    assert logs(cfg) == logged
    assert [p.name for p in run_folder(cfg).glob("*.ckpt*")] == ["last.ckpt"]
    assert not list(run_folder(cfg).glob(".*.partial"))


class Stop(Exception):
    pass


def fail():
    raise Stop


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


# What happens, in which call, how many calls went well before, and the step that the checkpoint then holds: an epoch
# has 6 steps and 3 batches of validation, and a batch 16 slices.
STOPS = {
    "an error in a forward pass": (fail, TrainModule, "training_step", 9, 9),
    "an error between two logs": (fail, TrainModule, "training_step", 8, 8),
    "an error while data are read": (fail, Collate, "__call__", 6 + 3 + 3, 9),
    "an error in validation": (fail, TrainModule, "validation_step", 4, 12),
    "an error in the optimiser": (fail, CLIP, "after_optimizer_step", 9, 6),
    "SIGTERM": (terminate, TrainModule, "training_step", 9, 10),
    "Ctrl-C": (interrupt, TrainModule, "training_step", 9, 10),
    "Ctrl-C in validation": (interrupt, TrainModule, "validation_step", 4, 12),
}


def run_until(cfg, monkeypatch, happens, owner, method, good):
    """Run until `happens` ends the run, inside the call of `method` after `good` good ones."""
    original, calls, handler = getattr(owner, method), [], signal.getsignal(signal.SIGINT)

    def called(self, *args):
        result = original(self, *args)
        calls.append(1)
        if len(calls) == good + 1:
            happens()
        return result

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, called)
        with pytest.raises((Stop, SystemExit)) as end:
            run(cfg)
    assert end.type is Stop or end.value.code == (128 + signal.SIGTERM if happens is terminate else 1)
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize("name", STOPS)
def test_a_run_that_breaks_off_has_saved_its_last_whole_step(data, outputs, whole, monkeypatch, name):
    *stop_at, step = STOPS[name]
    cfg = config(data, outputs, "checkpoint_every=0", f"suite={name.replace(' ', '_')}")
    run_until(cfg, monkeypatch, *stop_at)
    assert checkpoint(cfg)["global_step"] == step
    run(cfg)
    assert weights_digest(cfg) == whole[0]
    assert logs(cfg) == whole[1]


def test_gradients_half_gathered_are_gathered_again(data, outputs, monkeypatch):
    half = ["checkpoint_every=0", "+trainer.accumulate_grad_batches=2"]
    expected = config(data, outputs, *half, "suite=whole_halves")
    run(expected)
    cfg = config(data, outputs, *half, "suite=cut_halves")
    run_until(cfg, monkeypatch, fail, TrainModule, "training_step", 9)  # the second half of the fifth step
    assert checkpoint(cfg)["global_step"] == 4
    run(cfg)
    assert weights_digest(cfg) == weights_digest(expected)
    assert logs(cfg) == logs(expected)
