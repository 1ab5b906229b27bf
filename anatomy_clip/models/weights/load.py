"""Weights from files into a model: every statement of the files is compared with the model, every tensor by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from torch import Tensor

from anatomy_clip.models.adapt.low_rank import merged
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.models.tokenizers import Tokenizer, WordPieceTokenizer, read_word_pieces
from anatomy_clip.models.towers import bert
from anatomy_clip.models.towers.words import WordConfig
from anatomy_clip.models.weights import architecture, names
from anatomy_clip.models.weights.checks import check_facts, check_keys
from anatomy_clip.models.weights.golden import provenance
from anatomy_clip.models.weights.read import OPEN_CLIP_CONFIG, WeightFile, locate, read_checkpoint
from anatomy_clip.models.words import WordTokenizer

_MODEL_PREFIX, _OWN_SCALE = "model.", "objective.logit_scale"  # where the training module keeps them
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.")  # of DistributedDataParallel and torch.compile
# Buffers that other versions save and ours makes by itself
_IGNORED = {
    "text_model.embeddings.position_ids", "vision_model.embeddings.position_ids", "attn_mask",
    "text.transformer.embeddings.position_ids", *architecture.OPENAI_METADATA,
}  # fmt: skip
# Keys of open_clip's configurations that change nothing about the network
_NO_ARCHITECTURE = {
    "vision.timm_model_pretrained", "vision.output_tokens", "vision.patch_dropout", "vision.timm_drop",
    "vision.timm_drop_path", "text.output_tokens", "text.hf_tokenizer_name", "text.hf_model_pretrained",
}  # fmt: skip
OWN = "anatomy_clip"  # the layout of our own checkpoints
_TOKENIZERS: dict[str, Callable[[Any], Tokenizer]] = {"tokenizer": WordPieceTokenizer, "vocabulary": WordTokenizer}


@dataclass(frozen=True)
class Weights:
    """What was read of a file.

    Attributes:
        source: as the config names it.
        file: where the tensors came from.
        layout: whose tensor names the file has.
        tensors: by the names of `ImageTextModel`, perhaps in half precision; `logit_scale` among them.
        facts: what the file says of the network, by the names of `settings`.
        tokenizer: what the text tower's ids stand for; None for CLIP's, which open_clip carries.
    """

    source: str
    file: Path
    layout: str
    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    tokenizer: Tokenizer | None = None


def settings(architecture: Mapping[str, Any], normalisation: str | None = None) -> dict[str, Any]:
    """Flatten open_clip's configuration keys, with its defaults filled in: `vision.image_size`, `text.heads`, ...

    Raises:
        ValueError: a key isn't open_clip's, or `WordConfig`'s where the text tower is one of whole words.
    """
    flat: dict[str, Any] = {
        "embed_dim": architecture["embed_dim"],
        "quick_gelu": bool(architecture.get("quick_gelu", False)),
    }
    vision, text = architecture["vision_cfg"], architecture["text_cfg"]
    words = bool(text.get("words"))
    towers = {
        "vision": _filled(CLIPVisionCfg, vision, "vision_cfg"),
        "text": asdict(WordConfig.of(text)) if words else _filled(CLIPTextCfg, text, "text_cfg"),
    }
    for tower, keys in towers.items():
        flat |= {f"{tower}.{key}": list(v) if isinstance(v, tuple) else v for key, v in keys.items()}
    flat = {key: value for key, value in flat.items() if key not in _NO_ARCHITECTURE}
    if not words:
        flat["text.hf_model_name"] = bool(flat["text.hf_model_name"])  # repositories change their names
    return flat | ({} if normalisation is None else {"normalisation": normalisation})


def _filled(kind: Any, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Keys of open_clip's with its defaults."""
    if unknown := sorted(set(given) - {f.name for f in fields(kind)}):
        raise ValueError(f"{where}: open_clip does not know: {', '.join(unknown)}")
    return asdict(kind(**given))


def read_weights(source: str | Path) -> Weights:
    """Read weights in any layout that is known, without running code in them.

    Known are the tensor names of OpenAI's CLIP (PubMedCLIP, open_clip, OpenAI's archives), of
    `transformers.CLIPModel`, and of this project's checkpoints; see `read.locate` for what `source` may be.

    Raises:
        ValueError: nothing is there, it can't be read, or its layout isn't known.
    """
    located = locate(source)
    checkpoint = read_checkpoint(located.path)
    if "recipe" in checkpoint:
        return _own(str(source), located.path, checkpoint)
    tensors = _unwrap(checkpoint)
    metadata = set(architecture.OPENAI_METADATA) <= set(tensors)
    tensors = {name: tensor for name, tensor in tensors.items() if name not in _IGNORED}
    if names.is_transformers(tensors):
        layout, tensors = "transformers", names.from_transformers(tensors)
    elif names.is_openai(tensors := names.from_custom_text(tensors)):
        layout = "OpenAI's names"
    elif names.has_bert(tensors):
        layout = "open_clip's names, with a BERT"
    else:
        some = ", ".join(list(tensors)[:5]) or "none at all"
        raise ValueError(
            f"{located.path}: its tensors are not those of a CLIP model in a known layout; their names: {some}"
        )
    known = architecture.of_shapes(tensors)
    if metadata:
        known |= architecture.of_openai(tensors)
    elif architecture.is_pubmedclip(checkpoint):
        known |= architecture.of_pubmedclip(tensors)
    try:
        known |= _facts(located)
    except ValueError as error:
        raise ValueError(f"{located.path.parent}: {error}") from error
    tokenizer = read_word_pieces(located.path.parent) if names.has_bert(tensors) else None
    return Weights(str(source), located.path, layout, names.from_openai(tensors), known, tokenizer)


