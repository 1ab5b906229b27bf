"""Independent CLIPs (open_clip's, transformers') with random weights, and inputs for them."""

import open_clip
import torch
from torch.nn.functional import normalize

VIT = {"image_size": 64, "patch_size": 16, "width": 128, "layers": 2, "head_width": 64}
RESNET = {"image_size": 64, "patch_size": None, "width": 8, "layers": [1, 1, 1, 1], "head_width": 64}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
EMBED = 32
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).reshape(3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).reshape(3, 1, 1)


@torch.no_grad()
def stir(model, seed=0):
    """Random values large enough that activation, order of heads and transposition all show in the embedding."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.named_parameters():
        if value.ndim > 1:
            factor = 0.03 if "embedding" in name else value[0].numel() ** -0.5
            value.add_(torch.randn(value.shape, generator=generator) * factor)
        elif value.ndim:
            value.add_(0.1 * torch.randn(value.shape, generator=generator))
    for name, value in model.named_buffers():
        if name.endswith("running_mean"):
            value.add_(0.1)
    return model.eval()


def open_clip_twin(vision=VIT, quick_gelu=True):
    """open_clip's CLIP with random weights."""
    torch.manual_seed(0)
    model = open_clip.CLIP(EMBED, dict(vision), dict(TEXT), quick_gelu=quick_gelu)
    model.logit_scale.data.fill_(4.25)
    return stir(model)


def pictures(side, count=2):
    """(count, 1, side, side) uint8."""
    return torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def pixels(grey):
    """What the reference takes: three channels, CLIP's normalisation."""
    return (grey.expand(-1, 3, -1, -1) / 255 - MEAN) / STD


def tokens():
    """(3, 77) int64."""
    return open_clip.SimpleTokenizer()(["An image of liver, intestine organs", "knee", "A sagittal MR T2 image"])


@torch.no_grad()
def ours_embeds(model, grey):
    """(image, text) embeddings of our model."""
    return model.encode_image(grey).embedding, model.encode_text(tokens()).embedding


@torch.no_grad()
def open_clip_embeds(model, grey):
    """(image, text) embeddings of open_clip's model."""
    return model.encode_image(pixels(grey), normalize=True), model.encode_text(tokens(), normalize=True)


@torch.no_grad()
def transformers_embeds(model, grey):
    """(image, text) embeddings of transformers' model."""
    output = model(input_ids=tokens(), pixel_values=pixels(grey))
    return normalize(output.image_embeds, dim=-1), normalize(output.text_embeds, dim=-1)


def assert_same(found, expected, atol=1e-5):
    for name, a, b in zip(("image", "text"), found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=atol, rtol=0, msg=lambda text, name=name: f"{name}: {text}")
