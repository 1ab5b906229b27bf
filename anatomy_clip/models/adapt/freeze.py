"""What training does to the towers themselves: which layers stay as they are, what is recomputed, what is compiled."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from anatomy_clip.models.adapt.low_rank import adapt
from anatomy_clip.models.adapt.mix_styles import mix_styles
from anatomy_clip.models.image_text import ImageTextModel

Frozen = int | Literal["all"]

# Where the networks that we know keep what lies below their first block, and their blocks.
_STEM = (
    "conv1", "class_embedding", "ln_pre", "token_embedding", "positional_embedding",  # open_clip
    "patch_embed", "cls_token", "pos_embed", "norm_pre", "conv_stem", "bn1",  # timm
    "transformer.embeddings",  # a BERT of transformers
)  # fmt: skip
_BLOCKS = ("transformer.resblocks", "blocks", "transformer.encoder.layer")


def prepare_towers(
    model: ImageTextModel,
    *,
    frozen_image: Frozen = 0,
    frozen_text: Frozen = 0,
    mixed_styles: float = 0.0,
    low_rank: int | None = None,
    checkpoint_activations: bool = False,
    compile_backend: str | None = None,
) -> None:
    """Choose what is trained, and how the towers run.

    But for `mixed_styles` and `low_rank`, nothing of it changes the loss or a gradient of what is trained.

    Args:
        model: the model, changed in place; the names of its weights stay, but with `low_rank`.
        frozen_image: lower blocks of the image tower, its stem counted in, that aren't trained; "all": none of it is.
        frozen_text: the same for the text tower.
        mixed_styles: probability with which the styles of a batch's images are mixed behind each of the second to
            fourth blocks of the image tower, see `mix_styles.mix_styles`.
        low_rank: rank of the changes of weights that are trained in place of the weights, see `low_rank.adapt`; None
            trains the weights. Norms stay as they are.
        checkpoint_activations: keep no activations inside transformer blocks, compute them again in the backward pass.
        compile_backend: a backend of `torch.compile`, such as `inductor`; None runs the towers as they are.

    Raises:
        ValueError: there aren't so many blocks, or the tower's design isn't known or doesn't allow it.
    """
    if low_rank is not None:
        if frozen_image or frozen_text:
            raise ValueError(
                "optim.prepare: low_rank already freezes both towers; set frozen_image and frozen_text to 0"
            )
        for tower in model.towers().values():
            adapt(tower, low_rank)
    if mixed_styles:
        mix_styles(model.image, lower_layers(model.image, "image")[1][1:4], mixed_styles)
    for name, tower in model.towers().items():
        freeze(tower, {"image": frozen_image, "text": frozen_text}[name], name)
        if checkpoint_activations:
            _checkpoint_blocks(tower, name)
    if compile_backend is not None:
        for tower in model.towers().values():
            # In place: `torch.compile(tower)` would rename the weights. Captions differ in number and length.
            tower.compile(backend=compile_backend)


def freeze(tower: nn.Module, frozen: Frozen, name: str) -> None:
    """Stop training the stem and the lowest blocks of a tower; their backward pass isn't run at all.

    Args:
        tower: an image or text tower.
        frozen: number of blocks from the input on, or "all" for the whole tower; 0 freezes nothing.
        name: what messages call the tower.

    Raises:
        ValueError: see `prepare_towers`.
    """
    if frozen == "all":
        tower.requires_grad_(False)
        return
    if not frozen:
        return
    stem, blocks = lower_layers(tower, name)
    if not 0 < frozen <= len(blocks):
        raise ValueError(
            f"frozen_{name}={frozen}: the {name} tower has {len(blocks)} blocks; give a number up to that, or `all`"
        )
    for part in (*stem, *blocks[:frozen]):
        part.requires_grad_(False)


def lower_layers(tower: nn.Module, name: str) -> tuple[list[nn.Module | nn.Parameter], list[nn.Module]]:
    """Take a tower apart from its input on: what lies below the first block, and the blocks.

    Raises:
        ValueError: it is neither a transformer nor a ResNet of open_clip's or timm's design, nor a BERT.
    """
    body = _body(tower)
    for path in _BLOCKS:
        if (blocks := _at(body, path)) is not None:
            return [part for key in _STEM if (part := _at(body, key)) is not None], list(blocks)
    if not hasattr(body, "layer1"):
        raise ValueError(
            f"frozen_{name}: the blocks of a {type(body).__name__} are not known; freeze `all` of it, or 0"
        )
    children = dict(body.named_children())
    first = list(children).index("layer1")
    stages = [child for key, child in children.items() if key.startswith("layer")]
    return [*list(children.values())[:first]], stages


def is_frozen(part: nn.Module) -> bool:
    """Whether no weight of a part is trained."""
    return not any(weight.requires_grad for weight in part.parameters())


def freeze_statistics(model: nn.Module) -> None:
    """Put every part without a trained weight into evaluation mode, so that its BatchNorm statistics stay as well."""
    for module in model.modules():
        if is_frozen(module) and any(True for _ in module.parameters()):
            module.eval()


def _checkpoint_blocks(tower: nn.Module, name: str) -> None:
    if any(isinstance(module, _BatchNorm) for module in tower.modules()):
        raise ValueError(
            f"checkpoint_activations: the {name} tower has BatchNorm layers, and these would count each batch twice in "
            "their statistics; set it to false"
        )
    body = _body(tower)
    transformer: Any = getattr(body, "transformer", None)
    if hasattr(transformer, "grad_checkpointing"):  # open_clip's
        transformer.grad_checkpointing = True
    elif hasattr(body, "set_grad_checkpointing"):  # timm's
        body.set_grad_checkpointing(True)  # type: ignore[operator]
    else:
        raise ValueError(f"checkpoint_activations: a {type(body).__name__} ({name} tower) does not support it")


def _at(body: nn.Module, path: str) -> Any:
    """What stands at a dotted path; None where nothing does."""
    try:
        return attrgetter(path)(body)
    except AttributeError:
        return None


def _body(tower: nn.Module) -> nn.Module:
    """The network inside our wrapper, and inside open_clip's wrapper of timm's."""
    for key in ("visual", "trunk"):
        tower = getattr(tower, key, tower)
    return tower
