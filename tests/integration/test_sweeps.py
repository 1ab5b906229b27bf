"""Learning curve and augmentation ablation on small data: runs by the real entry, table and plot by its program."""

import pytest
import yaml
from support import compose_config

from anatomy_clip.cli.results import main as results
from anatomy_clip.data.datamodule import SliceDataModule
from anatomy_clip.runs.folder import run_folder
from anatomy_clip.runs.stages import run

TINY = (
    "model.weights=null", "model.vision.image_size=32", "model.embed_dim=16", "resamples=20", "data.workers=0",
    "model.text={context_length:77,vocab_size:49408,width:16,heads:1,layers:1}", "data.batch_size=16",
    "optim.scheduler.warmup_steps=1", "trainer.max_steps=3", "+trainer.enable_progress_bar=false",
    "stages=[fit,evaluate]", "~data.test.shifted",
)  # fmt: skip


@pytest.fixture(scope="module")
def outputs(data, tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


def trained(data, outputs, experiment, *overrides):
    cfg = compose_config(
        "config", f"experiment={experiment}", f"paths.data={data}", f"paths.outputs={outputs}", *TINY, *overrides
    )
    run(cfg)
    return run_folder(cfg)


def reported(data, outputs, suite):
    results(
        compose_config(
            "results", f"suite={suite}", f"table={suite}", f"paths.outputs={outputs}", f"paths.data={data}",
        )
    )  # fmt: skip
    return outputs / suite


def test_arms_of_the_learning_curve_see_their_patients_for_as_many_steps(data, outputs, monkeypatch):
    seen = []
    loader = SliceDataModule.train_dataloader
    monkeypatch.setattr(
        SliceDataModule, "train_dataloader",
        lambda self: (seen.append({r.patient for r in self._train.records}), loader(self))[1],
    )  # fmt: skip
    for arm in ("patients_4", "all"):
        trained(data, outputs, f"learning_curve/{arm}", "trainer.val_check_interval=2")
    assert [len(patients) for patients in seen] == [4, 6] and seen[0] < seen[1]
    folder = reported(data, outputs, "learning_curve")
    text = (folder / "table3.md").read_text()
    assert text.startswith("# Learning curve") and "| 4 patients |" in text and "undeclared" not in text
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_arms_of_the_ablation_are_measured_against_all_augmentation(data, outputs):
    for arm in ("full", "no_rotation"):
        folder = trained(data, outputs, f"augmentation/{arm}")
        kept = yaml.safe_load((folder / "config.yaml").read_text())
        assert (kept["augment"]["rotation"] is None) == (arm == "no_rotation")
    text = (reported(data, outputs, "augmentation") / "table3.md").read_text()
    assert "# Augmentation ablation" in text and "undeclared" not in text
    assert "| `organ/set1_ct` | no rotation | all |" in text
    assert (outputs / "augmentation" / "plot.png").is_file()
