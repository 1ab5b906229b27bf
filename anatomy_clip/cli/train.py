"""Run one experiment, or sweep over many.

python experiments/run.py experiment=table3/pmc_m seed=1
python experiments/run.py --multirun sweep=table3
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from overrides import check_overrides
from plain_errors import plain_errors

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the package index for its version otherwise
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here is fetched by accident

CONFIG = Path(__file__).resolve().parent.parent / "conf"


@hydra.main(version_base="1.3", config_path=str(CONFIG), config_name="config")
def main(cfg: DictConfig) -> None:
    """Hand the composed config to `anatomy_clip.runs.stages`."""
    from anatomy_clip.runs.stages import run

    with plain_errors():
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
            f"--multirun with {processes} processes a run: add cluster=slurm, or start the runs one by one"
        )


if __name__ == "__main__":
    check_overrides(sys.argv[1:], CONFIG, "config")
    main()
