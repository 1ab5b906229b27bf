"""Run one experiment, or sweep over many.

python experiments/run.py experiment=table3/pmc_m seed=1
python experiments/run.py --multirun sweep=table3
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from overrides import check_overrides

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the package index for its version otherwise
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here is fetched by accident

CONFIG = Path(__file__).resolve().parent.parent / "conf"


@hydra.main(version_base="1.3", config_path=str(CONFIG), config_name="config")
def main(cfg: DictConfig) -> None:
    """Hand the composed config to `anatomy_clip.run`."""
    from anatomy_clip.run import run

    try:
        run(cfg)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    check_overrides(sys.argv[1:], CONFIG, "config")
    main()
