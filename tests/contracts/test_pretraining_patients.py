"""No patient of a test or validation set is trained on by any column of pretraining, nor by a run it starts from."""

from itertools import cycle
from types import SimpleNamespace

import pytest
import torch
from films import SIDE, make_film_store, make_record
from omegaconf import OmegaConf
from support import CONF, compose_config

from anatomy_clip.models.words import WordTokenizer
from anatomy_clip.runs.chain import earlier_patients, patients_entry
from anatomy_clip.runs.wiring import build, build_data
from anatomy_clip.stores.leakage import patient_hashes

SWEEP = OmegaConf.load(CONF / "sweep/pretraining.yaml").hydra.sweeper.params.experiment
COLUMNS = [name.strip() for name in SWEEP.split(",")]
SETS = ("validation.films", "test.test", "test.shifted", "test.retrieval", "test.queries")
MODEL = SimpleNamespace(image_size=SIDE, context_length=20, tokenizer=WordTokenizer(["effusion"]))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The stores of pretraining, and one of a film whose patient stands in `train`, in another spelling."""
    folder = tmp_path_factory.mktemp("data")
    for split in ("train", "validation", "test", "shifted", "retrieval", "queries"):
        make_film_store(folder / "films" / split, 8)
    known = make_record(3).patient
    make_film_store(folder / "known", 1, patient=known.upper().replace("-", "_00"))
    return folder


def set_up(cfg, stage):
    """Open the data of a run as each of its stages does."""
    build_data(cfg, build(cfg.taxonomy), MODEL, earlier_patients(cfg)).setup(stage)


def test_the_columns_are_those_of_the_sweep():
    assert len(COLUMNS) == 10 and {f"pretraining/{path.stem}" for path in CONF.glob("experiment/pretraining/*")} >= {
        *COLUMNS
    }


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_whose_training_store_holds_a_patient_of_another_set_is_refused(column, data):
    cfg = compose_config("config", f"experiment={column}", f"paths.data={data}")
    set_up(cfg, "fit")
    for name, stage in zip(SETS, cycle(("fit", "test"))):
        changed = cfg.copy()
        OmegaConf.update(changed, f"data.{name}", f"{data}/known")
        with pytest.raises(ValueError, match=r"^leakage: same patient, spelled in two ways: data\.train") as refused:
            set_up(changed, stage)
        assert f"data.{name}" in str(refused.value) and "train-3" not in str(refused.value)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_that_starts_from_a_run_which_saw_a_patient_of_a_set_is_refused(column, data, tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"recipe": patients_entry(patient_hashes([("films", "TEST 02")]))}, path)
    cfg = compose_config("config", f"experiment={column}", f"paths.data={data}", f"init.image={path}")
    for stage in ("fit", "test"):
        with pytest.raises(
            ValueError, match=r"^leakage: test set 'test' has 1 patient\(s\) on whom this run, or a run that"
        ):
            set_up(cfg, stage)
    torch.save({"recipe": patients_entry(patient_hashes([("films", "nobody"), ("others", "test-2")]))}, path)
    set_up(cfg, "fit")
