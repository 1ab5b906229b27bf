"""Runs that start from the image tower of a run."""

import pytest
import torch
from runs.tiny import config, make_stores, saved

from anatomy_clip.core.files import sha256_of
from anatomy_clip.models.towers.open_clip import from_config
from anatomy_clip.runs.chain import init_checkpoint
from anatomy_clip.runs.folder import is_finished, run_folder, stage_inputs
from anatomy_clip.runs.stages import run
from anatomy_clip.runs.wiring import build, build_model, load_run

METHODS = ("simclr", "clip")
JOINT = {"image.visual.head.proj.weight"}
TEXT = {"context_length": 8, "vocab_size": 99, "width": 16, "heads": 1, "layers": 1}
TOWERS = {
    "vit": {"image_size": 16, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
    "resnet": {"image_size": 32, "patch_size": None, "width": 8, "layers": [1, 1, 1, 1]},
    "timm": {"image_size": 32, "timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"},
    "timm without": {"image_size": 32, "timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": ""},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of SimCLR, which builds no joint projection, and one of CLIP, which does."""
    folder = tmp_path_factory.mktemp("init")
    make_stores(folder)
    for method in METHODS:
        run(config(folder, method, f"objective={method}", "augment=clip"))
    return folder


def network(checkpoint):
    return {n.removeprefix("model."): t for n, t in checkpoint["state_dict"].items() if n.startswith("model.")}


def built(cfg):
    torch.manual_seed(0)
    return build_model(cfg)


@pytest.mark.parametrize("vision", TOWERS.values(), ids=TOWERS)
def test_a_tower_knows_which_tensors_are_its_joint_projection(vision):
    with_it, without = (from_config(8, vision, TEXT, joint=joint).image for joint in (True, False))
    names = [n for n in with_it.state_dict() if n.startswith(with_it.projections)]
    assert names and set(names) == with_it.state_dict().keys() - without.state_dict().keys()


@pytest.mark.parametrize("source", ["s/clip/seed_0", "{}/outputs/s/clip/seed_0", "{}/outputs/s/clip/seed_0/last.ckpt"])
def test_a_run_is_named_by_its_place_below_the_outputs_its_folder_or_its_checkpoint(folder, source):
    cfg = config(folder, "next", f"init.image={source.format(folder)}")
    assert init_checkpoint(cfg) == folder / "outputs/s/clip/seed_0/last.ckpt"
    assert init_checkpoint(config(folder, "next")) is None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("earlier", METHODS)
def test_the_image_tower_is_the_runs_and_all_else_is_what_it_was(folder, earlier, method):
    plain = config(folder, "next", f"objective={method}")
    made = built(config(folder, "next", f"objective={method}", f"init.image=s/{earlier}/seed_0"))
    found, random, trained = made.state_dict(), built(plain).state_dict(), network(saved(folder, earlier))
    assert found.keys() == random.keys()
    for name, tensor in found.items():
        taken = name.startswith("image.") and not (earlier == "simclr" and name in JOINT)
        assert torch.equal(tensor, (trained if taken else random)[name]), name
    assert (JOINT <= found.keys()) == (method == "clip") and (JOINT <= trained.keys()) == (earlier == "clip")
    assert made.provenance.sha256 == sha256_of(folder / f"outputs/s/{earlier}/seed_0/last.ckpt")


def test_what_the_model_leaves_open_is_the_runs(folder):
    cfg = config(folder, "next", "init.image=s/clip/seed_0", "model.quick_gelu=null", "model.normalisation=null")
    described = build_model(cfg).describe()
    assert described["architecture"]["quick_gelu"] is True and described["normalisation"] == "clip"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("model.vision.image_size=64", "clip/seed_0/last.ckpt: .*vision.image_size is 32 in the file and 64"),
        ("model.normalisation=imagenet", "normalisation is clip in the file and imagenet in the model"),
        ("model.quick_gelu=false", "quick_gelu is True in the file and False in the model"),
        ("model.embed_dim=8", r"visual.head.proj.weight: \(16, \d+\) in the file, \(8, \d+\) in the model"),
        ("model.weights=w.pt", "init.image and model.weights both give starting weights of the image tower"),
        ("init.image=s/absent/seed_0", "init.image: .*s/absent/seed_0/last.ckpt does not exist; give a run"),
        ("init.image={0}/unfinished/last.ckpt", "unfinished/last.ckpt: its training has not finished"),
        ("init.image={0}/foreign.ckpt", "foreign.ckpt was not written by a run; for weights from elsewhere"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(folder, overrides, message):
    checkpoint = saved(folder, "clip")
    (folder / "unfinished").mkdir(exist_ok=True)
    checkpoint["recipe"]["finished"] = False
    torch.save(checkpoint, folder / "unfinished" / "last.ckpt")
    foreign = {n.removeprefix("model.").replace("image.visual", "visual") for n in checkpoint["state_dict"]}
    tensors = {n.removeprefix("text."): torch.zeros(1) for n in foreign if not n.startswith("objective.")}
    torch.save(tensors, folder / "foreign.ckpt")
    with pytest.raises(ValueError, match=message):
        build_model(config(folder, "next", "init.image=s/clip/seed_0", overrides.format(folder)))


def test_a_run_that_started_so_is_loaded_with_what_it_trained_itself(folder):
    cfg = config(folder, "tuned", "init.image=s/simclr/seed_0", "stages=[fit,evaluate]")
    run(cfg)
    assert is_finished(cfg)
    checkpoint = saved(folder, "tuned")
    assert checkpoint["recipe"]["weights"]["sha256"] == sha256_of(folder / "outputs/s/simclr/seed_0/last.ckpt")
    loaded = load_run(cfg, run_folder(cfg), build(cfg.taxonomy))[0].state_dict()
    assert all(torch.equal(tensor, network(checkpoint)[name]) for name, tensor in loaded.items())
    start = network(saved(folder, "simclr"))
    assert any(not torch.equal(tensor, loaded[name]) for name, tensor in start.items())


def test_other_weights_of_the_run_are_another_start(folder):
    cfg = config(folder, "after", f"init.image={folder}/copy/last.ckpt")
    (folder / "copy").mkdir()
    digests = set()
    for earlier in METHODS:
        torch.save(saved(folder, earlier), folder / "copy" / "last.ckpt")
        digests.add(stage_inputs(cfg, "fit"))
    assert len(digests) == 2
