"""EfficientNet-Lite0 against the package whose weights it reads; the true weights too, where they are downloaded."""

import os
from pathlib import Path

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from models.clips import pictures
from models.lite import lite0, write

from anatomy_clip.core.files import sha256_of
from anatomy_clip.models.towers.open_clip import from_config
from anatomy_clip.models.weights.image_tower import load_image_tower
from anatomy_clip.models.weights.imagenet import read_imagenet
from anatomy_clip.sources.download.collections import collections

LITE = {"timm_model_name": "tf_efficientnet_lite0", "timm_pool": "avg", "timm_proj": "linear"}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1}
WEIGHTS = Path(os.environ.get("WEIGHTS", Path(__file__).resolve().parents[2] / "weights")) / "imagenet"
[PACKAGE] = collections()["imagenet"].packages
[(NAME, SHA256)] = PACKAGE.files.items()
TRUE = PACKAGE.folder(WEIGHTS) / NAME


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A file of random weights."""
    return write(lite0(), tmp_path_factory.mktemp("lite") / "lite0.pth")


@pytest.fixture(params=["random", "true"])
def file(request):
    if request.param == "random":
        return request.getfixturevalue("made")
    if not TRUE.is_file():
        pytest.skip("ImageNet's weights aren't here: `anatomy-clip download imagenet weights`, or set WEIGHTS")
    return TRUE


def loaded(file, side, joint=False):
    model = from_config(8, LITE | {"image_size": side}, TEXT, normalisation="inception", joint=joint)
    load_image_tower(model, read_imagenet(file, sha256_of(file)))
    return model.eval()


@pytest.mark.parametrize("side", [128, 224])
@torch.no_grad()
def test_outputs_equal_the_packages(file, side):
    theirs = EfficientNet.from_name("efficientnet-lite0").double().eval()  # float32 rounds to 1e-5, in another order
    theirs.load_state_dict(torch.load(file, weights_only=True))
    grey = pictures(side)
    pixels = (grey.expand(-1, 3, -1, -1).double() / 255 - 0.5) / 0.5
    maps, logits = theirs.extract_features(pixels), theirs(pixels)
    found = loaded(file, side).double().encode_image(grey)
    assert (maps[0] - maps[1]).abs().max() > 0.1  # it doesn't say the same of every image
    torch.testing.assert_close(found.local, maps.flatten(2).transpose(1, 2), atol=1e-9, rtol=0)
    torch.testing.assert_close(found.pooled, maps.mean(dim=(2, 3)), atol=1e-9, rtol=0)
    torch.testing.assert_close(theirs._fc(found.pooled), logits, atol=1e-9, rtol=0)


def test_the_joint_projection_stays_as_it_was_and_the_source_is_told(made):
    torch.manual_seed(1)
    before = from_config(8, LITE | {"image_size": 32}, TEXT).state_dict()
    torch.manual_seed(1)
    model = loaded(made, 32, joint=True)
    same = {name for name, tensor in model.state_dict().items() if torch.equal(tensor, before[name])}
    trunk = {name for name in before if name.startswith("image.visual.trunk.")}
    assert before.keys() - trunk <= same  # text tower and projection
    # all of the trunk but the counts of batches is another
    assert {name for name in trunk & same if not name.endswith("num_batches_tracked")} == set()
    assert model.provenance.source == "imagenet" and model.provenance.sha256 == sha256_of(made)


def swapped(tensors, a, b):
    """The same tensors, two of them in each other's place."""
    names = list(tensors)
    at, to = names.index(a), names.index(b)
    names[at], names[to] = names[to], names[at]
    return {name: tensors[name] for name in names}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: swapped(t, "_bn0.weight", "_bn0.bias"), r"_bn0.bias \(32,\) is where timm .* has bn1.weight"),
        (lambda t: swapped(t, "_conv_stem.weight", "_conv_head.weight"),
         r"_conv_head.weight \(1280, 320, 1, 1\) is where .* has conv_stem.weight \(32, 3, 3, 3\)"),
        (lambda t: {name: v for name, v in t.items() if name != "_fc.bias"}, "has 295 tensors, timm .* 296"),
    ],
    ids=["two of one shape", "two shapes", "one is missing"],
)  # fmt: skip
def test_tensors_in_another_order_are_refused_by_name(tmp_path, made, change, message):
    path = tmp_path / "other.pth"
    torch.save(change(torch.load(made, weights_only=True)), path)
    with pytest.raises(ValueError, match=message):
        read_imagenet(path, sha256_of(path))


def test_a_file_with_another_checksum_is_not_read(made):
    with pytest.raises(ValueError, match=r"lite0\.pth: SHA-256 is .*, not 579344248a93.*download it again"):
        read_imagenet(made, SHA256)
