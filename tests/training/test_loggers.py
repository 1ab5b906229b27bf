import platform
import re
import socket
import sys

import pytest

from anatomy_clip.training.loggers import run_id, wandb_logger

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
