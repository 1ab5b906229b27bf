"""A small suite of patients with a name, trained, tested and published offline: all is there, and nobody is named."""

import getpass
import json
import os
import platform
import socket
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hydra.utils import instantiate
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from support import compose_config
from wandb_files import artifacts, offline_runs, record_of, table, values

from anatomy_clip.cli.prepare import prepare
from anatomy_clip.cli.publish import publish
from anatomy_clip.cli.results import main as results
from anatomy_clip.runs.folder import run_folder
from anatomy_clip.runs.stages import run
from anatomy_clip.stores.store import Store, write_store

pytest.importorskip("wandb")

NAME = "zebulon"  # in folders, tags, captions, the user's and the machine's name, and in an exception
TINY = (
    "model.vision.image_size=32", "model.text={context_length:77,vocab_size:49408,width:16,heads:1,layers:1}",
    "model.embed_dim=16", "trainer.max_epochs=4", "+optim.log_every=2", "optim.scheduler.warmup_steps=1",
    "data.batch_size=4", "data.workers=0", "resamples=50", "+trainer.enable_progress_bar=false",
)  # fmt: skip


def save_series(folder, patient, brightness):
    """A series of six CT slices with the planted name in every tag that could hold one."""
    folder.mkdir(parents=True)
    series, study = generate_uid(), generate_uid()
    for k in range(6):
        pixels = np.random.default_rng([k, *patient.encode()]).integers(-200, brightness, (40, 40)).astype(np.int16)
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
        ds.Modality, ds.PatientName, ds.PatientID, ds.AccessionNumber = "CT", f"{NAME}^Jane", patient, f"{NAME}-7"
        ds.StudyDescription = ds.SeriesDescription = ds.InstitutionName = ds.StationName = f"{NAME} ward"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 3.0 * k]
        ds.PixelSpacing, ds.SliceThickness, ds.Rows, ds.Columns = [1, 1], 3, 40, 40
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.RescaleSlope, ds.RescaleIntercept = 1, "MONOCHROME2", 1, 0
        ds.PixelData = pixels.tobytes()
        ds.save_as(folder / f"{k}.dcm", enforce_file_format=True)


