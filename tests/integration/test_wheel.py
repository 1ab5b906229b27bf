"""The wheel alone: built, unpacked into an empty folder and used from another, with no checkout in reach."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PIP = (sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check")
TINY = (
    "model.weights=null", "model.vision.image_size=32", "model.embed_dim=16", "data.batch_size=8", "data.workers=0",
    "model.text={context_length:77,vocab_size:49408,width:16,heads:1,layers:1}", "optim.scheduler.warmup_steps=1",
    "trainer.max_steps=2", "+trainer.enable_progress_bar=false", "stages=[fit,evaluate]", "~data.test.shifted",
)  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [*PIP, "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", str(folder)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("*.whl")
    return file


def test_every_file_of_the_package_and_its_configs_is_in_the_wheel(wheel):
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "anatomy_clip", "conf"]
    tracked = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    wanted = {name.replace("conf/", "anatomy_clip/conf/", 1) if name.startswith("conf/") else name
              for name in tracked if (ROOT / name).is_file()}  # fmt: skip
    assert {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name} == wanted


def test_programs_run_from_a_wheel_in_an_empty_folder(wheel, tmp_path):
    installed, here = tmp_path / "installed", tmp_path / "here"
    here.mkdir()
    install = [*PIP, "install", "--no-deps", "--no-index", "-q", "--target", str(installed), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}

    def anatomy_clip(*words, status=0):
        command = [sys.executable, str(installed / "bin" / "anatomy-clip"), *words]
        done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    few = [f"source.cohorts.{name}.patients=3" for name in ("train", "validation", "set1")]
    short = [f"+source.cohorts.{name}.series_per_patient=2" for name in ("train", "validation", "set1")]
    absent = [f"~source.cohorts.{name}" for name in ("shifted_validation", "shifted_test", "figures")]
    anatomy_clip(
        "prepare", *few, *short, *absent, "side=32", "source.pixels=32", "contact_sheet=false",
    )  # fmt: skip
    anatomy_clip("train", "experiment=augmentation/no_crop", "suite=table3", "name=pmc_msa", *TINY)
    assert (here / "outputs/table3/pmc_msa/seed_0/last.ckpt").is_file()
    assert "3 store(s) complete, 0 leak(s)" in anatomy_clip("check")
    assert "outputs/table3/results.html" in anatomy_clip("results").replace("\n", "")
    assert "(91.62)" in (here / "outputs/table3/table3.md").read_text()  # the paper's number
    assert "this is an installed wheel" in anatomy_clip("results", "readme=true", status=2)
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)
    Image.fromarray(pixels).save(here / "slice.png")
    assert "slice.png" in anatomy_clip("describe", "slice.png", "--modality", "CT", "--json", "--onnx")
