"""A run: its stages in order, each from config to files; the wires between config groups are in `wiring`."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from anatomy_clip.anatomy.labels import label_names
from anatomy_clip.core.files import write_text
from anatomy_clip.core.names import did_you_mean
from anatomy_clip.runs.chain import earlier_patients, patients_entry
from anatomy_clip.runs.folder import (
    CHECKPOINT,
    EVALUATE,
    STAGES_FILE,
    claim,
    finished_stages,
    run_folder,
    stage_inputs,
    steps,
)
from anatomy_clip.runs.tested import Tested
from anatomy_clip.runs.wiring import (
    build,
    build_data,
    build_model,
    build_objective,
    build_watchers,
    check_targets,
    is_first_rank,
    recipe,
    versions,
)
from anatomy_clip.training.devices import check_devices


def run(cfg: DictConfig) -> None:
    """Do a run's stages in order; finished ones are skipped, an interrupted one goes on.

    Raises:
        ValueError: an unknown stage, a target outside the allowed packages, a folder that another config made, or
            anything wrong with data or weights; the message says what to do.
    """
    check_targets(OmegaConf.to_container(cfg, resolve=False))
    if OmegaConf.is_dict(cfg.trainer.devices):
        build(cfg.trainer.devices)  # takes this run's GPU before anything looks for one
    elif "fit" in cfg.stages:
        check_devices(cfg.trainer.accelerator, cfg.trainer.devices)
    folder, first = run_folder(cfg), is_first_rank()
    if cfg.overwrite and first and folder.exists():
        shutil.rmtree(folder)
    done = finished_stages(folder) if first or not cfg.overwrite else {}
    for stage in cfg.stages:
        if stage not in STAGES:
            raise ValueError(f"stages: {stage!r} is unknown{did_you_mean(stage, STAGES)}; known: {', '.join(STAGES)}")
    tested = Tested(cfg, folder)
    for step in steps(cfg):
        inputs = stage_inputs(cfg, step)
        if done.get(step) == inputs:
            print(f"{folder}: {step} is already finished")
            continue
        if first:  # the folder is the first rank's to write
            claim(cfg, folder, step)
        if step in MAKERS and (first or step == "fit"):  # every rank trains, one does the rest
            MAKERS[step](cfg, folder)
            tested = Tested(cfg, folder)  # of the new weights
        elif first:
            evaluate(tested, step.removeprefix(f"{EVALUATE}/"))
        done[step] = inputs
        if first:
            write_text(folder / STAGES_FILE, json.dumps(done, indent=1))


def fit(cfg: DictConfig, folder: Path) -> None:
    """Train into `folder/last.ckpt`; go on from it where it is there already."""
    import lightning
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    from anatomy_clip.stores.leakage import patient_hashes
    from anatomy_clip.training.checkpoints import AtomicCheckpointIO
    from anatomy_clip.training.messages import quiet_lightning
    from anatomy_clip.training.module import TrainModule
    from anatomy_clip.training.restarts import LastCheckpoint, StepSeeds
    from anatomy_clip.training.threads import ComputeThreads

    quiet_lightning()
    lightning.seed_everything(cfg.seed, workers=True, verbose=False)
    taxonomy = build(cfg.taxonomy)
    model = build_model(cfg)
    before = earlier_patients(cfg)
    data = build_data(cfg, taxonomy, model, before)
    patients = before | patient_hashes(data.training_records().patients())
    watchers = build_watchers(cfg, taxonomy, model)
    module = TrainModule(
        model,
        build_objective(cfg, taxonomy, model),
        **build(cfg.optim),
        watchers=watchers,
        validation_sets=list(cfg.data.validation),
        recipe=recipe(cfg, taxonomy, model) | patients_entry(patients),
    )
    restarts = [ComputeThreads(), StepSeeds(cfg.seed), LastCheckpoint(folder, every_n_steps=cfg.checkpoint_every)]
    trainer = build(
        cfg.trainer,
        default_root_dir=str(folder),
        logger=build(cfg.logger)(save_dir=str(folder)),
        callbacks=[*restarts, *_progress_bar(cfg)],
        plugins=[AtomicCheckpointIO()],
        **({} if watchers else {"limit_val_batches": 0}),  # nobody would see them
    )
    last = folder / CHECKPOINT
    print(f"{folder}: training{' continues' if last.exists() else ''} on {cfg.trainer.accelerator}", flush=True)
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
    made = recipe(cfg, taxonomy, model) | patients_entry(earlier_patients(cfg)) | {"finished": True}
    AtomicCheckpointIO().save_checkpoint({"state_dict": state, "recipe": made}, folder / CHECKPOINT)


def evaluate(tested: Tested, name: str) -> None:
    """Run one evaluator: its rows to `folder/<name>.parquet`, its scores into `folder/results.json`.

    What it chooses on the validation sets is written beside them; nothing is chosen on a test slice.
    """
    from anatomy_clip.evaluation.base import write_rows

    evaluator, folder = tested.evaluators[name], tested.folder
    model, objective = tested.trained
    notes, scores = [], []
    lacks = {
        "does not compare images with texts": evaluator.compares and not objective.compares,
        "has no head that scores labels": evaluator.predicts and not objective.predicts,
    }
    if any(lacks.values()):
        notes += [
            f"{name} is left out: {type(objective).__name__} {what}" for what, lacking in lacks.items() if lacking
        ]
        print(f"{folder}: {notes[0]}")
    else:
        for absent in tested.data.absent_tests():
            notes.append(f"test set {absent} was missing")
            print(f"{folder}: test set {absent} does not exist and is left out")
        table = evaluator.predict(tested)
        write_rows(table, folder / f"{name}.parquet")
        scores = evaluator.score(table)
        notes += evaluator.choose(tested, folder)
    path = folder / "results.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    results = {
        "suite": tested.cfg.suite,
        "name": tested.cfg.name,
        "seed": tested.cfg.seed,
        "labels": {space: list(names) for space, names in label_names(tested.taxonomy).items()},
        "scores": before.get("scores", {}) | {name: [vars(score) for score in scores]},
        "versions": versions(),
        "weights": model.provenance.plain() if model.provenance else None,
        "notes": before.get("notes", {}) | {name: notes},
    }
    write_text(path, json.dumps(results, indent=1))
    for score in scores:
        interval = f"[{100 * score.lo:.1f}, {100 * score.hi:.1f}]"
        print(f"  {score.cell:40s} {100 * score.value:5.1f} %  {interval}  n={score.n}")


MAKERS: dict[str, Callable[[DictConfig, Path], None]] = {"fit": fit, "average": average}  # leave a `last.ckpt`
STAGES = (*MAKERS, EVALUATE)


def _progress_bar(cfg: DictConfig) -> list[Any]:
    if not cfg.trainer.get("enable_progress_bar", True):
        return []
    from lightning.pytorch.callbacks import TQDMProgressBar

    return [TQDMProgressBar(refresh_rate=20)]
