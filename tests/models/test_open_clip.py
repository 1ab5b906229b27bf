import open_clip
import pytest
import torch
from batches import make_prompts

from anatomy_clip.models.image_text import NORMALISATIONS, ImageTextModel
from anatomy_clip.models.towers.open_clip import from_config, from_name
from anatomy_clip.objectives.clip import CLIP

VISION = {"image_size": 32, "patch_size": 16, "width": 64, "layers": 2, "head_width": 32}
RESNET = {"image_size": 64, "patch_size": None, "width": 8, "layers": [1, 1, 1, 1]}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}


def twin(vision: dict) -> tuple[ImageTextModel, open_clip.CLIP]:
    """Our model and open_clip's own, with equal weights."""
    torch.manual_seed(0)
    ours = from_config(16, vision, TEXT, quick_gelu=True).eval()
    torch.manual_seed(0)
    theirs = open_clip.CLIP(16, dict(vision), dict(TEXT), quick_gelu=True).eval()
    return ours, theirs


@pytest.mark.parametrize("vision", [VISION, RESNET], ids=["vit", "resnet"])
def test_image_embedding_equals_open_clip(vision):
    ours, theirs = twin(vision)
    side = vision["image_size"]
    grey = torch.randint(0, 256, (3, 1, side, side), dtype=torch.uint8)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in NORMALISATIONS["clip"])
    pixels = (grey.expand(-1, 3, -1, -1) / 255 - mean) / std
    with torch.no_grad():
        expected = theirs.encode_image(pixels, normalize=True)
        features = ours.encode_image(grey)
    torch.testing.assert_close(features.embedding, expected, atol=1e-6, rtol=0)
    width = ours.image.width
    assert width == {"vit": 64, "resnet": 256}["vit" if vision is VISION else "resnet"]
    assert features.pooled.shape == (3, width) and features.local.shape == (3, 4, width)


def test_text_run_to_the_longest_caption_equals_the_full_context():
    ours, theirs = twin(VISION)
    tokens = open_clip.SimpleTokenizer()(["An image of axial CT scan consisting of liver organs", "foot"])
    length = int((tokens != 0).sum(dim=1).max())
    with torch.no_grad():
        expected = theirs.encode_text(tokens, normalize=True)
        torch.testing.assert_close(ours.encode_text(tokens[:, :length]).embedding, expected, atol=1e-6, rtol=0)


def test_text_gradients_of_the_trimmed_caption_equal_the_full_ones():
    ours, theirs = twin(VISION)
    tokens = open_clip.SimpleTokenizer()(["brain", "knee and leg"])
    theirs.encode_text(tokens, normalize=True)[:, 0].sum().backward()
    ours.encode_text(tokens[:, :6]).embedding[:, 0].sum().backward()
    for (name, mine), other in zip(
        ours.text.transformer.named_parameters(), theirs.transformer.parameters(), strict=True
    ):
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-6, rtol=1e-5, msg=name)


def test_a_caption_longer_than_the_context_is_refused():
    ours, _ = twin(VISION)
    with pytest.raises(ValueError, match="78 tokens don't fit the context of 77"):
        ours.encode_text(torch.ones(1, 78, dtype=torch.int64))


def test_prompt_ensemble_is_the_unit_norm_mean():
    ours, _ = twin(VISION)
    tokens = torch.randint(1, 400, (3, 2, 9))
    with torch.no_grad():
        classes = CLIP(ours).embed_classes(ours, make_prompts(tokens))
        single = ours.encode_text(tokens.reshape(6, 9)).embedding.numpy().reshape(3, 2, -1)
    mean = single.mean(axis=1)
    expected = mean / (mean**2).sum(axis=1, keepdims=True) ** 0.5
    torch.testing.assert_close(classes, torch.from_numpy(expected), atol=1e-6, rtol=0)


def test_unknown_names_are_refused_in_words():
    with pytest.raises(ValueError, match="'ViT-B-33' is unknown to open_clip"):
        from_name("ViT-B-33")
    with pytest.raises(ValueError, match="normalisation 'clipp' is unknown"):
        from_config(16, VISION, TEXT, normalisation="clipp")
    with pytest.raises(ValueError, match="vision_cfg: open_clip does not know: imagesize"):
        from_config(16, VISION | {"imagesize": 64}, TEXT)


def test_text_towers_of_another_kind_are_refused_by_what_differs():
    with pytest.raises(ValueError, match=r"only CLIP's causal text transformer .* text\.pool_type="):
        from_name("ViT-B-32-SigLIP2-256")


def test_missing_weights_say_where_they_belong(tmp_path):
    with pytest.raises(ValueError, match="no such weights file"):
        from_config(16, VISION, TEXT, weights=str(tmp_path / "PubMedCLIP_ViT32.pth"))