def make_store(root, name, patients):
    """A store by the real entry, from DICOM files below a folder of that name; captions are planted after."""
    lines = ["path,patient,modality,protocol,orientation,first_slice,last_slice,stations,organs"]
    for n in range(patients):
        path = f"{NAME}_{name}{n}"
        save_series(root / "raw" / name / path, f"{NAME}-{name}-{n}", 100 + 200 * n)
        lines += [f"{path},{NAME}-{name}-{n},CT,,axial,0,2,chest,lungs", f"{path},,CT,,axial,3,5,abdomen,liver"]
    lines = [line.replace(",,CT", f",{NAME}-{name}-{(n - 1) // 2},CT") for n, line in enumerate(lines)]
    (root / "raw" / name / "labels.csv").write_text("\n".join(lines) + "\n")
    cfg = compose_config(
        "prepare", "source=dicom_folder", f"source.root={root}/raw/{name}", "source.labels=labels.csv",
        f"source.name={name}", f"paths.data={root}/data", "side=48", "workers=0", "contact_sheet=false",
    )  # fmt: skip
    prepare(cfg, instantiate(cfg.source), "all")
    made = Store.open(root / "data" / name / "all")
    records = [replace(r, caption=f"CT of {NAME}: {', '.join(r.organs)} {n}") for n, r in enumerate(made.manifest)]
    write_store(made.path, np.array(made.images), records, {})
    return made.path


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Trains pmc_m, tests its weights as pmc, lets pmc_ms fail, reports and publishes; no connection is answered."""
    root = tmp_path_factory.mktemp(NAME)
    home = root / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        for name in ("WANDB_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            patch.setenv(name, address)
        for name in ("USER", "LOGNAME", "HOSTNAME"):
            patch.setenv(name, f"{NAME}-{name.lower()}")
        for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
            patch.setenv(name, str(home))
        for name in ("WANDB_API_KEY", "WANDB_MODE"):
            patch.delenv(name, raising=False)
        patch.setattr(socket, "gethostname", lambda: f"{NAME}-host")
        patch.setattr(platform, "node", lambda: f"{NAME}-host")
        patch.chdir(home)
        train_and_publish(root, patch)
        assert knocks(server) == []
    return root / "outputs"


def knocks(server):
    """What was asked of a server that nobody should know of."""
    found = []
    while True:
        try:
            found.append(server.accept()[0].recv(200))
        except BlockingIOError:
            return found


def train_and_publish(root, patch):
    from anatomy_clip.training.module import TrainModule

    train, validation, test = (make_store(root, name, n) for name, n in (("train", 3), ("validation", 1), ("set1", 3)))
    absent = [f"~data.test.{name}" for name in ("shifted", "samples_ct", "samples_mr", "real")]
    stores = [f"data.train=[{train}]", f"data.validation.phantom={validation}", f"data.test.set1={test}", *absent]
    common = [f"paths.outputs={root}/outputs", f"paths.data={root}/data", *stores, *TINY]

    def config(name, *overrides):
        return compose_config("config", f"experiment=table3/{name}", "suite=small", "logger=wandb", *common, *overrides)

    trained = config("pmc_m", "model.weights=null", "prompts=captions")
    run(trained)
    weights = run_folder(trained) / "last.ckpt"
    run(config("pmc", f"model.weights={weights}"))
    patch.setattr(TrainModule, "training_step", fail)
    with pytest.raises(RuntimeError, match=NAME):
        run(config("pmc_ms", f"model.weights={weights}"))
    shown = [f"paths.outputs={root}/outputs", "suite=small"]
    show = f"{{set1: {test}}}"
    results(compose_config("results", *shown, f"page.stores={show}", "allow_confounds=true"))
    publish(compose_config("publish", *shown, f"paths.data={root}/data", f"gallery.stores={show}"))


def fail(self, batch, batch_idx):
    raise RuntimeError(f"can't read {os.getcwd()}/{NAME}.dcm of {NAME}^Jane")


@pytest.fixture(scope="module")
def reviews(outputs):
    """Column, or `results` for the suite -> the offline folder of its review."""
    runs = [run for run in offline_runs(outputs) if "review" in run.parts]
    return {record.run.job_type: run for run in runs for record in record_of(run) if record.HasField("run")}


def test_every_start_has_a_folder_under_the_id_of_its_run(outputs):
    ids = [record.run for run in offline_runs(outputs) for record in record_of(run) if record.HasField("run")]
    arms = {(r.run_group, r.job_type) for r in ids}
    assert arms == {("small", name) for name in ("pmc", "pmc_m", "pmc_ms", "results")}
    trained = [r.run_id for r in ids if r.job_type == "pmc_m"]
    assert len(trained) == 2 and len(set(trained)) == 1  # training and review


def test_all_cells_are_there_as_the_evaluation_wrote_them(outputs, reviews):
    for name in ("pmc", "pmc_m"):
        summary = values(reviews[name], "summary")
        scores = json.loads((outputs / "small" / name / "seed_0" / "results.json").read_text())["scores"]["zero_shot"]
        cells = {score["cell"]: score for score in scores if score["cell"].startswith("test/")}
        assert {"test/organ/set1_ct", "test/station/set1_ct"} <= set(cells)
        for cell, score in cells.items():
            found = [summary[key] for key in (cell, f"{cell}/lo", f"{cell}/hi", f"{cell}/n")]
            assert found == pytest.approx([score[key] for key in ("value", "lo", "hi", "n")])
        contrast = pd.read_parquet(outputs / "small" / name / "seed_0" / "contrast.parquet")
        of_station = contrast[contrast["slot"] == "station"]
        assert summary["contrast/station/set1"] == pytest.approx(of_station["win"].mean())
        assert summary["contrast/station/set1/margin"] == pytest.approx(of_station["margin"].mean())
    assert values(reviews["pmc_m"], "summary")["delta/organ/set1_ct"] == 0  # the same weights
    assert not [key for key in values(reviews["pmc"], "summary") if key.startswith("delta")]


def test_settings_tables_and_plots_are_there(reviews):
    config = values(reviews["pmc_m"], "config")
    assert (config["suite"], config["arm"], config["seed"]) == ("small", "pmc_m", 0)
    assert config["trainer.max_epochs"] == 4 and config["data.batch_size"] == 4
    assert not [key for key in config if key.startswith(("data.train", "paths", "model.weights", "logger"))]
    history = values(reviews["pmc_m"], "history")
    for key in ("confusion/organ/set1_ct_table", "roc/organ/set1_ct_table", "labels", "gallery"):
        assert history[f"{key}/_type"] == "table-file"
    columns, rows = table(reviews["pmc_m"], "gallery")
    assert 16 <= len(rows) <= 18 and columns[:3] == ["image", "slice", "patient"]
    assert {row[columns.index("true organs")] for row in rows} == {"lungs", "liver"}
    assert len({row[2] for row in rows}) == 3 and len({row[1] for row in rows}) == len(rows)
    columns, rows = table(reviews["results"], "table")
    assert {("organ/set1_ct", "pmc"), ("organ/set1_ct", "pmc_m")} <= {(row[0], row[1]) for row in rows}
    assert any(key.startswith("page/") for key in values(reviews["results"], "history"))


def test_throughput_is_logged_with_the_training(outputs):
    (training,) = [r for r in offline_runs(outputs) if "pmc_m" in r.parts and "review" not in r.parts]
    assert values(training, "history")["throughput/pairs_per_s"] > 0


def test_lineage_joins_training_and_test(reviews):
    made = {a.name for a in artifacts(reviews["pmc_m"]) if a.type == "model" and not a.use_after_commit}
    used = {a.name for a in artifacts(reviews["pmc"]) if a.type == "model" and a.use_after_commit}
    assert made == used and len(made) == 1
    data = {name: {a.name for a in artifacts(reviews[name]) if a.type == "dataset"} for name in ("pmc", "pmc_m")}
    assert len(data["pmc_m"]) == 3 and len(data["pmc"]) == 1 and data["pmc"] < data["pmc_m"]
    roles = [json.loads(a.metadata)["role"] for a in artifacts(reviews["pmc_m"]) if a.type == "dataset"]
    assert roles == ["train", "phantom", "set1"]


def test_files_of_artifacts_are_named_from_the_runs_folder(reviews):
    places = [entry.local_path for run in reviews.values() for a in artifacts(run) for entry in a.manifest.contents]
    assert places and all(place.startswith("staged/") for place in places)
    assert all((run / e.local_path).is_file() for run in reviews.values() for a in artifacts(run)
               for e in a.manifest.contents)  # fmt: skip


def test_the_failed_run_says_only_that_it_failed(outputs):
    (failed,) = [r for r in offline_runs(outputs) if "pmc_ms" in r.parts]
    (code,) = [record.exit.exit_code for record in record_of(failed) if record.HasField("exit")]
    assert code == 1


def test_nothing_private_is_in_any_file(outputs):
    files = [path for run in offline_runs(outputs) for path in run.rglob("*") if path.is_file()]
    assert len(files) > 50
    root = str(outputs.parent.parent)
    own = [getpass.getuser(), os.path.expanduser("~") + "/", socket.gethostname()]
    words = [NAME, NAME.upper(), root, "Jane", *(word for word in own if len(word) > 4)]
    for path in files:
        content = path.read_bytes()
        for word in words:
            for encoding in ("utf-8", "utf-16-le"):
                assert word.encode(encoding) not in content, f"{path.name}: {word}"
