"""Saliency maps of scores of images: what a score owes to each pixel, or to each place of an encoder's last map."""

from __future__ import annotations

from math import isqrt
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate, relu

from anatomy_clip.core.types import Features
from anatomy_clip.evaluation.saliency_cells import GRAD_CAM, GRADIENT
from anatomy_clip.models.image_text import ImageTextModel


class Encoded(NamedTuple):
    """Images and what the encoder makes of them, with the graph between.

    Attributes:
        grey: (B, 1, H, W) float32, 0 to 255.
        features: of the images.
    """

    grey: Tensor
    features: Features


def encode(model: ImageTextModel, images: Tensor) -> Encoded:
    """Encode (B, 1, H, W) uint8 images, so that scores can be explained by their pixels."""
    grey = images.to(torch.float32).requires_grad_()
    return Encoded(grey, model.encode_image(grey))


def maps_of(scores: Tensor, encoded: Encoded) -> dict[str, Tensor]:
    """Explain scores of images by one backward pass for all of them.

    Args:
        scores: (B,), each a function of its own image alone: so the model must be in evaluation mode.
        encoded: the images.

    Returns:
        Kind -> (B, h, w) at its own resolution: GRADIENT, the absolute gradient by the pixels (Simonyan et al. 2014,
        arXiv 1312.6034, section 3.1), and GRAD_CAM where the tower is convolutional and the score depends on its last
        map.
    """
    last = encoded.features.maps[-1:]
    inputs = (encoded.grey, *last)
    slopes = torch.autograd.grad(scores.sum(), inputs, retain_graph=True, allow_unused=True)
    found = {GRADIENT: slopes[0].abs()[:, 0]}
    if last and slopes[1] is not None:
        found[GRAD_CAM] = grad_cam(last[0].detach(), slopes[1])
    return found


def grad_cam(activations: Tensor, slopes: Tensor) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2).

    Args:
        activations: (B, C, h, w) a convolutional map.
        slopes: (B, C, h, w) gradient of the score by it.

    Returns:
        (B, h, w), 0 or more.
    """
    weights = slopes.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
    return relu((weights * activations).sum(dim=1))


def on_grid(regions: Tensor) -> Tensor:
    """(B, R) values of the regions of square images, row by row -> (B, h, h)."""
    return regions.reshape(len(regions), isqrt(regions.shape[1]), -1)


def enlarged(maps: Tensor, side: int) -> Tensor:
    """Maps of any resolution, (B, h, w), less their minimum, bilinearly at that of the image: (B, side, side)."""
    above = maps - maps.amin(dim=(1, 2), keepdim=True)  # 0 where it is flat: rounding can't make a maximum
    return interpolate(above[:, None], (side, side), mode="bilinear", align_corners=False)[:, 0]
