import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants
from models.clips import EMBED, TEXT, VIT, pictures, pixels
from omegaconf import OmegaConf

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.describe.bundle import folder as bundles
from anatomy_clip.describe.bundle.export import export_run, push
from anatomy_clip.describe.bundle.folder import FILES, MODEL, SUMS, read_bundle, shipped
from anatomy_clip.describe.predictor import Describer
from anatomy_clip.imaging.intensity import Display
from anatomy_clip.models.towers.open_clip import from_config

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def copy(bundle_folder, tmp_path):
    return shutil.copytree(bundle_folder, tmp_path / "copy")


def test_embeddings_equal_the_checkpoints_bit_by_bit(bundle_folder, run_folder):
    bundle = read_bundle(bundle_folder)
    model = from_config(EMBED, VIT, TEXT, quick_gelu=True, normalisation="clip", weights=str(run_folder / "last.ckpt"))
    model.eval()
    grey = pictures(64, 5)
    with torch.inference_mode():
        image = model.encode_image(grey).embedding.numpy()
        texts = [one.text for one in bundle.captions]
        caption = model.encode_text(open_clip.tokenize(texts)).embedding.numpy()
    assert np.array_equal(bundle.encoder()(grey[:, 0].numpy()), image)
    np.testing.assert_allclose(bundle.embeddings["caption"], caption, atol=1e-6)  # ours leaves padding out
    assert bundle.model().initial_logit_scale == 2.5


def test_open_clip_itself_loads_the_folder_and_embeds_alike(bundle_folder):
    bundle = read_bundle(bundle_folder)
    theirs, _ = open_clip.create_model_from_pretrained(f"local-dir:{bundle_folder}")
    theirs.eval()
    grey = pictures(64, 5)
    with torch.inference_mode():
        image = theirs.encode_image(pixels(grey), normalize=True).numpy()
        found = {"caption": [one.text for one in bundle.captions]}
        found |= {kind: [row[0] for row in rows] for kind, rows in bundle.prompts.items()}
        texts = {k: theirs.encode_text(open_clip.tokenize(v), normalize=True).numpy() for k, v in found.items()}
    np.testing.assert_allclose(bundle.encoder()(grey[:, 0].numpy()), image, atol=1e-6)
    for kind, embedding in texts.items():
        np.testing.assert_allclose(bundle.embeddings[kind], embedding, atol=1e-6, err_msg=kind)


def test_half_a_bundle_embeds_by_its_rounded_weights(run_folder, bundle_folder, tmp_path):
    half = export_run(run_folder, tmp_path / "half", half=True)
    whole, small = ((folder / MODEL).stat().st_size for folder in (bundle_folder, tmp_path / "half"))
    assert small < 0.55 * whole
    grey = pictures(64, 5)
    theirs, _ = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path / 'half'}")
    with torch.inference_mode():
        image = theirs.eval().encode_image(pixels(grey), normalize=True).numpy()
        caption = theirs.encode_text(open_clip.tokenize([half.captions[0].text]), normalize=True).numpy()
    assert next(theirs.parameters()).dtype is torch.float32
    np.testing.assert_allclose(half.encoder()(grey[:, 0].numpy()), image, atol=1e-6)
    np.testing.assert_allclose(half.embeddings["caption"][:1], caption, atol=1e-6)
    full = read_bundle(bundle_folder).encoder()(grey[:, 0].numpy())
    assert 0 < np.abs(full - image).max() < 5e-3


def test_it_holds_what_the_run_says(bundle_folder, run_folder):
    bundle = read_bundle(bundle_folder)
    assert bundle.taxonomy == Taxonomy.load("whole_body")
    assert bundle.taxonomy.organ("liver").codes[0].value == "10200004"
    assert bundle.decisions.to_dict() == json.loads((run_folder / "decisions.json").read_text())
    assert bundle.preprocessing.display == Display(50, 350, 1, 99)
    assert (bundle.preprocessing.side, bundle.preprocessing.image_size) == (96, 64)
    assert "A axial oriented CT image of lungs, heart organs belong to chest region" in {
        c.text for c in bundle.captions
    }
    assert bundle.prompts["organ"][0] == ["An image of brain organs"]
    assert bundle.scores[0]["lo"] is None  # unknown, in JSON
    card = (bundle_folder / "README.md").read_text()
    for words in ("Not for diagnosis", "test/organ/set1_ct", "phantom/train", "- s: 1 patient, CC0", "Limits"):
        assert words in card


