import platform
import re
import socket
import sys
from types import SimpleNamespace

import pytest
from lightning.pytorch.loggers import WandbLogger
from wandb_files import record_of

from anatomy_clip.training import loggers
from anatomy_clip.training.loggers import wandb_logger
from anatomy_clip.training.wandb_runs import load_wandb, run_id

pytest.importorskip("wandb")


def test_offline_run_needs_no_account_and_tells_nothing_of_the_machine(tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    # What wandb would read of the machine, made easy to find again.
    home = tmp_path / "planted-folder"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("USER", "planted-user")
    monkeypatch.setattr(sys, "argv", [str(home / "planted-program.py")])
    monkeypatch.setattr(socket, "gethostname", lambda: "planted-host")
    monkeypatch.setattr(platform, "node", lambda: "planted-host")
    logger = wandb_logger(tmp_path, suite="table3", name="pmc_m", seed=1, project="anatomy_clip", mode="offline")
    logger.log_metrics({"train/loss": 1.25}, step=50)
    assert logger.experiment.id == run_id("table3", "pmc_m", 1)
    logger.experiment.finish()
    (record,) = tmp_path.rglob("run-*.wandb")
    record_of(record.parent)  # whole by then
    content = record.read_bytes()
    assert b"train/loss" in content
    assert b"table3" in content
    assert b"planted" not in content


def test_ids_are_readable_stable_and_differ():
    assert run_id("table3", "pmc_m", 1) == run_id("table3", "pmc_m", 1)
    assert run_id("table3", "pmc_m", 1).startswith("table3-pmc_m-1-")
    alike = [
        ("a", "b-c", 0),
        ("a-b", "c", 0),
        ("a/b", "c", 0),
        ("a_b", "c", 0),
        ("a" * 200, "b", 0),
        ("a" * 200, "c", 0),
    ]
    ids = {run_id(*run) for run in alike}
    assert len(ids) == len(alike)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,128}", i) for i in ids)


def test_throughput_counts_the_pairs_between_two_metrics_of_the_training(tmp_path, monkeypatch):
    logger = wandb_logger(tmp_path, suite="s", name="n", seed=0, project="p", mode="disabled")
    logged = []
    monkeypatch.setattr(WandbLogger, "log_metrics", lambda self, metrics, step: logged.append(metrics))
    clock = iter([100.0, 110.0, 150.0, 152.0, 160.0])
    monkeypatch.setattr(loggers.time, "monotonic", lambda: next(clock))
    trainer = SimpleNamespace(datamodule=SimpleNamespace(batch_size=16), world_size=2, accumulate_grad_batches=1)
    logger.log_graph(SimpleNamespace(trainer=trainer))
    loss = {"train/loss": 1.0}
    for metrics, step in ((loss, 50), (loss, 100), ({"validation/organ": 0.5}, 119), (loss, 129), (loss, 169)):
        logger.log_metrics(metrics, step)
    rates = [metrics.get("throughput/pairs_per_s") for metrics in logged]
    # 50 steps in 10 s, none over the validation, then 10 in 2 s and 40 in 8 s; 32 pairs each
    assert rates == [None, 160.0, None, 160.0, 160.0]


def test_what_is_missing_or_unknown_is_said(tmp_path, monkeypatch):
    who = {"suite": "s", "name": "n", "seed": 0, "project": "p"}
    with pytest.raises(ValueError, match="mode=ofline: give one of offline, online, disabled"):
        wandb_logger(tmp_path, **who, mode="ofline")
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match=r"wandb isn't installed: pip install 'anatomy_clip\[wandb\]', or use logger="):
        wandb_logger(tmp_path, **who, mode="offline")


def test_its_own_errors_are_not_reported_over_the_network(monkeypatch):
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "true")
    load_wandb()
    from wandb.env import error_reporting_enabled

    assert not error_reporting_enabled()
