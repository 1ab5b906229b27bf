"""The Weights & Biases logger, set so that it sends nothing but what is logged."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.loggers import WandbLogger


def wandb_logger(save_dir: str | Path, *, suite: str, name: str, seed: int, project: str, mode: str) -> WandbLogger:
    """Make a logger with a stable run id, grouped by suite, job type the column.

    Args:
        save_dir: the run folder; the offline files lie below it.
        suite: group of the run.
        name: column of the run.
        seed: seed of the run.
        project: W&B project.
        mode: `online`, `offline` or `disabled`; offline needs no account.
    """
    import wandb

    # Console, host, hardware, program path and git all carry names and paths of the machine.
    settings = wandb.Settings(
        console="off",
        host="hidden",  # goes into the run's record even where the machine's information is off
        username="hidden",
        email="hidden",
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_disable_stats=True,
        save_code=False,
        disable_git=True,
        disable_job_creation=True,
    )
    return WandbLogger(
        save_dir=str(save_dir),
        project=project,
        mode=mode,
        id=f"{suite}-{name}-{seed}",
        name=f"{name}/seed_{seed}",
        group=suite,
        job_type=name,
        settings=settings,
        resume="allow",
    )
