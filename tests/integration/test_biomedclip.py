"""BiomedCLIP through the real `run`, from a folder in its layout: as it is, then trained, tested and exported."""

import json

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from models.berts import BERT, make_folder, stated, text_keys, theirs, vocabulary
from models.clips import EMBED, pixels
from support import compose_config

from anatomy_clip.cli.export_weights import main as export_run
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.runs.folder import run_folder
from anatomy_clip.runs.stages import run
from anatomy_clip.runs.wiring import build
from anatomy_clip.stores.store import write_store

SIDE, COUNT = 160, 6
SHOWN = [{"liver": 9000.0}, {"brain": 9000.0}, {"lung_upper_lobe_left": 9000.0, "heart": 4000.0}]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three small stores and a folder with the weights."""
    folder = tmp_path_factory.mktemp("biomedclip")
    for name in ("train", "validation", "set1"):
        records = [
            SliceRecord(
                source="test", split=name, patient=f"{name}-{n}", study="s", series="s", index=n,
                modality=Modality.CT, protocol=Protocol.NONE, orientation=Orientation.AXIAL,
                structures=SHOWN[n % len(SHOWN)],
            )
            for n in range(COUNT)
        ]  # fmt: skip
        images = np.random.default_rng(len(name)).integers(0, 256, (COUNT, SIDE, SIDE), dtype=np.uint8)
        write_store(folder / name, images, records, {})
    make_folder(folder / "weights")
    return folder


def config(data, outputs, *overrides):
    text = stated(text_keys(data / "weights" / "elsewhere"))
    sizes = [f"model.text.{key}={text[key]}" for key in ("vocab_size", "width", "heads", "layers")]
    bert = [f"model.text.{key}={data}/weights/elsewhere" for key in ("hf_model_name", "hf_tokenizer_name")]
    cfg = compose_config(
        "config", "scale=paper", "model=biomedclip", "trainer=cpu", *sizes, *bert, f"model.embed_dim={EMBED}",
        f"model.vision.image_size={SIDE}", "model.vision.timm_model_name=test_vit", f"model.weights={data}/weights",
        "data.batch_size=4", "data.workers=0", "resamples=20", f"paths.outputs={outputs}",
        "+trainer.enable_progress_bar=false", "trainer.max_epochs=1", "optim.scheduler.warmup_steps=1", *overrides,
    )  # fmt: skip
    cfg.data.update(train=[f"{data}/train"], validation={"v": f"{data}/validation"}, test={"set1": f"{data}/set1"})
    return cfg


@torch.no_grad()
def test_zero_shot_equals_scores_that_open_clip_gives(data, tmp_path, capsys):
    cfg = config(data, tmp_path, "experiment=table3/pmc", "eval.captions=null")
    run(cfg)
    assert "open_clip's names, with a BERT" in capsys.readouterr().out
    table = pd.read_parquet(run_folder(cfg) / "zero_shot.parquet")
    model, tokenizer = theirs(data / "weights")
    grey = torch.from_numpy(np.load(data / "set1" / "images.npy"))[:, None]
    image = model.encode_image(pixels(grey), normalize=True)
    taxonomy = build(cfg.taxonomy)
    for kind, template, names in (
        ("organ", "An image of {} organs", taxonomy.organs), ("station", "An image of {} region", taxonomy.stations),
    ):  # fmt: skip
        text = model.encode_text(tokenizer([template.format(name) for name in names]), normalize=True)
        expected = (image @ text.T).numpy()[table["row"]]
        np.testing.assert_allclose(np.stack(table[f"{kind}_scores"]), expected, atol=1e-5)
    assert len(table) == COUNT
    assert (run_folder(cfg) / "contrast.parquet").exists()
    assert json.loads((run_folder(cfg) / "results.json").read_text())["weights"]["context_length"] == 256


def test_it_is_trained_tested_from_its_checkpoint_alone_and_exported(data, tmp_path):
    precision = "trainer.precision=bf16-mixed"  # as scale=paper asks for
    augment = "augment.images_per_image=2"
    cfg = config(data, tmp_path, "experiment=table3/pmc_msa", augment, precision, "stages=[fit,evaluate]")
    run(cfg)
    folder = run_folder(cfg)
    recipe = torch.load(folder / "last.ckpt", weights_only=True)["recipe"]
    assert json.loads(recipe["model"]["tokenizer"])["model"]["vocab"]["liver"] == vocabulary().index("liver")
    scores = json.loads((folder / "results.json").read_text())["scores"]["zero_shot"]
    scores = {score["cell"]: score["n"] for score in scores}
    assert scores == {"test/organ/set1_ct": COUNT, "test/station/set1_ct": COUNT}
    export_run(compose_config("export", f"paths.outputs={tmp_path}", f"to={tmp_path}/out"))
    exported = open_clip.create_model(f"local-dir:{tmp_path}/out")
    trained = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(exported.text.proj[0].weight, trained["model.text.proj.0.weight"])
    assert BERT["hidden_size"] == exported.text.proj[0].weight.shape[1]
