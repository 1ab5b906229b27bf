"""What files say of the network that their weights belong to: config files, markers, and tensor shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from anatomy_clip.models.image_text import NORMALISATIONS

Architecture = dict[str, Any]  # open_clip's keys: embed_dim, quick_gelu, vision_cfg, text_cfg
_QUICK_GELU = {"quick_gelu": True, "gelu": False}
# `transformers` leaves out of config.json what equals its defaults (CLIPTextConfig, CLIPVisionConfig).
_TEXT_DEFAULTS = {
    "vocab_size": 49408, "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12,
    "num_attention_heads": 8, "max_position_embeddings": 77, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
}  # fmt: skip
_IMAGE_DEFAULTS = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
    "image_size": 224, "patch_size": 32, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
}  # fmt: skip
_PUBMEDCLIP = {"best_epoch", "best_loss", "state_dict"}  # what its training code saves
OPENAI_METADATA = ("input_resolution", "context_length", "vocab_size")  # saved among OpenAI's tensors


def of_transformers(config: Mapping[str, Any]) -> Architecture:
    """Turn the content of a CLIPModel's `config.json` into open_clip's keys.

    Raises:
        ValueError: it is another kind of model, or has an activation or an epsilon that isn't CLIP's.
    """
    if config.get("model_type") != "clip":
        raise ValueError(f"config.json: model_type is {config.get('model_type')!r}; only 'clip' can be loaded")
    # files of older versions keep what was changed in `*_config_dict`
    text = _TEXT_DEFAULTS | (config.get("text_config_dict") or {}) | (config.get("text_config") or {})
    image = _IMAGE_DEFAULTS | (config.get("vision_config_dict") or {}) | (config.get("vision_config") or {})
    if text["hidden_act"] != image["hidden_act"] or text["hidden_act"] not in _QUICK_GELU:
        raise ValueError(
            f"config.json: activations {image['hidden_act']!r} (image) and {text['hidden_act']!r} (text); both must be "
            f"the same of {', '.join(_QUICK_GELU)}"
        )
    if not all(math.isclose(tower["layer_norm_eps"], 1e-5, rel_tol=1e-3) for tower in (text, image)):
        raise ValueError("config.json: layer_norm_eps is not 1e-5, as in CLIP")
    return {
        "embed_dim": config.get("projection_dim", 512),
        "quick_gelu": _QUICK_GELU[text["hidden_act"]],
        "vision_cfg": {
            "image_size": image["image_size"],
            "patch_size": image["patch_size"],
            "width": image["hidden_size"],
            "layers": image["num_hidden_layers"],
            "head_width": image["hidden_size"] // image["num_attention_heads"],
            "mlp_ratio": image["intermediate_size"] / image["hidden_size"],
        },
        "text_cfg": {
            "context_length": text["max_position_embeddings"],
            "vocab_size": text["vocab_size"],
            "width": text["hidden_size"],
            "heads": text["num_attention_heads"],
            "layers": text["num_hidden_layers"],
            "mlp_ratio": text["intermediate_size"] / text["hidden_size"],
        },
    }


def to_transformers(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a model's settings (see `load.settings`) into the content of a CLIPModel's `config.json`."""
    activation = next(name for name, quick in _QUICK_GELU.items() if quick == settings["quick_gelu"])
    width = {tower: settings[f"{tower}.width"] for tower in ("vision", "text")}
    common = {"hidden_act": activation, "layer_norm_eps": 1e-5, "projection_dim": settings["embed_dim"]}
    text = {
        "model_type": "clip_text_model",
        "vocab_size": settings["text.vocab_size"],
        "hidden_size": width["text"],
        "intermediate_size": round(width["text"] * settings["text.mlp_ratio"]),
        "num_hidden_layers": settings["text.layers"],
        "num_attention_heads": settings["text.heads"],
        "max_position_embeddings": settings["text.context_length"],
        "bos_token_id": 49406,
        "eos_token_id": 49407,
    }
    image = {
        "model_type": "clip_vision_model",
        "hidden_size": width["vision"],
        "intermediate_size": round(width["vision"] * settings["vision.mlp_ratio"]),
        "num_hidden_layers": settings["vision.layers"],
        "num_attention_heads": width["vision"] // settings["vision.head_width"],
        "image_size": settings["vision.image_size"],
        "patch_size": settings["vision.patch_size"],
    }
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": settings["embed_dim"],
        "text_config": text | common,
        "vision_config": image | common,
    }


def normalisation_of(mean: Any, std: Any) -> str:
    """Name of the normalisation with these channel means and standard deviations.

    Raises:
        ValueError: no preset has them.
    """
    for name, preset in NORMALISATIONS.items():
        pairs = [*zip(preset[0], mean, strict=False), *zip(preset[1], std, strict=False)]
        if len(pairs) == 6 and all(math.isclose(a, b, abs_tol=1e-4) for a, b in pairs):
            return name
    raise ValueError(f"mean {mean} and std {std} are not a known normalisation ({', '.join(NORMALISATIONS)})")


def is_pubmedclip(checkpoint: Mapping[str, Any]) -> bool:
    """Whether a checkpoint has the wrapper that PubMedCLIP's training saves."""
    return set(checkpoint) >= _PUBMEDCLIP


def of_pubmedclip(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """What every PubMedCLIP is: QuickGELU and heads 64 wide, as OpenAI's.

    Of the normalisation its file says nothing: its training had ImageNet's, its copy on the hub has CLIP's.
    """
    width = tensors["ln_final.weight"].shape[0] if "ln_final.weight" in tensors else 0
    return {"quick_gelu": True, "vision.head_width": 64, **({"text.heads": width // 64} if width else {})}


def of_openai(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """What every CLIP of OpenAI is."""
    return of_pubmedclip(tensors) | {"normalisation": "clip"}


def of_shapes(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Image size, context length and the sizes of a BERT, by the shapes of tensors under OpenAI's names."""
    facts: dict[str, Any] = {}
    if "positional_embedding" in tensors:
        facts["text.context_length"] = tensors["positional_embedding"].shape[0]
    if "visual.positional_embedding" in tensors and "visual.conv1.weight" in tensors:
        grid = math.isqrt(tensors["visual.positional_embedding"].shape[0] - 1)
        facts["vision.patch_size"] = tensors["visual.conv1.weight"].shape[-1]
        facts["vision.image_size"] = grid * facts["vision.patch_size"]
    elif "visual.attnpool.positional_embedding" in tensors:  # CLIP's ResNets end at a 32nd of the side
        facts["vision.image_size"] = 32 * math.isqrt(tensors["visual.attnpool.positional_embedding"].shape[0] - 1)
    if (words := tensors.get("transformer.embeddings.word_embeddings.weight")) is not None:
        blocks = {name.split(".")[3] for name in tensors if name.startswith("transformer.encoder.layer.")}
        facts |= {"text.vocab_size": words.shape[0], "text.width": words.shape[1], "text.layers": len(blocks)}
    return facts
