"""Hub references, from a cache laid out as huggingface_hub's, without network."""

import json
import os

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError
from models.clips import EMBED, TEXT, VIT, open_clip_twin
from safetensors.torch import save_file

from anatomy_clip.models.tokenizers import TOKENIZER_FILES
from anatomy_clip.models.towers.open_clip import from_config

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = f"hf:someone/a-clip@{COMMIT}"


@pytest.fixture
def snapshot(tmp_path, monkeypatch):
    """The empty folder of one commit in an offline cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    folder = tmp_path / "models--someone--a-clip" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    return folder


def load(reference, **stated):
    return from_config(EMBED, VIT, TEXT, weights=reference, **stated)


def fill(folder):
    theirs = open_clip_twin()
    save_file(theirs.state_dict(), folder / "open_clip_model.safetensors")
    model = {"embed_dim": EMBED, "vision_cfg": VIT, "text_cfg": TEXT, "quick_gelu": True}
    prepare = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model, "preprocess_cfg": prepare}))
    return theirs


def test_a_cached_repository_is_loaded_offline(snapshot):
    theirs = fill(snapshot)
    model = load(REPO)
    assert torch.equal(model.text.text_projection, theirs.text_projection)
    assert (model.normalisation, model.architecture["quick_gelu"]) == ("clip", True)
    assert model.provenance.source == REPO


def test_one_named_file_of_a_repository(snapshot):
    torch.save({"best_epoch": 1, "best_loss": 0.5, "state_dict": open_clip_twin().state_dict()}, snapshot / "p.pth")
    assert load(f"{REPO}:p.pth", normalisation="imagenet").provenance.activation == "quick_gelu"


def test_what_is_not_cached_says_what_to_do(snapshot):
    with pytest.raises(
        ValueError, match=r"a-clip@0123.*not in the Hugging Face cache, .*set HF_HUB_OFFLINE=0"
    ) as error:
        load(REPO)
    assert "open_clip_model.safetensors" in str(error.value)
    with pytest.raises(ValueError, match=r"not in the Hugging Face cache, .*\(p.pth\)"):
        load(f"{REPO}:p.pth")


@pytest.mark.parametrize("bad", ["hf:someone/a-clip", "hf:someone/a-clip@main", "hf:a-clip@" + COMMIT, REPO + "0"])
def test_a_reference_without_a_whole_commit_is_refused(bad):
    with pytest.raises(ValueError, match="with the full hash of a commit"):
        load(bad)


def test_online_only_the_first_weights_are_fetched_and_every_request_is_pinned(snapshot, monkeypatch):
    fill(snapshot)
    asked = []

    def download(repo, name, *, revision):
        asked.append((repo, name, revision))
        if not (snapshot / name).exists():
            raise EntryNotFoundError(name)
        return os.fspath(snapshot / name)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    load(REPO)
    assert {(repo, revision) for repo, _, revision in asked} == {("someone/a-clip", COMMIT)}
    assert [name for _, name, _ in asked] == [
        "open_clip_model.safetensors", "open_clip_config.json", "config.json", "preprocessor_config.json",
        *TOKENIZER_FILES,
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"found neither in the Hugging Face cache nor on the hub: x.bin"):
        load(f"{REPO}:x.bin")
