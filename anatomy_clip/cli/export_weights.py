"""Write a trained run as a model that open_clip or transformers loads without this project, with a model card.

What `anatomy-clip describe` needs besides, `anatomy-clip export` writes.

python experiments/export.py run=table3/pmc_msa/seed_0
python experiments/export.py run=table3/pmc_msa/seed_0 layout=transformers to=folder
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from overrides import check_overrides
from plain_errors import plain_errors

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here is fetched by accident

CONFIG = Path(__file__).resolve().parent.parent / "conf"


@hydra.main(version_base="1.3", config_path=str(CONFIG), config_name="export")
def main(cfg: DictConfig) -> None:
    """Export the run."""
    with plain_errors():
        export_run(cfg)


def export_run(cfg: DictConfig) -> None:
    """Load the run's trained model and write it in the layout that is asked for.

    Raises:
        ValueError: the run isn't there or wasn't trained to its end, or the layout can't hold its model.
    """
    from anatomy_clip.describe.bundle.export import training
    from anatomy_clip.models.export.folders import export
    from anatomy_clip.models.export.model_card import model_card
    from anatomy_clip.runs.wiring import build, check_targets, label_names, load_run

    folder = Path(cfg.paths.outputs, cfg.run)
    for name in ("config.yaml", "last.ckpt"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: has no {name}; run=<suite>/<name>/seed_<n> names a run with the stage fit")
    made_by = OmegaConf.load(folder / "config.yaml")
    assert isinstance(made_by, DictConfig)
    check_targets(OmegaConf.to_container(made_by, resolve=False))
    taxonomy = build(made_by.taxonomy)
    model = load_run(made_by, folder, taxonomy)
    card = model_card(model, training(made_by, folder, label_names(taxonomy)), cfg.layout)
    export(model, Path(cfg.to), cfg.layout, card, overwrite=cfg.overwrite)
    print(f"{cfg.to}: {cfg.run} for {cfg.layout}")


if __name__ == "__main__":
    check_overrides(sys.argv[1:], CONFIG, "export")
    main()
