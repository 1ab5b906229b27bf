"""Small phantom stores, made once by the real entry."""

import pytest
from hydra.utils import instantiate
from support import compose_config

from anatomy_clip.cli.prepare import prepare

SMALL = {"train": 6, "validation": 3, "set1": 3, "shifted_validation": 2, "shifted_test": 2, "figures": 4}


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A data folder with all phantom cohorts, 64 px, a few slices a patient."""
    folder = tmp_path_factory.mktemp("data")
    patients = [f"source.cohorts.{name}.patients={n}" for name, n in SMALL.items()]
    short = [f"+source.cohorts.{name}.series_per_patient=8" for name in SMALL]
    cfg = compose_config(
        "prepare", f"paths.data={folder}", "side=64", "workers=2", "source.pixels=64", "contact_sheet=false",
        *patients, *short,
    )  # fmt: skip
    source = instantiate(cfg.source)
    for split in source.splits():
        prepare(cfg, source, split)
    return folder
