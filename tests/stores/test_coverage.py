import numpy as np
import pytest
from support import compose_config

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.cli.check import check
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.stores.coverage import COLUMNS, count, draw, matrix
from anatomy_clip.stores.store import write_store


def record(patient, index=0, *, modality=Modality.CT, plane=Orientation.AXIAL, organs=("lungs",), stations=("chest",)):
    labels = {"organs": organs, "stations": stations}
    return SliceRecord("made", "all", patient, patient, patient, index, modality, Protocol.NONE, plane, **labels)


@pytest.fixture(scope="module")
def taxonomy():
    return Taxonomy.load("whole_body")


def test_slices_are_counted_by_label_modality_and_plane(taxonomy):
    records = [
        record("a"),
        record("a", 1, organs=("lungs", "heart")),
        record("b", plane=Orientation.CORONAL, stations=("chest", "abdomen"), organs=()),
        record("c", modality=Modality.MR, stations=(), organs=("hand",)),
    ]
    stations = count(records, taxonomy, "station")
    axial, coronal, mr = (
        COLUMNS.index(pair)
        for pair in (
            (Modality.CT, Orientation.AXIAL), (Modality.CT, Orientation.CORONAL), (Modality.MR, Orientation.AXIAL)
        )
    )  # fmt: skip
    chest, abdomen = taxonomy.stations.index("chest"), taxonomy.stations.index("abdomen")
    assert stations[chest, axial] == 2 and stations[chest, coronal] == stations[abdomen, coronal] == 1
    assert stations[-2, mr] == 1 and stations.sum() == 5
    organs = count(records, taxonomy, "organ")
    assert organs[taxonomy.organs.index("lungs"), axial] == 2 and organs[-2, coronal] == 1 and organs.sum() == 5
    unknown = count([*records, record("d", organs=None)], taxonomy, "organ") - organs
    assert unknown[-1, axial] == 1 == unknown.sum()
    assert len(matrix("made", records, taxonomy, "organ").rows) == len(taxonomy.organs) + 2


def test_the_plot_is_written(taxonomy, tmp_path):
    draw({"one": [record("a")], "two": [record("b")]}, taxonomy, tmp_path / "deep" / "coverage.png")
    assert (tmp_path / "deep" / "coverage.png").read_bytes()[:4] == b"\x89PNG"


@pytest.fixture
def stores(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (4, 16, 16), dtype=np.uint8)
    write_store(tmp_path / "train", images[:2], [record("P-001"), record("P-001", 1)], {})
    write_store(tmp_path / "test", images[2:], [record("X"), record("Y")], {})
    write_store(tmp_path / "leaky", images[1:3], [record("p 1"), record("Z")], {})
    return tmp_path


def config(folder, *names):
    cfg = compose_config("check", f"figure={folder}/coverage.png")
    cfg.stores = {name: str(folder / name) for name in names}
    return cfg


def test_check_passes_stores_that_share_nothing(stores, capsys):
    assert check(config(stores, "train", "test")) == 0
    assert "2 store(s) complete, 0 leak(s)" in capsys.readouterr().out


def test_check_finds_a_patient_in_another_spelling_and_equal_pixels(stores, capsys):
    assert check(config(stores, "train", "test", "leaky")) == 3
    out = capsys.readouterr().out
    assert "same patient, spelled in two ways: train, row 0" in out and "same pixels in 1 slice(s)" in out


def test_check_names_a_damaged_store_and_an_unknown_label(stores):
    write_store(stores / "odd", np.full((1, 16, 16), 9, np.uint8), [record("Q", organs=("lung",))], {})
    with pytest.raises(ValueError, match=r"odd, row 0: organ 'lung'.*lungs"):
        check(config(stores, "odd"))
    images = stores / "train" / "images.npy"
    images.write_bytes(images.read_bytes()[:-1] + b"\0")
    with pytest.raises(ValueError, match=r"images\.npy"):
        check(config(stores, "train"))
