"""MixStyle against its equations written out, and that it touches training alone."""

import numpy as np
import pytest
import torch

from anatomy_clip.models.adapt.freeze import freeze_statistics, prepare_towers
from anatomy_clip.models.adapt.mix_styles import mixed
from anatomy_clip.models.towers.open_clip import from_config

LITE = {"image_size": 32, "timm_model_name": "tf_efficientnet_lite0", "timm_pool": "avg", "timm_proj": "linear"}
TEXT = {"context_length": 16, "vocab_size": 99, "width": 32, "heads": 2, "layers": 1}


def test_maps_get_the_mean_and_deviation_of_the_mixed_style():
    rng = np.random.default_rng(0)
    maps, shares, partners = rng.normal(1, 2, (5, 3, 4, 6)), rng.uniform(size=5), np.array([1, 0, 4, 3, 2])
    expected = np.empty_like(maps)
    for b in range(5):
        for c in range(3):
            own, other = maps[b, c], maps[partners[b], c]
            deviation = shares[b] * own.std() + (1 - shares[b]) * other.std()
            mean = shares[b] * own.mean() + (1 - shares[b]) * other.mean()
            expected[b, c] = (own - own.mean()) / own.std() * deviation + mean
    ours = mixed(torch.from_numpy(maps), torch.from_numpy(shares), torch.from_numpy(partners))
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("frozen", [0, 5])
def test_training_mixes_and_evaluation_does_not(frozen):
    torch.manual_seed(0)
    model, plain = from_config(8, LITE, TEXT), from_config(8, LITE, TEXT)
    plain.load_state_dict(model.state_dict())
    prepare_towers(model, frozen_image=frozen, mixed_styles=1.0)
    images = torch.randint(0, 256, (6, 1, 32, 32), dtype=torch.uint8)
    model.eval(), plain.eval()
    assert torch.equal(model.encode_image(images).joint, plain.encode_image(images).joint)
    model.train()
    freeze_statistics(model)
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.eval()  # so that nothing else differs from evaluation
    assert not torch.allclose(model.encode_image(images).joint, plain.encode_image(images).joint, atol=1e-4)
    torch.manual_seed(1)
    first = model.encode_image(images).joint
    torch.manual_seed(1)
    assert torch.equal(first, model.encode_image(images).joint)
