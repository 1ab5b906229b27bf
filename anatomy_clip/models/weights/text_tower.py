"""A BERT that was trained before, into the text tower of a new model; everything else of that model stays as it is."""

from __future__ import annotations

from pathlib import Path

from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.models.tokenizers import read_word_pieces
from anatomy_clip.models.towers.bert import bert_facts
from anatomy_clip.models.weights.checks import check_facts, check_keys
from anatomy_clip.models.weights.golden import provenance
from anatomy_clip.models.weights.load import Weights, settings
from anatomy_clip.models.weights.read import locate, read_checkpoint

_PREFIX, _POOLER = "transformer.", "transformer.pooler."  # of names in our text tower
_UNREAD = ("cls.", "embeddings.position_ids")  # heads of its own training, and numbers that count up
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}  # of files made by TensorFlow
_WANTED = "config.json, model.safetensors or pytorch_model.bin, and vocab.txt or tokenizer.json"


def read_text_tower(folder: str | Path) -> Weights:
    """Read a plain BERT, such as ClinicalBERT, from a folder of `transformers`.

    Args:
        folder: holds its configuration, its weights and the vocabulary of its word pieces.

    Raises:
        ValueError: something isn't there or can't be read, or it is no BERT of the base design.
    """
    where = f"model.text_weights: {folder}"
    if not Path(folder).is_dir():
        raise ValueError(f"{where}: no such folder; put a BERT there: {_WANTED}")
    located = locate(folder)
    if located.transformers is None:
        raise ValueError(f"{where}: has no BERT of transformers; it needs {_WANTED}")
    try:
        facts = bert_facts(located.transformers)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    tensors = {}
    for name, tensor in read_checkpoint(located.path).items():
        name = name.removeprefix("bert.")
        if not name.startswith(_UNREAD):
            for old, new in _OLD_NAMES.items():
                name = name.replace(old, new)
            tensors[_PREFIX + name] = tensor
    tokenizer = read_word_pieces(located.path.parent)
    return Weights(str(folder), located.path, "a BERT of transformers", tensors, facts, tokenizer)


def load_text_tower(model: ImageTextModel, weights: Weights) -> None:
    """Fill the BERT of a model's text tower, and write where it came from to `model.provenance`.

    A joint projection stays random. BERT's own pooling layer is left out where the tower pools in another way.

    Raises:
        ValueError: the BERTs differ; names the settings or tensors.
    """
    where = f"model.text_weights: {weights.file}"
    check_facts(settings(model.architecture), weights.facts, where)
    tower = model.towers()["text"]
    expected = {name: tensor for name, tensor in tower.state_dict().items() if name.startswith(_PREFIX)}
    found = {name: v for name, v in weights.tensors.items() if name in expected or not name.startswith(_POOLER)}
    check_keys(expected, found, where)
    tower.load_state_dict(found, strict=False)
    model.provenance = provenance(model, weights.source, weights.layout, weights.file)
