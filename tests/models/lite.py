"""The package efficientnet-lite-pytorch's EfficientNet-Lite0 with random weights, and its file."""

import torch
from efficientnet_lite_pytorch import EfficientNet
from models.clips import stir


def lite0():
    """Their network, each tensor of it other than it starts."""
    torch.manual_seed(0)
    model = stir(EfficientNet.from_name("efficientnet-lite0"))
    for name, value in model.named_buffers():
        if name.endswith("running_var"):
            value.mul_(torch.rand_like(value) + 0.5)
    return model


def write(model, path):
    """Save in the form of 2020, before torch wrote zip files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    return path
