"""The README of an exported model: what it is, what it was trained on, what it must not be used for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anatomy_clip.models.image_text import NORMALISATIONS, ImageTextModel

_USAGE = {
    "open_clip": """\
import open_clip

model, preprocess = open_clip.create_model_from_pretrained("local-dir:FOLDER")
tokenizer = open_clip.get_tokenizer("local-dir:FOLDER")""",
    "transformers": """\
from transformers import CLIPModel, CLIPProcessor

model = CLIPModel.from_pretrained("FOLDER")
processor = CLIPProcessor.from_pretrained("FOLDER")""",
}


@dataclass(frozen=True)
class Training:
    """What a run's folder says of how the model came about.

    Attributes:
        name: `<suite>/<name>, seed <n>`; in the suite table3 the name is the column of the paper's Table II.
        start: the weights that training started from.
        stores: names of the training stores.
        sources: the collections in them, each with its patients and its licence; empty where they aren't at hand.
        captions: templates of the training captions.
        augmentation: names of the image augmentations.
        evaluation: templates of the evaluation prompts.
        labels: label kind -> names.
        scores: table cells as `results.json` has them; empty where nothing was tested.
        versions: package -> version.
    """

    name: str
    start: str
    stores: Sequence[str]
    captions: Sequence[str]
    augmentation: Sequence[str]
    evaluation: Sequence[str]
    labels: Mapping[str, Sequence[str]]
    scores: Sequence[Mapping[str, Any]] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    sources: Sequence[str] = ()


def model_card(model: ImageTextModel, training: Training, layout: str) -> str:
    """Write the card in Markdown, with the header that the Hugging Face hub reads."""
    parts = [
        f"---\nlibrary_name: {layout}\npipeline_tag: zero-shot-image-classification\ntags: [clip, ct, mr]\n---",
        f"# {training.name}",
        "A CLIP model that scores a single CT or MR slice against the names of body stations and organs. Trained with "
        "anatomy_clip, which follows Kakkar et al., arXiv 2405.20735.",
        "## Intended use\n\nResearch on image-text models. **Not for diagnosis**, and not a medical device. The "
        "model names the part of the body that a slice shows. It finds no disease, and it can be wrong.",
        f"## Use\n\n```python\n{_USAGE[layout]}\n```\n\n{_input(model)}",
        _data(training),
        _results(training.scores),
        "## Limits\n\nThe model was measured only on the data of the numbers above. On other scanners, protocols and "
        "planes, on children and on altered anatomy it may be worse. It misses organs that are rare in the training "
        "data more often than others. A high score is not a probability. The model does not tell left from right.",
        "## Licence\n\nThe weights derive from the starting weights and the training data named above, and their "
        "licences apply; check them before you pass the model on.",
    ]
    if training.versions:
        parts.append("Made with " + ", ".join(f"{name} {version}" for name, version in training.versions.items()) + ".")
    return "\n\n".join(part for part in parts if part) + "\n"


def _input(model: ImageTextModel) -> str:
    mean, std = NORMALISATIONS[model.normalisation]
    activation = "QuickGELU" if model.architecture["quick_gelu"] else "GELU"
    return (
        f"Input: a slice as a grey picture with isotropic pixels, padded with black to a square of {model.image_size} "
        f"px, the grey copied to three channels, normalised with {model.normalisation}'s mean {list(mean)} and "
        f"standard deviation {list(std)}; up to {model.context_length} tokens of text. Activation: {activation}. "
        f"Logit scale: {model.initial_logit_scale:.4f}."
    )


def _data(training: Training) -> str:
    def listed(items: Sequence[str]) -> str:
        return "\n".join(f"- `{item}`" for item in items) or "- none"

    listing = "\n".join(f"- {one}" for one in training.sources)
    sources = f"Collections in them:\n\n{listing}\n\n" if listing else ""
    labels = "\n\n".join(f"{kind.capitalize()}: {', '.join(names)}." for kind, names in training.labels.items())
    return (
        f"## Data\n\nStarted from: {training.start}.\n\nTraining stores:\n\n{listed(training.stores)}\n\n{sources}"
        f"Training captions:\n\n{listed(training.captions)}\n\nImage augmentation: "
        f"{', '.join(training.augmentation) or 'none'}."
        f"\n\nEvaluation prompts:\n\n{listed(training.evaluation)}\n\n{labels}"
    )


def _results(scores: Sequence[Mapping[str, Any]]) -> str:
    if not scores:
        return "## Results\n\nThis run was not tested."
    rows = [
        f"| `{s['cell']}` | {_percent(s['value'])} | {_percent(s['lo'])} to {_percent(s['hi'])} | {s['n']} |"
        for s in scores
    ]
    head = "| cell | hit@1, % | 95 % interval over patients | slices |\n|---|---:|---:|---:|"
    told = (
        "\n`held_out`: a cross-validation. Other models, trained in the same way, named slices of patients that were "
        "not in their training data. Each patient counts once. This model itself was trained on all patients, so "
        "none is left to test it on."
    )
    lines = ["## Results\n", head, *rows, *([told] if any("/held_out" in s["cell"] for s in scores) else [])]
    return "\n".join(lines)


def _percent(share: float) -> str:
    return "unknown" if math.isnan(share) else f"{100 * share:.1f}"
