"""Run one experiment, or sweep over many.

anatomy-clip train experiment=table3/pmc_m seed=1
anatomy-clip train --multirun sweep=table3
"""

from __future__ import annotations

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from anatomy_clip.runs.stages import run


def main(cfg: DictConfig) -> None:
    """Hand the composed config to `anatomy_clip.runs.stages`."""
    refuse_sweep_over_ranks(cfg)
    run(cfg)


def refuse_sweep_over_ranks(cfg: DictConfig) -> None:
    """Refuse a sweep in this process whose runs take several: each further process would start the whole sweep.

    Raises:
        ValueError: says what to do instead.
    """
    hydra_cfg = HydraConfig.get()
    here = str(hydra_cfg.launcher.get("_target_", "")).endswith("BasicLauncher")
    processes = cfg.trainer.get("num_nodes", 1) * (d if isinstance(d := cfg.trainer.devices, int) else 1)
    if hydra_cfg.mode == RunMode.MULTIRUN and here and processes > 1:
        raise ValueError(
            f"--multirun with {processes} processes for each run: add cluster=slurm, or start the runs one by one"
        )
