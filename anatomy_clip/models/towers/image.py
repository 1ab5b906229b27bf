"""Image towers around open_clip's networks: vision transformer, timm network, CLIP's ResNet."""

from __future__ import annotations

import torch
from open_clip.modified_resnet import AttentionPool2d, ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention

from anatomy_clip.core.types import Features
from anatomy_clip.models.tower import Tower


class VisionTower(Tower):
    """A vision transformer whose projection is kept apart.

    Args:
        visual: open_clip's network.
        joint: keep its projection into the joint space.
    """

    projections = ("projection",)

    def __init__(self, visual: VisionTransformer, joint: bool = True) -> None:
        super().__init__()
        self.width = int(visual.proj.shape[0])
        self.projection = nn.Parameter(visual.proj.detach().clone()) if joint else None  # (W, D)
        visual.proj = None
        visual.output_tokens = True
        self.visual = visual

    def forward(self, pixels: Tensor) -> Features:
        """Embed (B, 3, H, W) normalised images; `local` is (B, patches, W)."""
        pooled, tokens = self.visual(pixels)
        return Features(pooled, tokens, None if self.projection is None else _unit(pooled @ self.projection))


class TimmTower(Tower):
    """A timm network, pooled as it pools or by attention (timm_pool abs_attn, rot_attn); arguments as of `VisionTower`.

    Raises:
        ValueError: two projections were asked for, since attention has its own.
    """

    def __init__(self, visual: TimmModel, joint: bool = True) -> None:
        super().__init__()
        self.width = int(visual.trunk.num_features)
        self.attends = hasattr(visual.head, "pool")
        if self.attends and len(visual.head) > 1:
            raise ValueError(
                "model.vision: timm_pool with attention has its own projection at its end; set timm_proj to ''"
            )
        head = "visual.head.pool.proj." if self.attends else "visual.head."
        self.projections = (head, f"visual.trunk.{visual.trunk.pretrained_cfg['classifier']}.")
        stages = visual.trunk.feature_info
        if len({stage["reduction"] for stage in stages}) > 1:  # a pyramid; a transformer's layers are all of one size
            self.map_widths = tuple(stage["num_chs"] for stage in stages)
        # convolutions over channels-last weights are a third quicker on CPU, and on GPU in mixed precision
        self.visual = visual.to(memory_format=torch.channels_last)
        self.joint = joint
        if not joint and self.attends:
            visual.head.pool.proj = nn.Identity()
        elif not joint:
            visual.head = None
            visual.trunk.reset_classifier(0)

    def forward(self, pixels: Tensor) -> Features:
        """Embed (B, 3, H, W) normalised images; `local` is (B, regions or patches, W)."""
        trunk = self.visual.trunk
        maps: list[Tensor] = []
        if self.map_widths:
            features, maps = trunk.forward_intermediates(pixels)  # (B, W, H, W)
        else:
            features = trunk.forward_features(pixels)  # (B, R, W)
        local = features.flatten(2).transpose(1, 2) if features.ndim == 4 else features
        if self.attends:
            pooled = self.visual.head.pool(features, pre_logits=True)  # (B, W)
            projected = self.visual.head.pool.proj(pooled) if self.joint else None
        else:
            pooled = trunk.forward_head(features, pre_logits=True)  # (B, W)
            projected = self.visual.head(trunk.get_classifier()(pooled)) if self.joint else None
        return Features(pooled, local, None if projected is None else _unit(projected), tuple(maps))


class ResNetTower(Tower):
    """CLIP's ResNet, which pools by attention; arguments as of `VisionTower`."""

    projections = ("visual.attnpool.c_proj.",)

    def __init__(self, visual: ModifiedResNet, joint: bool = True) -> None:
        super().__init__()
        self.width = int(visual.attnpool.c_proj.in_features)
        self.map_widths = tuple(self.width // 2**n for n in (3, 2, 1, 0))
        self.visual = visual.to(memory_format=torch.channels_last)
        if not joint:
            visual.attnpool.c_proj = None

    def forward(self, pixels: Tensor) -> Features:
        """Embed (B, 3, H, W) normalised images; `local` is (B, regions, W)."""
        maps = [self.visual.stem(pixels)]
        for layer in (self.visual.layer1, self.visual.layer2, self.visual.layer3, self.visual.layer4):
            maps.append(layer(maps[-1]))
        local = maps[-1].flatten(2).transpose(1, 2)  # (B, R, W)
        pool = self.visual.attnpool
        pooled = _attention_pool(pool, local)
        embedding = None if pool.c_proj is None else _unit(pool.c_proj(pooled))
        return Features(pooled, local, embedding, tuple(maps[1:]))


def _attention_pool(pool: AttentionPool2d, local: Tensor) -> Tensor:
    """Pool (B, R, W) regions as (B, W): the attention of their mean to all of them (Radford et al. 2021, 2.4)."""
    x = torch.cat([local.mean(dim=1, keepdim=True), local], dim=1) + pool.positional_embedding  # (B, 1 + R, W)
    parts = (pool.q_proj(x[:, :1]), pool.k_proj(x), pool.v_proj(x))
    query, key, value = (part.unflatten(-1, (pool.num_heads, -1)).transpose(1, 2) for part in parts)
    pooled = scaled_dot_product_attention(query, key, value)  # (B, heads, 1, W / heads)
    flat: Tensor = pooled.transpose(1, 2).flatten(1)
    return flat


def _unit(x: Tensor) -> Tensor:
    return normalize(x, dim=-1)
