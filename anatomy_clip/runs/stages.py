"""A run: its stages in order, each from config to files; the wires between config groups are in `wiring`."""

from __future__ import annotations

import json
import logging
import shutil
import signal
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from anatomy_clip.core.files import write_text
from anatomy_clip.core.names import did_you_mean
from anatomy_clip.runs.folder import STAGES_FILE, claim, finished_stages, run_folder, stage_inputs
from anatomy_clip.runs.wiring import (
    build,
    build_data,
    build_model,
    check_targets,
    class_names,
    device,
    evaluation_prompts,
    is_first_rank,
    label_names,
    label_priors,
    load_run,
    recipe,
    versions,
)

if TYPE_CHECKING:
    from anatomy_clip.anatomy.taxonomy import Taxonomy
    from anatomy_clip.data.datamodule import SliceDataModule
    from anatomy_clip.evaluation.embedded import EmbeddedSet
    from anatomy_clip.models.image_text import ImageTextModel


def run(cfg: DictConfig) -> None:
    """Do a run's stages in order; finished ones are skipped, an interrupted one goes on.

    Raises:
        ValueError: an unknown stage, a target outside the allowed packages, a folder that another config made, or
            anything wrong with data or weights; the message says what to do.
    """
    check_targets(OmegaConf.to_container(cfg, resolve=False))
    if OmegaConf.is_dict(cfg.trainer.devices):
        build(cfg.trainer.devices)  # takes this run's GPU before anything looks for one
    folder, first = run_folder(cfg), is_first_rank()
    if cfg.overwrite and first and folder.exists():
        shutil.rmtree(folder)
    done = finished_stages(folder) if first or not cfg.overwrite else {}
    tested = Tested(cfg, folder)
    for name in cfg.stages:
        if name not in STAGES:
            raise ValueError(f"stages: {name!r} is unknown{did_you_mean(name, STAGES)}; known are {', '.join(STAGES)}")
        inputs = stage_inputs(cfg, name)
        if done.get(name) == inputs:
            print(f"{folder}: {name} is done")
            continue
        if first:  # the folder is the first rank's to write
            claim(cfg, folder)
        if first or name == "fit":  # every rank trains, one does the rest
            if name in MAKERS:
                MAKERS[name](cfg, folder)
                tested = Tested(cfg, folder)  # of the new weights
            else:
                TESTS[name](tested)
        done[name] = inputs
        if first:
            write_text(folder / STAGES_FILE, json.dumps(done, indent=1))


class Tested:
    """What the tests of a run share; each part is made when it is first asked for.

    Args:
        cfg: the run's config.
        folder: the run's folder.
    """

    def __init__(self, cfg: DictConfig, folder: Path) -> None:
        self.cfg = cfg
        self.folder = folder

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The run's taxonomy."""
        taxonomy: Taxonomy = build(self.cfg.taxonomy)
        return taxonomy

    @cached_property
    def model(self) -> ImageTextModel:
        """The model that the run trained; its weights as they are, where it trained none."""
        # stages=[evaluate] tests what the run trained before, not what it started from
        trained = (self.folder / "last.ckpt").exists() or set(MAKERS) & set(self.cfg.stages)
        return load_run(self.cfg, self.folder, self.taxonomy) if trained else build_model(self.cfg)

    @cached_property
    def data(self) -> SliceDataModule:
        """The run's data, checked for leakage."""
        data = build_data(self.cfg, self.taxonomy, self.model)
        data.setup("test")
        return data

    @cached_property
    def sets(self) -> dict[str, EmbeddedSet]:
        """The test sets that are at hand, embedded."""
        from anatomy_clip.evaluation.embedded import embed_sets

        return embed_sets(self.model, self.data.test_sets(), device(self.cfg))


def fit(cfg: DictConfig, folder: Path) -> None:
    """Train into `folder/last.ckpt`; go on from it where it is there already."""
    import lightning
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    from anatomy_clip.training.checkpoints import AtomicCheckpointIO
    from anatomy_clip.training.module import TrainModule
    from anatomy_clip.training.restarts import LastCheckpoint, StepSeeds

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its tips and device lists say nothing here
    lightning.seed_everything(cfg.seed, workers=True, verbose=False)
    taxonomy = build(cfg.taxonomy)
    model = build_model(cfg)
    data = build_data(cfg, taxonomy, model)
    module = TrainModule(
        model,
        build(cfg.objective, model=model, classes=class_names(taxonomy, model)),
        **build(cfg.optim),
        prompts=evaluation_prompts(cfg, taxonomy, model),
        labels=label_names(taxonomy),
        validation_sets=list(cfg.data.validation),
        recipe=recipe(cfg, taxonomy, model),
    )
    restarts = [StepSeeds(cfg.seed), LastCheckpoint(folder, every_n_steps=cfg.checkpoint_every)]
    trainer = build(
        cfg.trainer,
        default_root_dir=str(folder),
        logger=build(cfg.logger)(save_dir=str(folder)),
        callbacks=[*restarts, *_progress_bar(cfg)],
        plugins=[AtomicCheckpointIO()],
    )
    last = folder / "last.ckpt"
    print(f"{folder}: training{' goes on' if last.exists() else ''} on {cfg.trainer.accelerator}", flush=True)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    except SIGTERMException as stopped:
        raise SystemExit(128 + signal.SIGTERM) from stopped  # by itself it would end the program as if all were well
    module.recipe["finished"] = True
    trainer.save_checkpoint(last)