def load_weights(model: ImageTextModel, weights: Weights) -> None:
    """Fill a model, take over the temperature, and write where it came from to `model.provenance`.

    Raises:
        ValueError: what the file says contradicts the model, or names or shapes don't fit; the message names them.
    """
    check_facts(settings(model.architecture, model.normalisation), weights.facts, str(weights.file))
    tensors = dict(weights.tensors)
    expected = model.state_dict()
    if weights.layout != OWN or names.LOGIT_SCALE in tensors:  # an objective of ours may have no temperature
        expected[names.LOGIT_SCALE] = torch.tensor(model.initial_logit_scale)
    check_keys(expected, tensors, str(weights.file))
    scale = float(tensors.pop(names.LOGIT_SCALE, model.initial_logit_scale))
    if not math.isfinite(scale):
        raise ValueError(f"{weights.file}: logit_scale is {scale}")
    model.load_state_dict(tensors)
    model.initial_logit_scale = scale
    model.provenance = provenance(model, weights.source, weights.layout, weights.file)


def _own(source: str, path: Path, checkpoint: Mapping[str, Any]) -> Weights:
    if not checkpoint["recipe"].get("finished"):
        raise ValueError(f"{path}: its training has not finished; run that experiment again, and it continues")
    state = checkpoint.get("state_dict")
    if not isinstance(state, Mapping):
        raise ValueError(f"{path}: has a recipe but no state_dict; it is not a checkpoint of a training")
    of_model = {key: value for key, value in state.items() if key.startswith(_MODEL_PREFIX)}
    tensors = merged({key.removeprefix(_MODEL_PREFIX): value for key, value in of_model.items()})
    if _OWN_SCALE in state:
        tensors[names.LOGIT_SCALE] = state[_OWN_SCALE]
    described = checkpoint["recipe"].get("model")
    if not described:
        return Weights(source, path, OWN, tensors, {})
    known = settings(described["architecture"], described["normalisation"])
    tokenizer = next((make(described[key]) for key, make in _TOKENIZERS.items() if key in described), None)
    return Weights(source, path, OWN, tensors, known, tokenizer)


def _unwrap(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    inner = next((checkpoint[key] for key in _WRAPPERS if isinstance(checkpoint.get(key), Mapping)), checkpoint)
    tensors = {key: value for key, value in inner.items() if isinstance(value, Tensor)}
    while prefix := next((p for p in _PREFIXES if tensors and all(key.startswith(p) for key in tensors)), None):
        tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors


def _facts(located: WeightFile) -> dict[str, Any]:
    """What the config files beside the weights say."""
    if located.open_clip is not None:
        model, prepare = (located.open_clip.get(key) or {} for key in ("model_cfg", "preprocess_cfg"))
        if not {"embed_dim", "vision_cfg", "text_cfg"} <= set(model):
            raise ValueError(f"{OPEN_CLIP_CONFIG} has no complete model_cfg")
        given = {"mean", "std"} <= set(prepare)
        known = settings(model, architecture.normalisation_of(prepare["mean"], prepare["std"]) if given else None)
        # sizes of a tower from the hub stand in a file of their own there: the defaults filled in would be wrong
        unsaid = [key for key in bert.SIZES if known["text.hf_model_name"] and key not in model["text_cfg"]]
        return {key: value for key, value in known.items() if key.removeprefix("text.") not in unsaid}
    if located.transformers is None:
        return {}
    known = settings(architecture.of_transformers(located.transformers))
    prepare = located.preprocessor or {}
    if {"image_mean", "image_std"} <= set(prepare):
        known["normalisation"] = architecture.normalisation_of(prepare["image_mean"], prepare["image_std"])
    return known


def settle(name: str, stated: Any, weights: Weights | None, free: Any) -> Any:
    """A setting's value: as the config states it, else as the file says; free to choose where there is no file.

    Raises:
        ValueError: the config leaves it open and the file can't tell.
    """
    if stated is not None:
        return stated
    if weights is None:
        return free
    if name not in weights.facts:
        raise ValueError(f"{weights.file}: it does not state its {name}, and a guess could be wrong; set model.{name}")
    return weights.facts[name]
