"""The papers' columns with few layers, from a plain BERT and a ResNet's file to a checkpoint."""

import pytest
import timm
import torch
from films import make_film_store
from models.berts import vocabulary
from support import compose_config
from transformers import BertConfig, BertModel

from anatomy_clip.models.tokenizers import tokenize_texts
from anatomy_clip.runs.folder import run_folder, stage_inputs
from anatomy_clip.runs.stages import run
from anatomy_clip.runs.wiring import build, load_run

SMALL = (
    "model.vision.timm_model_name=test_resnet", "model.vision.image_size=32", "model.embed_dim=16",
    f"model.text.vocab_size={len(vocabulary())}", "model.text.width=32", "model.text.heads=2", "model.text.layers=2",
    "optim.scheduler.warmup_steps=0", "data.batch_size=4", "data.workers=0", "trainer.accelerator=cpu",
    "trainer.precision=32-true", "trainer.max_steps=1", "+trainer.enable_progress_bar=false", "stages=[fit]",
    "~data.test.retrieval", "~data.test.queries",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Films, and the two files that a run starts from."""
    folder = tmp_path_factory.mktemp("paper")
    for split in ("train", "validation", "test", "shifted"):
        make_film_store(folder / "films" / split)
    torch.manual_seed(0)
    torch.save(timm.create_model("test_resnet").state_dict(), folder / "resnet50.pth")
    bert = folder / "Bio_ClinicalBERT"
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 128, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=len(vocabulary()), **sizes)).save_pretrained(bert)
    (bert / "vocab.txt").write_text("\n".join(vocabulary()) + "\n")
    return folder


def config(folder, method, *overrides):
    paths = [f"paths.data={folder}", f"paths.outputs={folder}/outputs", f"paths.weights={folder}"]
    return compose_config("config", f"experiment=pretraining_paper/{method}", *paths, *SMALL, *overrides)


@pytest.mark.parametrize("method", ["convirt", "gloria"])
def test_a_step_starts_from_both_files_and_the_checkpoint_needs_neither(folder, method, tmp_path):
    frozen = ["optim.prepare.frozen_text=1"] if method == "convirt" else []
    cfg = config(folder, method, *frozen)
    run(cfg)
    saved = torch.load(run_folder(cfg) / "last.ckpt", weights_only=True)
    weights = saved["recipe"]["weights"]
    assert weights["source"].endswith("resnet50.pth") and "Bio_ClinicalBERT" in weights["beside"]
    before = BertModel.from_pretrained(folder / "Bio_ClinicalBERT").state_dict()
    after = {name.removeprefix("model.text.transformer."): value for name, value in saved["state_dict"].items()}
    moved = {name for name in before.keys() & after.keys() if not torch.equal(before[name], after[name])}
    layers = {name.split(".")[2] for name in moved if name.startswith("encoder.layer.")}
    assert layers == ({"1"} if method == "convirt" else {"0", "1"})
    assert ("embeddings.word_embeddings.weight" in moved) == (method == "gloria")
    elsewhere = config(folder, method, *frozen, f"model.text_weights={tmp_path}/gone", "init.image=null")
    model, objective = load_run(elsewhere, run_folder(cfg), build(cfg.taxonomy))
    texts = tokenize_texts(["A small left effusion.", "Lungs are clear"], 97, model.tokenizer)
    with torch.no_grad():
        rows = objective.eval().embed_texts(model.eval().encode_text(texts.ids), texts)
    assert rows.isfinite().all() and not torch.equal(rows[0], rows[1])


def test_other_weights_of_the_text_tower_make_another_run(folder):
    cfg = config(folder, "convirt")
    before = stage_inputs(cfg, "fit")
    file = folder / "Bio_ClinicalBERT" / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content + b"0")
    assert stage_inputs(cfg, "fit") != before
    file.write_bytes(content)


def test_missing_files_end_the_run_with_a_remedy(folder):
    with pytest.raises(ValueError, match=r"nowhere.pth does not exist; put a ResNet's weights there"):
        run(config(folder, "simclr", "name=a", f"init.image={folder}/nowhere.pth"))
    with pytest.raises(ValueError, match=r"model.text_weights: .*no such folder; put a BERT there"):
        run(config(folder, "convirt", "name=b", f"model.text_weights={folder}/nowhere"))