def average(cfg: DictConfig, folder: Path) -> None:
    """Average the weights of finished runs into `folder/last.ckpt`, in place of a training."""
    from anatomy_clip.models.weights.averaging import average as average_weights
    from anatomy_clip.training.checkpoints import AtomicCheckpointIO

    if cfg.average is None:
        raise ValueError("stages: average needs average.checkpoints and average.shares")
    paths = list(cfg.average.checkpoints)
    state = average_weights(paths, list(cfg.average.shares))
    taxonomy = build(cfg.taxonomy)
    model = build_model(cfg, weights=str(paths[-1]))
    made = {"state_dict": state, "recipe": {**recipe(cfg, taxonomy, model), "finished": True}}
    AtomicCheckpointIO().save_checkpoint(made, folder / "last.ckpt")


def evaluate(tested: Tested) -> None:
    """Score every test set into `folder/predictions.parquet` and `folder/results.json`; choose decisions on validation.

    The validation slices go to `validation.parquet`, and what is chosen on them to `decisions.json` (null where they
    have no labels to choose by). Nothing is chosen on a test slice.
    """
    from anatomy_clip.evaluation.base import PREDICTIONS
    from anatomy_clip.evaluation.embedded import embed_sets
    from anatomy_clip.evaluation.zero_shot import ZeroShot
    from anatomy_clip.inference.decisions import choose

    cfg, folder, taxonomy, model, data = tested.cfg, tested.folder, tested.taxonomy, tested.model, tested.data
    evaluator = ZeroShot(
        evaluation_prompts(cfg, taxonomy, model),
        label_names(taxonomy),
        offsets=label_priors(data, model) if cfg.eval.label_prior else None,
        resamples=cfg.eval.resamples,
        device=device(cfg),
    )
    absent = data.absent_tests()
    for name in absent:
        print(f"{folder}: test set {name} isn't there and is left out")
    predictions = evaluator.predict(model, tested.sets)
    predictions.write(folder / PREDICTIONS.file)
    scores = evaluator.score(predictions)
    notes = [f"test set {name} was absent" for name in absent]
    validation = evaluator.predict(model, embed_sets(model, data.validation_sets(), evaluator.device))
    validation.write(folder / "validation.parquet")
    try:
        decisions: dict[str, Any] | None = choose(
            *validation.arrays("organ"), *validation.arrays("station"), taxonomy
        ).to_dict()
    except ValueError as error:
        decisions = None
        notes.append(f"no decisions: {error}")
    write_text(folder / "decisions.json", json.dumps(decisions, indent=1))
    results = {
        "suite": cfg.suite,
        "name": cfg.name,
        "seed": cfg.seed,
        "labels": {f"{kind}s": list(names) for kind, names in label_names(taxonomy).items()},
        "scores": [vars(score) for score in scores],
        "versions": versions(),
        "weights": model.provenance.plain() if model.provenance else None,
        "notes": notes,
    }
    write_text(folder / "results.json", json.dumps(results, indent=1))
    for score in scores:
        print(
            f"  {score.cell:32s} {100 * score.value:5.1f} %  [{100 * score.lo:.1f}, {100 * score.hi:.1f}]  n={score.n}"
        )


def contrast(tested: Tested) -> None:
    """Set right captions against contradicted ones on every test slice, into `folder/contrast.parquet`."""
    from anatomy_clip.evaluation.base import CONTRAST, write_rows
    from anatomy_clip.evaluation.prompt_contrast import PromptContrast

    evaluation = tested.cfg.eval
    evaluator = PromptContrast(
        evaluation.contrast, tested.taxonomy, resamples=evaluation.resamples, device=device(tested.cfg)
    )
    table = evaluator.predict(tested.model, tested.sets)
    write_rows(table, tested.folder / CONTRAST.file)
    for score in evaluator.score(table):
        print(f"  {score.cell:32s} {100 * score.value:5.1f} %  n={score.n}")


def retrieve(tested: Tested) -> None:
    """Find the best complete caption of every test slice, into `folder/captions.parquet`."""
    from anatomy_clip.evaluation.base import CAPTIONS, write_rows
    from anatomy_clip.evaluation.caption_retrieval import CaptionRetrieval

    evaluation = tested.cfg.eval
    evaluator = CaptionRetrieval(
        tested.data.training_records(),
        tested.taxonomy,
        **evaluation.captions,
        resamples=evaluation.resamples,
        device=device(tested.cfg),
    )
    table = evaluator.predict(tested.model, tested.sets)
    write_rows(table, tested.folder / CAPTIONS.file)
    for score in evaluator.score(table):
        print(f"  {score.cell:40s} {100 * score.value:5.1f} %  n={score.n}")


MAKERS: dict[str, Callable[[DictConfig, Path], None]] = {"fit": fit, "average": average}  # leave a `last.ckpt`
TESTS: dict[str, Callable[[Tested], None]] = {"evaluate": evaluate, "contrast": contrast, "retrieve": retrieve}
STAGES = (*MAKERS, *TESTS)


def _progress_bar(cfg: DictConfig) -> list[Any]:
    if not cfg.trainer.get("enable_progress_bar", True):
        return []
    from lightning.pytorch.callbacks import TQDMProgressBar

    return [TQDMProgressBar(refresh_rate=20)]
