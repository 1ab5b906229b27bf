"""A ResNet's weights from a file into an image tower, and pooling by attention, against timm and a loop."""

import pytest
import timm
import torch
from models.clips import pictures, stir

from anatomy_clip.models.towers.open_clip import from_config
from anatomy_clip.models.weights.image_tower import load_image_tower, read_trunk

SMALL = {"image_size": 64, "timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"}
ATTENDS = SMALL | {"timm_model_name": "resnet10t", "timm_pool": "abs_attn", "timm_proj": ""}
TEXT = {"context_length": 8, "vocab_size": 99, "width": 16, "heads": 1, "layers": 1}


def made(vision=SMALL, joint=False):
    torch.manual_seed(1)
    return from_config(16, vision, TEXT, normalisation="imagenet", text_tower=False, joint=joint)


def write(path, vision=SMALL):
    """What torchvision publishes: all of a ResNet, its classifier too; files of 2017 have no counts of batches."""
    torch.manual_seed(0)
    state = stir(timm.create_model(vision["timm_model_name"])).state_dict()
    torch.save({name: v for name, v in state.items() if not name.endswith("num_batches_tracked")}, path)
    return path


@pytest.mark.parametrize(("vision", "joint"), [(SMALL, False), (SMALL, True), (ATTENDS, True)])
@torch.no_grad()
def test_maps_are_timms_and_what_the_file_has_not_stays_random(tmp_path, vision, joint):
    file = write(tmp_path / "resnet.pth", vision)
    model, before = made(vision, joint), made(vision, joint).state_dict()
    load_image_tower(model, read_trunk(file))
    theirs = timm.create_model(vision["timm_model_name"]).eval()
    theirs.load_state_dict(torch.load(file, weights_only=True))
    pixels = model.pixels(pictures(64))
    expected = theirs.forward_features(pixels)
    found = model.eval().image(pixels)
    torch.testing.assert_close(found.maps[-1], expected, atol=1e-5, rtol=0)
    if vision is SMALL:
        torch.testing.assert_close(found.pooled, theirs.forward_head(expected, pre_logits=True), atol=1e-5, rtol=0)
    head = {name: v for name, v in model.state_dict().items() if ".head." in name}
    assert bool(head) == (joint or vision is ATTENDS) and all(torch.equal(v, before[name]) for name, v in head.items())
    assert model.provenance.layout == "the image tower of torchvision's names"


def test_another_network_a_missing_file_and_a_lost_tensor_are_refused_by_name(tmp_path):
    file = write(tmp_path / "resnet.pth")
    with pytest.raises(ValueError, match=r"init.image: .*unexpected: visual.trunk.*wrong shape"):
        load_image_tower(made(SMALL | {"timm_model_name": "resnet10t"}), read_trunk(file))
    with pytest.raises(ValueError, match=r"init.image: .*none.pth does not exist; put a ResNet's weights there"):
        read_trunk(tmp_path / "none.pth")
    state = torch.load(file, weights_only=True)
    del state["layer3.0.bn2.weight"]
    torch.save(state, tmp_path / "lost.pth")
    with pytest.raises(ValueError, match=r"missing: visual.trunk.layer3.0.bn2.weight"):
        load_image_tower(made(), read_trunk(tmp_path / "lost.pth"))


@pytest.mark.parametrize("side", [192, 64])  # 6 x 6 places as the weights are, and fewer
@torch.no_grad()
def test_attention_pools_by_the_mean_of_regions_as_a_loop_does(side):
    model = made(ATTENDS | {"image_size": side}, joint=True).eval()
    pool = model.image.visual.head.pool
    found = model.image(model.pixels(pictures(side)))
    for regions, pooled, embedding in zip(found.local, found.pooled, found.embedding, strict=True):
        x = torch.cat([regions.mean(dim=0, keepdim=True), regions])
        if side == 192:
            places = pool.pos_embed
        else:
            grid = pool.pos_embed[1:].T.reshape(1, -1, 6, 6)
            n = side // 32
            grid = torch.nn.functional.interpolate(grid, (n, n), mode="bicubic", antialias=True, align_corners=False)
            places = torch.cat([pool.pos_embed[:1], grid.flatten(2)[0].T])
        query, key, value = pool.qkv(x + places).reshape(len(x), 3, pool.num_heads, -1).unbind(1)
        parts = []
        for head in range(pool.num_heads):
            weights = (query[0, head] @ key[:, head].T / query.shape[-1] ** 0.5).softmax(dim=0)
            parts.append(sum(w * v for w, v in zip(weights, value[:, head], strict=True)))
        expected = torch.cat(parts)
        torch.testing.assert_close(pooled, expected, atol=1e-5, rtol=1e-5)
        projected = torch.nn.functional.normalize(pool.proj(expected), dim=0)
        torch.testing.assert_close(embedding, projected, atol=1e-5, rtol=1e-5)


def test_every_weight_of_a_tower_without_projection_gets_a_gradient():
    model = made(ATTENDS)
    model.image(model.pixels(pictures(64))).pooled.square().sum().backward()
    assert [name for name, weight in model.image.named_parameters() if weight.grad is None] == []
    assert model.image.width == 512


def test_a_second_projection_is_refused():
    with pytest.raises(ValueError, match="set timm_proj to ''"):
        made(ATTENDS | {"timm_proj": "linear"})
