import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from anatomy_clip.models.adapt.freeze import freeze_statistics, prepare_towers
from anatomy_clip.models.adapt.low_rank import adapt, merged
from anatomy_clip.models.towers.open_clip import from_config

VIT = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16}
RESNET = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None, "head_width": 8}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
TOWERS = pytest.mark.parametrize("vision", [VIT, RESNET], ids=["vit", "resnet"])


def clip(vision, **more):
    torch.manual_seed(0)
    return from_config(16, vision, TEXT, **more).eval()


def embeddings(model):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (3, 1, 32, 32), generator=generator, dtype=torch.uint8)
    tokens = torch.randint(1, 99, (3, 6), generator=generator)
    with torch.no_grad():
        return model.encode_image(images).embedding, model.encode_text(tokens).embedding


def adapted(vision):
    """A model whose low-rank changes are no longer zero."""
    model = clip(vision)
    prepare_towers(model, low_rank=3)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(".up"):
                weight.normal_(std=0.1)
    return model


@TOWERS
def test_nothing_changes_before_the_first_step_and_only_the_thin_matrices_train(vision):
    model, plain = clip(vision), clip(vision)
    prepare_towers(model, low_rank=3)
    torch.testing.assert_close(embeddings(model), embeddings(plain))
    trained = {name.rsplit(".", 1)[1] for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained == {"up", "down"}
    freeze_statistics(model.train())
    assert not any(module.training for module in model.modules() if isinstance(module, _BatchNorm))


@TOWERS
def test_a_checkpoint_gives_the_plain_network_with_the_changes_in_it(vision, tmp_path):
    model = adapted(vision)
    described = clip(vision).describe()
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save({"state_dict": state, "recipe": {"finished": True, "model": described}}, tmp_path / "last.ckpt")
    loaded = clip(vision, weights=str(tmp_path / "last.ckpt"))
    torch.testing.assert_close(embeddings(loaded), embeddings(model))
    assert not torch.allclose(embeddings(loaded)[0], embeddings(clip(vision))[0], atol=1e-3)
    assert loaded.state_dict().keys() == clip(vision).state_dict().keys()


def test_each_weight_moves_within_a_subspace_of_the_rank():
    plain, changed = clip(VIT).state_dict(), merged(adapted(VIT).state_dict())
    moved = [name for name in plain if not torch.equal(plain[name], changed[name])]
    assert any("in_proj_weight" in name for name in moved) and any("conv1" in name for name in moved)
    ranks = {int(torch.linalg.matrix_rank((changed[n] - plain[n]).flatten(1), atol=1e-5)) for n in moved}
    assert ranks == {3}


def test_a_state_without_changes_comes_back_as_it_is():
    state = clip(VIT).state_dict()
    back = merged(state)
    assert back.keys() == state.keys() and all(torch.equal(back[name], state[name]) for name in state)


def test_ranks_and_mixtures_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="low_rank=0"):
        adapt(clip(VIT).text, 0)
    with pytest.raises(ValueError, match="low_rank already freezes both towers"):
        prepare_towers(clip(VIT), low_rank=2, frozen_image="all")
