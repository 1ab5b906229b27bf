"""A trained run's folder to a bundle, and a bundle to a hub."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from anatomy_clip import __version__
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.records import SLICES, SliceRecord
from anatomy_clip.describe.bundle import onnx_tower
from anatomy_clip.describe.bundle.folder import DECISIONS, Bundle, Floats, Sentence, read_bundle, write_bundle
from anatomy_clip.describe.bundle.preprocessing import Preprocessing
from anatomy_clip.evaluation.by_patient import of_folds
from anatomy_clip.evaluation.embedded import embed_classes, embed_texts
from anatomy_clip.imaging.intensity import Display
from anatomy_clip.inference.decisions import Decisions
from anatomy_clip.models.export.folders import LAYOUTS, round_weights
from anatomy_clip.models.export.model_card import Training, model_card
from anatomy_clip.models.towers.open_clip import from_config
from anatomy_clip.models.weights.read import read_checkpoint
from anatomy_clip.objectives.clip import CLIP
from anatomy_clip.runs.wiring import wants_of
from anatomy_clip.stores.selection import first_patients
from anatomy_clip.stores.store import MANIFEST, read_meta
from anatomy_clip.stores.training import training_stores
from anatomy_clip.text.captions import MOST, plausible_captions
from anatomy_clip.text.class_prompts import EvaluationPrompts

if TYPE_CHECKING:
    from anatomy_clip.models.image_text import ImageTextModel

CONFIG, CHECKPOINT, RESULTS = "config.yaml", "last.ckpt", "results.json"
_PACKAGES = ("torch", "open_clip_torch", "numpy")
_DISPLAY = ("level", "width", "low", "high")


def export_run(
    run: Path, to: Path, data: str | None = None, *, onnx: bool = False, half: bool = False, overwrite: bool = False
) -> Bundle:
    """Write the bundle of a trained run, and read it back.

    Args:
        run: the run's folder, after the stages fit and evaluate.
        to: the bundle's folder.
        data: folder of the slice stores, where it isn't the one that the run's config names.
        onnx: write the image tower as an ONNX file too.
        half: round the weights to 16 bits first: half the size, and all that is embedded is by the rounded ones.
        overwrite: replace the bundle's folder if it is there.

    Raises:
        ValueError: the run isn't there, wasn't trained to its end, was trained on radiographs, compares in another way
            than a bundle does, wasn't evaluated, doesn't say on what scores its thresholds were chosen, or its stores
            are gone.
    """
    cfg, recipe = _recipe(run)
    if data is not None:
        cfg.paths.data = data
    taxonomy = Taxonomy.from_dict(recipe["taxonomy"])
    model = _model(recipe["model"], run / CHECKPOINT)
    if half:
        round_weights(model)
    decisions = _json(run / DECISIONS)
    texts, offsets = _measured(cfg, run, decisions, taxonomy)
    preprocessing = _preprocessing(cfg, model.image_size)
    trained = _training_records(cfg)
    captions = _captions(cfg, trained, taxonomy)
    told = replace(training(cfg, run, taxonomy), sources=_collections(trained))
    bundle = Bundle(
        name=told.name,
        taxonomy=taxonomy,
        decisions=Decisions.from_dict(decisions),
        preprocessing=preprocessing,
        prompts=texts,
        captions=captions,
        embeddings=embed(model, texts, captions),
        offsets=offsets,
        scores=told.scores,
        versions=_versions(),
    )

    def write_model(folder: Path) -> None:
        LAYOUTS["open_clip"](model, folder)
        if onnx:
            onnx_tower.write_tower(model, folder / onnx_tower.FILE)

    write_bundle(bundle, to, write_model, model_card(model, told, "open_clip"), overwrite=overwrite)
    return read_bundle(to)


def training(cfg: DictConfig, run: Path, taxonomy: Taxonomy) -> Training:
    """What a run's folder says of its training; a whole path gives its last names, nothing of the machine.

    Args:
        cfg: the run's config.
        run: its folder.
        taxonomy: what it was trained with.
    """
    results = _json(run / RESULTS) if (run / RESULTS).is_file() else {}
    recipe = read_checkpoint(run / CHECKPOINT)["recipe"]
    weights = recipe.get("weights")
    image = OmegaConf.select(cfg, "init.image")
    source = f"the image tower of {_short(image, 3)}" if image else cfg.model.get("weights")
    start = _short(source or "random weights", 1)
    prompts = cfg.eval.zero_shot.prompts
    return Training(
        name=f"{cfg.suite}/{cfg.name}, seed {cfg.seed}",
        start=f"{start}, SHA-256 {weights['sha256']}" if weights else start,
        stores=[_short(str(store), 2) for store in training_stores(cfg.data)],
        captions=list(cfg.prompts.get("templates", ["the source's own captions"])),
        augmentation=[name for name, value in cfg.augment.items() if isinstance(value, DictConfig)],
        evaluation=[*prompts.get("organ_templates", []), *prompts.get("station_templates", [])],
        labels={"organ": taxonomy.organs, "station": taxonomy.stations},
        scores=[*results.get("scores", {}).get("zero_shot", []), *_of_folds(cfg, run)],
        versions=recipe["versions"],
    )


def _of_folds(cfg: DictConfig, run: Path) -> list[dict[str, Any]]:
    """Scores of the cross-validation that the thresholds were chosen on, where they were."""
    pattern = OmegaConf.select(cfg, "eval.zero_shot.chosen_on")
    return [asdict(score) for score in of_folds(run.parents[2].glob(pattern), cfg.resamples)] if pattern else []


@torch.inference_mode()
def embed(
    model: ImageTextModel, prompts: Mapping[str, Sequence[Sequence[str]]], captions: Sequence[Sentence]
) -> dict[str, Floats]:
    """Embed prompts, one embedding a label, and captions, one each; float32, unit norm."""
    objective = CLIP(model)  # a bundle compares as CLIP does, in the joint space of the towers
    found: dict[str, Any] = {}
    for kind, rows in prompts.items():
        found[kind] = embed_classes(model, objective, rows)
    found["caption"] = embed_texts(model, objective, [caption.text for caption in captions])
    return {kind: np.asarray(value.numpy(), np.float32) for kind, value in found.items()}


def push(folder: Path, reference: str) -> str:
    """Upload a bundle to the Hugging Face hub; the only function here that sends anything anywhere.

    Args:
        folder: a whole bundle.
        reference: `hf:<owner>/<name>`, or `hf:<owner>/<name>@<branch>`.

    Returns:
        The address of the commit, for `hf:<owner>/<name>@<commit>`.

    Raises:
        ValueError: the reference has another form, the bundle isn't whole, or the hub refuses it.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    repo, _, branch = reference.removeprefix("hf:").partition("@")
    if not reference.startswith("hf:") or len([part for part in repo.split("/") if part]) != 2:
        raise ValueError(f"{reference}: write hf:<owner>/<name>, or hf:<owner>/<name>@<branch>")
    read_bundle(folder)
    try:
        api = HfApi()
        api.create_repo(repo, exist_ok=True)
        return str(api.upload_folder(repo_id=repo, folder_path=folder, revision=branch or None).oid)
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{reference}: the upload to the hub failed ({first}); set HF_HUB_OFFLINE=0, and log in with `hf auth "
            "login`"
        ) from error


