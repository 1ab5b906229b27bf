"""Write a trained run as a model that open_clip or transformers loads without this project, with a model card.

What `anatomy-clip describe` needs besides, `anatomy-clip export` writes.

anatomy-clip export-weights run=table3/pmc_msa/seed_0
anatomy-clip export-weights run=table3/pmc_msa/seed_0 layout=transformers to=folder
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from anatomy_clip.describe.bundle.export import training
from anatomy_clip.models.export.folders import export
from anatomy_clip.models.export.model_card import model_card
from anatomy_clip.runs.wiring import build, check_targets, load_run


def main(cfg: DictConfig) -> None:
    """Load the run's trained model and write it in the layout that is asked for.

    Raises:
        ValueError: the run isn't there or wasn't trained to its end, or the layout can't hold its model.
    """
    folder = Path(cfg.paths.outputs, cfg.run)
    for name in ("config.yaml", "last.ckpt"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: has no {name}; run=<suite>/<name>/seed_<n> names a run with the stage fit")
    made_by = OmegaConf.load(folder / "config.yaml")
    assert isinstance(made_by, DictConfig)
    check_targets(OmegaConf.to_container(made_by, resolve=False))
    taxonomy = build(made_by.taxonomy)
    model, _ = load_run(made_by, folder, taxonomy)
    card = model_card(model, training(made_by, folder, taxonomy), cfg.layout)
    export(model, Path(cfg.to), cfg.layout, card, overwrite=cfg.overwrite)
    print(f"{cfg.to}: {cfg.run} for {cfg.layout}")
