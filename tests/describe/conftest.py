"""A run's folder with random weights, its bundle, and small DICOM files with a patient's name in every free field."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from describe.studies import CT, MR, SECRETS, body, decisions, uid
from models.clips import EMBED, TEXT, VIT, stir
from omegaconf import OmegaConf
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from support import compose_config

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.describe.bundle.export import export_run
from anatomy_clip.describe.predictor import Describer
from anatomy_clip.models.towers.open_clip import from_config
from anatomy_clip.stores.store import write_store

ROOT = Path(os.environ.get("REAL_DATA", Path(__file__).parents[2].parent / "shared" / "realdata"))
SIDE = 96
KINDS = [
    (Modality.CT, Protocol.NONE, Orientation.AXIAL, ("brain",), ("head",)),
    (Modality.CT, Protocol.NONE, Orientation.AXIAL, ("lungs", "heart"), ("chest",)),
    (Modality.CT, Protocol.NONE, Orientation.CORONAL, ("liver",), ("abdomen",)),
    (Modality.MR, Protocol.T1, Orientation.AXIAL, ("knee",), ("lower body",)),
    (Modality.MR, Protocol.T2, Orientation.SAGITTAL, ("intestine",), ("pelvis",)),
]


@pytest.fixture
def real():
    if not (ROOT / "labels.csv").is_file():
        pytest.skip(f"no real data at {ROOT}; REAL_DATA names another place")
    return ROOT


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """What the stages fit and evaluate leave behind, of a model that was never trained."""
    folder = tmp_path_factory.mktemp("run")
    taxonomy = Taxonomy.load("whole_body")
    torch.manual_seed(0)
    model = stir(from_config(EMBED, VIT, TEXT, quick_gelu=True))
    recipe = {
        "taxonomy": taxonomy.to_dict(), "model": model.describe(), "weights": None, "versions": {"torch": "2"},
        "finished": True,
    }  # fmt: skip
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    state["objective.logit_scale"] = torch.tensor(2.5)
    torch.save({"recipe": recipe, "state_dict": state}, folder / "last.ckpt")
    cfg = compose_config("config", "experiment=table3/pmc_msa", f"paths.data={folder / 'data'}")
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(cfg))
    scores = [{"cell": "test/organ/set1_ct", "value": 0.5, "n": 8, "lo": float("nan"), "hi": float("nan")}]
    (folder / "results.json").write_text(json.dumps({"scores": {"zero_shot": scores}}))
    (folder / "decisions.json").write_text(json.dumps(decisions(taxonomy).to_dict() | {"abstain_below": 0.0}))
    records = [
        SliceRecord(
            "s", "train", "p", "t", "r", n, modality, protocol, plane, organs=organs, stations=stations, licence="CC0"
        )
        for n, (modality, protocol, plane, organs, stations) in enumerate(KINDS)
    ]
    display = {"_target_": "anatomy_clip.imaging.intensity.Display", "level": 50, "width": 350, "low": 1, "high": 99}
    images = np.zeros((len(records), SIDE, SIDE), np.uint8)
    write_store(folder / "data" / "phantom" / "train", images, records, {"settings": {"display": display}})
    return folder


@pytest.fixture(scope="session")
def bundle_folder(run_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    export_run(run_folder, folder)
    return folder


@pytest.fixture
def describer(bundle_folder):
    with Describer.from_bundle(bundle_folder) as opened:
        yield opened


@pytest.fixture
def write(tmp_path):
    """Write a small axial file full of a patient's particulars; changes are by keyword, None takes a field out."""

    def save(name, z=0.0, modality="CT", pixels=None, **changes):
        pixels = body(int(abs(z) * 8) + 1) if pixels is None else pixels
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        fields = dict(
            SOPClassUID=CT if modality == "CT" else MR, SOPInstanceUID=generate_uid(), Modality=modality,
            StudyInstanceUID=uid("study"), SeriesInstanceUID=uid("series"), PatientID=SECRETS[1],
            PatientName=SECRETS[0], PatientBirthDate=SECRETS[2], StudyDate=SECRETS[2], SeriesDate=SECRETS[2],
            SeriesDescription=SECRETS[3], StudyDescription=SECRETS[3], InstitutionName=SECRETS[3],
            ReferringPhysicianName=SECRETS[0], AccessionNumber=SECRETS[1], ProtocolName=SECRETS[3],
            Rows=pixels.shape[0], Columns=pixels.shape[1], SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2",
            BitsAllocated=16, BitsStored=16, HighBit=15, PixelRepresentation=1, PixelSpacing=[0.8, 0.5],
            SliceThickness=2, ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[0, 0, z],
            InstanceNumber=1, RescaleSlope=1, RescaleIntercept=-1024, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        )  # fmt: skip
        for keyword, value in (fields | changes).items():
            if value is not None:
                setattr(data, keyword, value)
        data.PixelData = pixels.tobytes()
        data["PixelData"].VR = "OW"
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data.save_as(path, enforce_file_format=True)
        return path

    return save
