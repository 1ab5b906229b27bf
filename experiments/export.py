"""Write a trained run as a model that open_clip or transformers loads without this project, with a model card.

python experiments/export.py run=table3/pmc_msa/seed_0
python experiments/export.py run=table3/pmc_msa/seed_0 layout=transformers to=folder
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig, OmegaConf

from overrides import check_overrides

if TYPE_CHECKING:
    from anatomy_clip.anatomy.taxonomy import Taxonomy
    from anatomy_clip.models.model_card import Training

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here is fetched by accident

CONFIG = Path(__file__).resolve().parent.parent / "conf"


@hydra.main(version_base="1.3", config_path=str(CONFIG), config_name="export")
def main(cfg: DictConfig) -> None:
    """Export the run."""
    try:
        export_run(cfg)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def export_run(cfg: DictConfig) -> None:
    """Load the run's trained model and write it in the layout that is asked for.

    Raises:
        ValueError: the run isn't there or wasn't trained to its end, or the layout can't hold its model.
    """
    from anatomy_clip.models.export import export
    from anatomy_clip.models.model_card import model_card
    from anatomy_clip.run import build, check_targets, load_run

    folder = Path(cfg.paths.outputs, cfg.run)
    for name in ("config.yaml", "last.ckpt"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: has no {name}; run=<suite>/<name>/seed_<n> names a run with the stage fit")
    made_by = OmegaConf.load(folder / "config.yaml")
    assert isinstance(made_by, DictConfig)
    check_targets(OmegaConf.to_container(made_by, resolve=False))
    taxonomy = build(made_by.taxonomy)
    model = load_run(made_by, folder, taxonomy)
    card = model_card(model, training(made_by, folder, taxonomy), cfg.layout)
    export(model, Path(cfg.to), cfg.layout, card, overwrite=cfg.overwrite)
    print(f"{cfg.to}: {cfg.run} for {cfg.layout}")


def training(made_by: DictConfig, folder: Path, taxonomy: Taxonomy) -> Training:
    """What the run's folder says of its training; a whole path gives its last names, nothing of the machine."""
    from anatomy_clip.models.model_card import Training
    from anatomy_clip.models.weight_files import read_checkpoint
    from anatomy_clip.run import label_names

    results: dict[str, Any] = {}
    if (folder / "results.json").is_file():
        results = json.loads((folder / "results.json").read_text())
    recipe = read_checkpoint(folder / "last.ckpt")["recipe"]
    weights = recipe.get("weights")
    start = _short(made_by.model.get("weights") or "random weights", 1)
    prompts = made_by.eval.prompts
    return Training(
        name=f"{made_by.suite}/{made_by.name}, seed {made_by.seed}",
        start=f"{start}, SHA-256 {weights['sha256']}" if weights else start,
        stores=[_short(store, 2) for store in made_by.data.train],
        captions=list(made_by.prompts.get("templates", ["the source's own captions"])),
        augmentation=[name for name, value in made_by.augment.items() if isinstance(value, DictConfig)],
        evaluation=[*prompts.get("organ_templates", []), *prompts.get("station_templates", [])],
        labels=label_names(taxonomy),
        scores=results.get("scores", []),
        versions=recipe["versions"],
    )


def _short(path: str, names: int) -> str:
    return "/".join(Path(path).parts[-names:]) if Path(path).is_absolute() else path


if __name__ == "__main__":
    check_overrides(sys.argv[1:], CONFIG, "export")
    main()
