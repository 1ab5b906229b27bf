import pytest
import torch
from batches import make_batch
from torch.nn.modules.batchnorm import _BatchNorm

from anatomy_clip.models.adapt.freeze import freeze_statistics, lower_layers, prepare_towers
from anatomy_clip.models.towers.open_clip import from_config
from anatomy_clip.objectives.clip import CLIP
from anatomy_clip.training.optim import adamw

VIT = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 3, "head_width": 16}
RESNET = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None, "head_width": 8}
TIMM_RESNET = {"image_size": 32, "timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"}
TIMM_VIT = {"image_size": 160, "timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear"}
TIMM_LITE = TIMM_RESNET | {"timm_model_name": "tf_efficientnet_lite0"}
TEXT = {"context_length": 16, "vocab_size": 99, "width": 32, "heads": 2, "layers": 3}

VISIONS = {"vit": VIT, "resnet": RESNET, "timm": TIMM_RESNET, "timm_vit": TIMM_VIT, "lite": TIMM_LITE}


def clip(vision=VIT):
    torch.manual_seed(0)
    return from_config(16, vision, TEXT)


def batch(model, n=8):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (n, 1, model.image_size, model.image_size), generator=generator, dtype=torch.uint8)
    tokens = torch.randint(1, 99, (n, 6), generator=generator)
    return make_batch(images, tokens)


def step(model):
    loss = CLIP(model)(model, batch(model)).loss
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("vision", VISIONS.values(), ids=VISIONS)
@pytest.mark.parametrize("image, text", [(2, 0), (0, 3), ("all", 1), (1, "all")])
def test_trained_layers_have_their_gradients_and_frozen_ones_have_none(vision, image, text):
    plain_model = clip(vision)
    still = clip(vision)
    prepare_towers(still, frozen_image=image, frozen_text=text)
    plain_model.eval()  # the statistics of a frozen BatchNorm aren't the batch's; so compare without them
    still.eval()
    (loss, ours), (plain_loss, plain) = step(still), step(plain_model)
    torch.testing.assert_close(loss, plain_loss, atol=1e-6, rtol=1e-6)  # frozen attention has a kernel of its own
    trained = {name for name, p in still.named_parameters() if p.requires_grad}
    assert {name for name, gradient in ours.items() if gradient is not None} == trained
    largest = max(gradient.abs().max() for gradient in plain.values())
    assert max((ours[name] - plain[name]).abs().max() for name in trained) <= 1e-6 * largest
    frozen = {name.split(".")[0] for name in ours.keys() - trained}
    assert frozen == {tower for tower, n in (("image", image), ("text", text)) if n}


@pytest.mark.parametrize("vision", VISIONS.values(), ids=VISIONS)
def test_no_backward_pass_goes_through_frozen_layers(vision):
    model = clip(vision)
    prepare_towers(model, frozen_image=2, frozen_text=2)
    passed = []
    for name in ("image", "text"):
        for n, block in enumerate(lower_layers(getattr(model, name), name)[1]):
            block.register_forward_hook(lambda _m, _i, out, key=(name, n): passed.append((key, out.requires_grad)))
    step(model)
    assert {key for key, tracked in passed if not tracked} == {(name, n) for name in ("image", "text") for n in (0, 1)}
    assert any(tracked for _, tracked in passed)


def test_frozen_weights_and_statistics_stay_put_and_trained_ones_move():
    model = clip(RESNET)
    prepare_towers(model, frozen_image=2)
    model.train()
    freeze_statistics(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = adamw([model], lr=0.1, weight_decay=0.5)
    for _ in range(2):
        step(model)
        optimizer.step()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    lower = ("image.visual.conv", "image.visual.bn", "image.visual.layer1", "image.visual.layer2")
    assert moved
    assert not [name for name in moved if name.startswith(lower)]
    assert any(name.startswith("image.visual.layer3") and "running_mean" in name for name in moved)
    modes = {m.training for n, m in model.named_modules() if isinstance(m, _BatchNorm) and f"{n}.".startswith(lower)}
    assert modes == {False}


def test_more_blocks_than_there_are_and_unknown_designs_are_refused():
    with pytest.raises(
        ValueError, match="frozen_text=9: the text tower has 3 blocks; give a number up to that, or `all`"
    ):
        prepare_towers(clip(), frozen_text=9)
    model = clip()
    model.image = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="frozen_image: the blocks of a Linear are not known"):
        prepare_towers(model, frozen_image=1)


@pytest.mark.parametrize("vision", [VIT, TIMM_VIT], ids=["open_clip", "timm"])
def test_recomputed_activations_give_the_same_step(vision):
    plain_loss, plain = step(clip(vision))
    model = clip(vision)
    prepare_towers(model, checkpoint_activations=True)
    calls = []
    blocks = [b for name in ("image", "text") for b in lower_layers(getattr(model, name), name)[1]]
    for block in blocks:
        block.register_forward_pre_hook(lambda *_: calls.append(1))
    loss, ours = step(model)
    assert torch.equal(loss, plain_loss)
    assert all(torch.equal(ours[name], plain[name]) for name in plain)
    assert len(calls) == 2 * len(blocks)


def test_recomputing_batch_statistics_is_refused():
    with pytest.raises(ValueError, match=r"checkpoint_activations: the image tower has BatchNorm layers"):
        prepare_towers(clip(RESNET), checkpoint_activations=True)


def test_compiled_towers_give_the_same_step_and_keep_the_names():
    plain_loss, plain = step(clip())
    model = clip()
    prepare_towers(model, compile_backend="eager")
    loss, ours = step(model)
    torch.testing.assert_close(loss, plain_loss, atol=1e-6, rtol=1e-6)
    assert ours.keys() == plain.keys()
    assert model.state_dict().keys() == clip().state_dict().keys()
    for name in plain:
        torch.testing.assert_close(ours[name], plain[name], atol=1e-6, rtol=1e-5)