def test_checksums_are_those_of_coreutils(bundle_folder):
    done = subprocess.run(["sha256sum", "--strict", "-c", SUMS], cwd=bundle_folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(": OK") == len(list(bundle_folder.iterdir())) - 1


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_refused_by_name(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: its checksum.*download it again"):
        read_bundle(copy)


def test_a_missing_file_and_no_bundle_at_all(copy, tmp_path):
    (copy / "captions.json").unlink()
    with pytest.raises(ValueError, match=r"captions\.json: is missing from the bundle"):
        read_bundle(copy)
    with pytest.raises(ValueError, match=r"is not a bundle: it has no readable SHA256SUMS"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("line", ["0 ../../etc/hosts", "0 /etc/hosts"])
def test_a_list_that_names_files_elsewhere_is_refused(copy, line):
    (copy / SUMS).write_text((copy / SUMS).read_text() + line.replace(" ", "  ") + "\n")
    with pytest.raises(ValueError, match="which is not a file of a bundle"):
        read_bundle(copy)


def test_a_bundle_of_another_version(copy):
    about = json.loads((copy / "bundle.json").read_text()) | {"version": 99}
    (copy / "bundle.json").write_text(json.dumps(about))
    lines = [f"{bundles.sha256_of(copy / n)}  {n}\n" for n in FILES]
    (copy / SUMS).write_text("".join(lines))
    with pytest.raises(ValueError, match=r"has version 99, but this program reads 1 and 2"):
        read_bundle(copy)


def test_nothing_half_written_and_nothing_overwritten(bundle_folder, run_folder):
    with pytest.raises(ValueError, match="already exists; add --overwrite"):
        export_run(run_folder, bundle_folder)
    assert [path.name for path in bundle_folder.parent.iterdir()] == ["bundle"]


KILLED = """
import os, signal, sys
from anatomy_clip.cli.main import main
event, path, *arguments = sys.argv[1:]
sys.addaudithook(lambda e, a: e == event and str(a[0]).endswith(path) and os.kill(os.getpid(), signal.SIGKILL))
main(["export", *arguments])
"""


def test_a_killed_export_loses_no_bundle(copy, run_folder):
    (copy / "README.md").write_text("older")
    names = [path.name for path in copy.iterdir() if path.name != SUMS]
    (copy / SUMS).write_text("".join(f"{bundles.sha256_of(copy / name)}  {name}\n" for name in names))
    older = read_bundle(copy).digest
    exports = []
    for event, path in (("open", ".partial/README.md"), ("os.rename", ".partial")):  # half written; changing places
        to = shutil.copytree(copy, copy.parent / event)
        command = [sys.executable, "-c", KILLED, event, path, run_folder, "--to", to, "--overwrite"]
        exports.append((to, subprocess.Popen(command)))
    assert [process.wait() for _, process in exports] == [-signal.SIGKILL] * 2
    assert [to.exists() for to, _ in exports] == [True, False]
    assert all(list(to.parent.glob(f".{to.name}.*")) for to, _ in exports)  # what a killed process leaves
    for to, _ in exports:
        with pytest.raises(ValueError, match="already exists; add --overwrite"):
            export_run(run_folder, to)
        assert read_bundle(to).digest == older
        assert export_run(run_folder, to, overwrite=True).digest != older
        assert not list(to.parent.glob(f".{to.name}.*"))


@pytest.mark.parametrize("name", ["config.yaml", "last.ckpt", "results.json", "decisions.json"])
def test_a_run_that_lacks_something_says_which_stage(run_folder, tmp_path, name):
    for path in run_folder.iterdir():
        if path.is_file() and path.name != name:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(ValueError, match=rf"has no {name}; give the folder of a run with the stage (fit|evaluate)"):
        export_run(tmp_path, tmp_path / "bundle")


def test_stores_elsewhere(run_folder, tmp_path):
    moved = shutil.copytree(run_folder, tmp_path / "run")
    shutil.move(moved / "data", tmp_path / "data")
    (moved / "config.yaml").write_text(
        (moved / "config.yaml").read_text().replace(str(run_folder), str(tmp_path / "no"))
    )
    with pytest.raises(ValueError, match="this is not a slice store"):
        export_run(moved, tmp_path / "bundle")
    bundle = export_run(moved, tmp_path / "bundle", str(tmp_path / "data"))
    assert len(bundle.captions) == 5


def test_without_a_shipped_bundle_the_message_says_what_to_do(monkeypatch, tmp_path, bundle_folder):
    monkeypatch.setattr(bundles, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"comes without a bundle; give one with --bundle FOLDER"):
        shipped()
    shutil.copytree(bundle_folder, tmp_path / "shipped")
    assert Describer.from_bundle().bundle.folder == tmp_path / "shipped"


def test_from_a_hubs_cache_without_network(bundle_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "models--someone--a-bundle" / "snapshots" / COMMIT
    shutil.copytree(bundle_folder, snapshot)
    assert read_bundle(f"hf:someone/a-bundle@{COMMIT}").digest == read_bundle(bundle_folder).digest


@pytest.mark.parametrize("reference", ["someone/name", "hf:name", "hf:a/b/c"])
def test_where_to_push_must_be_plain(bundle_folder, reference):
    with pytest.raises(ValueError, match="write hf:<owner>/<name>"):
        push(bundle_folder, reference)


def test_push_is_refused_offline_and_sends_nothing_of_a_broken_bundle(bundle_folder, copy, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="set HF_HUB_OFFLINE=0"):
        push(bundle_folder, "hf:someone/name")
    (copy / "captions.json").write_text("{}")
    with pytest.raises(ValueError, match="its checksum"):
        push(copy, "hf:someone/name")


@pytest.mark.parametrize("displays", [["one", "several"], ["several", "one", "one"], ["several"], ["one", "other"]])
def test_stores_in_several_displays_do_not_decide_how_slices_are_shown(displays, monkeypatch):
    from anatomy_clip.describe.bundle import export

    one = {"level": 40, "width": 400, "low": 0.5, "high": 99.5}
    known = {"one": one, "other": one | {"level": 60}, "several": {"ct": [[40, 80]], "mr": [[0, 100]]}}
    monkeypatch.setattr(export, "training_stores", lambda data: [Path(f"{n}-{d}") for n, d in enumerate(displays)])
    monkeypatch.setattr(
        export, "read_meta", lambda s: {"settings": {"display": known[s.name.split("-")[1]]}, "side": 128}
    )
    cfg = OmegaConf.create({"data": {}})
    if "other" in displays or "one" not in displays:
        with pytest.raises(ValueError, match="display"):
            export._preprocessing(cfg, 64)
    else:
        assert export._preprocessing(cfg, 64).display == Display(**one)