def _recipe(run: Path) -> tuple[DictConfig, dict[str, Any]]:
    _need(run, "fit", CONFIG, CHECKPOINT)
    cfg = OmegaConf.load(run / CONFIG)
    recipe = read_checkpoint(run / CHECKPOINT).get("recipe", {})
    if not isinstance(cfg, DictConfig) or not {"taxonomy", "model", "versions"} <= set(recipe):
        raise ValueError(f"{run}: its {CONFIG} or {CHECKPOINT} was not written by a run of anatomy_clip")
    if "findings" in recipe["taxonomy"]:
        raise ValueError(f"{run}: was trained on radiographs, but a bundle describes CT and MR; export a run on slices")
    if not wants_of(cfg).joint:
        raise ValueError(
            f"{run}: its objective, {cfg.objective._target_.rpartition('.')[2]}, compares images with texts through "
            "heads of its own, or not at all, but a bundle compares through its towers; export a run of objective=clip"
        )
    _need(run, "evaluate", RESULTS, DECISIONS)
    if not OmegaConf.select(cfg, "eval.zero_shot.prompts"):
        raise ValueError(
            f"{run}: its {CONFIG} has no evaluator zero_shot, but a bundle needs its prompts and thresholds; evaluate "
            "it with eval=zero_shot. A run of version 0.1.0 must be run again with overwrite=true"
        )
    if not OmegaConf.select(cfg, "eval.captions.wording"):
        raise ValueError(
            f"{run}: its {CONFIG} has no evaluator captions, but a bundle needs the wording of its captions; "
            "evaluate it with eval=zero_shot, without eval.captions=null"
        )
    return cfg, recipe


