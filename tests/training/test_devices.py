import os
import threading

import pytest
from hydra import compose, initialize_config_dir
from support import CONF

from anatomy_clip.training import devices
from anatomy_clip.training.devices import check_devices


@pytest.fixture(autouse=True)
def node(monkeypatch, tmp_path):
    """A node with GPUs 3 and 5, no run on it; `devices._held` is the state of one process."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    held = []
    monkeypatch.setattr(devices, "_held", held)
    yield
    for lock in held:
        lock.close()


def another_process(monkeypatch):
    held = []
    monkeypatch.setattr(devices, "_held", held)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    return held


def test_runs_take_different_gpus_and_one_keeps_its_own(monkeypatch):
    assert devices.free_gpu() == 1
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    assert devices.free_gpu() == 1
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    second = another_process(monkeypatch)
    devices.free_gpu()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"
    second[0].close()


def test_a_run_waits_until_a_gpu_is_free(monkeypatch):
    locks = [devices._lock(gpu) for gpu in ("3", "5")]
    timer = threading.Timer(0.2, locks[1].close)
    timer.start()
    devices.free_gpu(poll_seconds=0.02)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"
    timer.join()
    locks[0].close()


def test_no_gpus_named_says_what_to_do(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with pytest.raises(ValueError, match=r"trainer=one_gpu: CUDA_VISIBLE_DEVICES must list the GPUs"):
        devices.free_gpu()


@pytest.mark.parametrize(("trainer", "nodes", "tasks"), [("ddp", 2, 8), ("gpu", 1, 1)])
def test_a_slurm_job_has_one_task_a_gpu_on_every_node(trainer, nodes, tasks):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    more = [f"trainer.num_nodes={nodes}"] if nodes > 1 else []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", ["cluster=slurm", f"trainer={trainer}", *more], return_hydra_config=True)
        launcher = cfg.hydra.launcher
        assert launcher._target_.endswith("SlurmLauncher")
        assert (launcher.nodes, launcher.tasks_per_node, launcher.gpus_per_node) == (nodes, tasks, tasks)
        assert launcher.max_num_timeout > 0


@pytest.mark.parametrize(
    ("there", "asked", "said"),
    [
        (0, 8, "finds no GPU on this machine; set trainer=cpu"),
        (0, "auto", "finds no GPU"),
        (2, 8, "finds 2 GPU on this machine; set trainer.devices to at most 2"),
        (2, [0, 1, 2], "finds 2 GPU"),
    ],
)
def test_gpus_that_are_not_there_are_said_before_a_run_begins(monkeypatch, there, asked, said):
    monkeypatch.setattr("torch.cuda.device_count", lambda: there)
    check_devices("cpu", asked)
    with pytest.raises(ValueError, match=said):
        check_devices("gpu", asked)


def test_gpus_that_are_there_pass(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 8)
    for asked in (8, 1, -1, "auto", [0, 3]):
        check_devices("gpu", asked)
