"""Saliency maps of networks by hand, where the answer is known."""

import numpy as np
import torch
from torch import nn

from anatomy_clip.core.types import Features
from anatomy_clip.evaluation.saliency_maps import encode, enlarged, grad_cam, maps_of, on_grid

SIDE, CHANNELS, WIDTH = 6, 3, 4


class Plain(nn.Module):
    """Features that are sums of weighted pixels; no maps."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.randn(WIDTH, SIDE * SIDE, generator=torch.Generator().manual_seed(0)))

    def encode_image(self, grey):
        pooled = grey.flatten(1) @ self.weights.T
        return Features(pooled, pooled[:, None])


class OneLayer(nn.Module):
    """A convolution, a ReLU, and a mean over places; in float64."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Conv2d(1, CHANNELS, 3, stride=2, padding=1).double()

    def encode_image(self, grey):
        found = torch.relu(self.layer(grey.double() / 255))
        pooled = found.mean(dim=(2, 3))
        return Features(pooled, found.flatten(2).mT, maps=(found.detach() + 1, found))  # of these the last counts


def images(count=5):
    return torch.from_numpy(np.random.default_rng(4).integers(0, 256, (count, 1, SIDE, SIDE), np.uint8))


def test_the_gradient_of_a_linear_network_is_its_weights():
    model = Plain()
    head = torch.tensor([1.0, -2, 0.5, 3])
    encoded = encode(model, images())
    found = maps_of(encoded.features.pooled @ head, encoded)
    assert list(found) == ["gradient"]  # without maps there is no Grad-CAM
    expected = (head @ model.weights).abs().reshape(SIDE, SIDE)
    torch.testing.assert_close(found["gradient"], expected.expand(5, SIDE, SIDE))
    assert model.weights.grad is None


def test_scores_of_several_findings_share_a_pass_and_do_not_mix():
    model = Plain()
    encoded = encode(model, images())
    number = torch.tensor([0, 1, 2, 3, 1])
    found = maps_of(encoded.features.pooled[torch.arange(5), number], encoded)["gradient"]
    torch.testing.assert_close(found, model.weights[number].abs().reshape(5, SIDE, SIDE))
    again = maps_of(encoded.features.pooled[:, 0], encoded)["gradient"]  # the graph is still there
    torch.testing.assert_close(again[0], found[0])


def test_grad_cam_is_that_of_the_equations():
    model, head = OneLayer(), torch.tensor([1.5, -1.0, 0.7]).double()
    encoded = encode(model, images())
    found = maps_of((encoded.features.pooled**2) @ head, encoded)["grad_cam"].numpy()
    weight, bias = model.layer.weight.detach().numpy(), model.layer.bias.detach().numpy()
    for n, image in enumerate(images().double().numpy()[:, 0] / 255):
        padded, places = np.pad(image, 1), range(0, SIDE, 2)
        maps = np.array([[[max(0, (padded[y : y + 3, x : x + 3] * weight[c, 0]).sum() + bias[c]) for x in places]
                          for y in places] for c in range(CHANNELS)])  # fmt: skip
        pooled, count = maps.mean(axis=(1, 2)), maps[0].size
        expected = np.zeros(maps[0].shape)
        for c in range(CHANNELS):
            alpha = sum(2 * pooled[c] * float(head[c]) / count for _ in np.ndindex(maps[c].shape)) / count
            expected += alpha * maps[c]
        np.testing.assert_allclose(found[n], np.maximum(expected, 0), atol=1e-12)
    assert found.max() > 0


def test_a_score_that_does_not_depend_on_the_last_map_has_no_grad_cam():
    encoded = encode(OneLayer(), images())
    assert list(maps_of(encoded.grey.mean(dim=(1, 2, 3)), encoded)) == ["gradient"]
    assert (grad_cam(torch.ones(1, 2, 2, 2), -torch.ones(1, 2, 2, 2)) == 0).all()


def test_regions_stand_row_by_row_and_flat_maps_stay_flat():
    regions = torch.arange(9.0)[None]
    assert on_grid(regions)[0].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    large = enlarged(on_grid(regions), 12)[0]
    assert large[-1, -1] == large.max() == 8 and large[0, 0] == 0
    assert (enlarged(torch.full((1, 3, 3), 0.1), 12) == 0).all()
    torch.testing.assert_close(enlarged(on_grid(regions + 2), 3)[0], regions.reshape(3, 3))