def _need(run: Path, stage: str, *names: str) -> None:
    for name in names:
        if not (run / name).is_file():
            raise ValueError(f"{run}: has no {name}; give the folder of a run with the stage {stage}, or run it again")


def _measured(
    cfg: DictConfig, run: Path, decisions: Mapping[str, Any] | None, taxonomy: Taxonomy
) -> tuple[Mapping[str, Sequence[Sequence[str]]], Mapping[str, Sequence[float]]]:
    """Prompts and offsets of the scores that the thresholds were chosen on."""
    if decisions is None:
        raise ValueError(
            f"{run / DECISIONS}: has no thresholds, because the validation sets had no labels to choose them on; "
            "give data.validation a store with labels, and run it again with overwrite=true"
        )
    if {"prompts", "offsets"} <= set(decisions):
        return decisions["prompts"], decisions["offsets"]
    zero_shot = cfg.eval.zero_shot  # of an evaluation that didn't write them down
    if zero_shot.get("label_prior"):
        raise ValueError(
            f"{run / DECISIONS}: its thresholds were chosen on scores with eval.zero_shot.label_prior, and it does "
            "not contain the offsets that were added; run it again with overwrite=true"
        )
    prompts = EvaluationPrompts(zero_shot.prompts.organ_templates, zero_shot.prompts.station_templates)
    return prompts.texts(taxonomy), {}


def _model(described: Mapping[str, Any], checkpoint: Path) -> ImageTextModel:
    architecture = described["architecture"]
    model = from_config(
        architecture["embed_dim"], architecture["vision_cfg"], architecture["text_cfg"],
        quick_gelu=architecture["quick_gelu"], normalisation=described["normalisation"], weights=str(checkpoint),
    )  # fmt: skip
    return model.eval()


def _preprocessing(cfg: DictConfig, image_size: int) -> Preprocessing:
    """How the training slices were made pictures; stores whose slices differ in display, for variety, don't count."""
    settings = []
    for store in (stores := training_stores(cfg.data)):
        meta = read_meta(store)
        display = meta.get("settings", {}).get("display")
        if display is None:
            raise ValueError(f"{store / 'store.json'}: doesn't state how its slices were displayed; prepare it again")
        if _DISPLAY[0] in display:  # else SeveralDisplays
            shown = Display(**{key: display[key] for key in _DISPLAY})
            settings.append(Preprocessing(shown, meta["side"], image_size))
    if not settings:
        raise ValueError(f"{stores[0]}: no training store has one display for all slices; add such a store")
    if any(one != settings[0] for one in settings):
        raise ValueError(f"{stores[0]}: the training stores differ in display or side; prepare them all alike")
    return settings[0]


def _training_records(cfg: DictConfig) -> Manifest[SliceRecord]:
    trained: Manifest[SliceRecord] = Manifest.join(
        Manifest.read(store / MANIFEST, SLICES) for store in training_stores(cfg.data)
    )
    patients = cfg.data.get("train_patients")
    return trained if patients is None else trained.take(first_patients(trained, patients, cfg.seed))


def _captions(cfg: DictConfig, trained: Manifest[SliceRecord], taxonomy: Taxonomy) -> tuple[Sentence, ...]:
    """Captions that the training slices give, worded as the run is tested."""
    told = cfg.eval.captions
    captions = plausible_captions(trained, taxonomy, tuple(told.wording), told.get("seen", MOST))
    return tuple(Sentence(one.text, one.modality, one.orientation) for one in captions)


def _collections(trained: Manifest[SliceRecord]) -> list[str]:
    """The collections of the training slices, each with its patients and its licence."""
    licences = dict(zip(trained.column("source"), trained.column("licence"), strict=True))
    patients = Counter(source for source, _ in trained.patients())
    return [
        f"{source}: {count} patient{'s' * (count > 1)}, {licences[source] or 'licence not stated'}"
        for source, count in sorted(patients.items())
    ]


def _versions() -> dict[str, str]:
    return {"anatomy_clip": __version__, **{package: version(package) for package in _PACKAGES}}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: is not JSON ({error})") from error


def _short(path: str, names: int) -> str:
    return "/".join(Path(path).parts[-names:]) if Path(path).is_absolute() else path
