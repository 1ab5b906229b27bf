"""Time `describe`: its cold start on one file, and a CT series of 300 slices beside a plain loop of open_clip.

python experiments/benchmark_describe.py            # with the bundle of the package; --bundle FOLDER takes another

Times are processor seconds, child processes included: what else runs on the machine matters less to them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from anatomy_clip.cli.plain_errors import plain_errors
from anatomy_clip.core.terms import Orientation
from anatomy_clip.describe.bundle import onnx_tower
from anatomy_clip.describe.bundle.folder import Bundle, read_bundle
from anatomy_clip.describe.predictor import Describer
from anatomy_clip.imaging.intensity import ct_window
from anatomy_clip.sources.phantom.body import make_body
from anatomy_clip.sources.phantom.ct import draw_hu
from anatomy_clip.sources.phantom.planes import make_plane

SLICES, SIDE, SPACING_MM = 300, 512, 2.0
DRAWN, DRAWN_SIDE = 60, 128  # slices that are drawn, and their side; the others lie between them
FOV_MM = 450.0
ROUNDS = 3

# What a user of open_clip would write: one picture, all prompts.
PLAIN = """
import sys
import open_clip, torch
from PIL import Image
folder, picture, *prompts = sys.argv[1:]
model, prepare = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
tokens = open_clip.get_tokenizer("ViT-B-32")(prompts)
with torch.inference_mode():
    image = model.eval().encode_image(prepare(Image.open(picture))[None], normalize=True)
    print((100 * image @ model.encode_text(tokens, normalize=True).T).softmax(-1).argmax())
"""


def draw_series() -> Iterator[np.ndarray]:
    """Slices of a drawn body from hips to neck, (SIDE, SIDE) float32 HU."""
    rng = np.random.default_rng(0)
    body = make_body(rng)
    hu = draw_hu(rng, contrast=True)
    start = np.array([*body.landmarks["L1"][:2], body.landmarks["hip_left"][2]])
    drawn = []
    for n in range(DRAWN):
        centre = np.add(start, (0, 0, SPACING_MM * n * SLICES / DRAWN))
        plane = make_plane(centre, np.eye(3), Orientation.AXIAL, (FOV_MM, FOV_MM), DRAWN_SIDE, SPACING_MM)
        drawn.append(cv2.resize(hu[plane.cut(body)], (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))
    for n in range(SLICES):
        below, share = divmod(n * (DRAWN - 1) / (SLICES - 1), 1)
        above = min(int(below) + 1, DRAWN - 1)
        noise = rng.normal(0, 15, (SIDE, SIDE))
        yield ((1 - share) * drawn[int(below)] + share * drawn[above] + noise).astype(np.float32)


def write_series(dicom: Path, png: Path) -> None:
    """Write the slices as CT files, and as the PNG files that somebody would export of them."""
    study, series = generate_uid(), generate_uid()
    for n, hu in enumerate(draw_series()):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID, data.SOPInstanceUID, data.Modality = CTImageStorage, generate_uid(), "CT"
        data.StudyInstanceUID, data.SeriesInstanceUID, data.InstanceNumber = study, series, n + 1
        data.Rows = data.Columns = SIDE
        data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 1
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
        data.PixelSpacing, data.SliceThickness = [FOV_MM / SIDE] * 2, SPACING_MM
        data.ImageOrientationPatient, data.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, SPACING_MM * n]
        data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 1, -1024, "HU"
        data.PixelData = (hu + 1024).astype(np.int16).tobytes()
        data.save_as(dicom / f"{n:03d}.dcm", enforce_file_format=True)
        Image.fromarray(ct_window(hu, 40, 400)).save(png / f"{n:03d}.png")


def processor_seconds(call: Callable[[], object]) -> tuple[float, float]:
    """(Processor seconds of this process and the children that it ended, seconds on the clock) of one call."""

    def used() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(one.ru_utime + one.ru_stime for one in both)

    start, clock = used(), time.perf_counter()
    call()
    return used() - start, time.perf_counter() - clock


def compare(title: str, calls: dict[str, Callable[[], object]], slices: int = 0) -> None:
    """Time calls in turns; print each, and the first as a multiple of it: medians, and the range over rounds."""
    rounds = [{name: processor_seconds(call) for name, call in calls.items()} for _ in range(ROUNDS)]
    base = next(iter(calls))
    rate = f" {'slices/s':>9s}" if slices else ""
    print(f"\n{title}\n{'part':46s} {'cpu s':>7s} {'clock s':>8s} {'times quicker':>14s} {'range':>13s}{rate}")
    for name in calls:
        ratios = sorted(round_[base][0] / round_[name][0] for round_ in rounds)
        taken, clock = (float(np.median([round_[name][n] for round_ in rounds])) for n in (0, 1))
        rate = f" {slices / taken:9.0f}" if slices else ""
        print(f"{name:46s} {taken:7.2f} {clock:8.2f} {np.median(ratios):14.2f} "
              f"{f'{ratios[0]:.2f}-{ratios[-1]:.2f}':>13s}{rate}", flush=True)  # fmt: skip


def program(*words: str) -> Callable[[], object]:
    """A program of its own, which must end well."""
    return lambda: subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)


def cold_calls(bundle: Bundle, onnx: bool, dicom: Path, png: Path) -> dict[str, Callable[[], object]]:
    """A program that describes one file, from its start to its end."""
    command = ("-m", "anatomy_clip.cli")
    order = (*command, "describe", str(dicom), "--bundle", str(bundle.folder), "--json")
    calls = {
        "a plain open_clip script, one PNG": program("-c", PLAIN, str(bundle.folder), str(png), *prompts(bundle)),
        "anatomy-clip describe": program(*order),
    }
    if onnx:
        calls["anatomy-clip describe --onnx"] = program(*order, "--onnx")
    return calls | {"anatomy-clip --help": program(*command, "--help")}


def prompts(bundle: Bundle) -> list[str]:
    """The evaluation prompts of organs and stations."""
    return [text for kind in ("organ", "station") for row in bundle.prompts[kind] for text in row]


def series_calls(bundle: Bundle, onnx: bool, dicom: Path, png: Path) -> dict[str, Callable[[], object]]:
    """A series with everything loaded before: open_clip picture by picture, and describers."""
    import open_clip
    import torch

    torch.set_num_threads(1)
    model, prepare = open_clip.create_model_from_pretrained(f"local-dir:{bundle.folder}")
    model.eval()
    tokenizer, texts = open_clip.get_tokenizer("ViT-B-32"), prompts(bundle)
    pictures = sorted(png.iterdir())

    def embed_text() -> torch.Tensor:
        return model.encode_text(tokenizer(texts), normalize=True)

    @torch.inference_mode()
    def loop(cached: bool) -> None:
        known = embed_text() if cached else None
        for path in pictures:
            image = model.encode_image(prepare(Image.open(path))[None], normalize=True)
            (100 * image @ (embed_text() if known is None else known).T).softmax(-1).argmax()

    calls: dict[str, Callable[[], object]] = {
        "loop of open_clip over PNGs, text each time": lambda: loop(False),
        "loop of open_clip over PNGs, text once": lambda: loop(True),
    }
    for name, with_onnx in (("Describer, DICOM files", False), ("Describer with ONNX, DICOM files", True)):
        if onnx or not with_onnx:
            describer = Describer.from_bundle(bundle.folder, onnx=with_onnx)
            describer.describe(next(dicom.iterdir()))
            calls[name] = lambda describer=describer: describer.describe(dicom)
    return calls


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bundle", help="default: the bundle of the package")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with plain_errors():
        bundle = read_bundle(parser.parse_args().bundle)
    onnx = False
    with contextlib.suppress(ValueError):
        onnx_tower.check(bundle.folder / onnx_tower.FILE)
        onnx = True
    if not onnx:
        print("ONNX isn't measured: the bundle has no ONNX file, or ONNX Runtime isn't installed")
    with tempfile.TemporaryDirectory() as name:
        dicom, png = Path(name, "dicom"), Path(name, "png")
        dicom.mkdir()
        png.mkdir()
        write_series(dicom, png)
        one = f"{SLICES // 2:03d}"
        cold = cold_calls(bundle, onnx, dicom / f"{one}.dcm", png / f"{one}.png")
        compare(f"one {SIDE} x {SIDE} slice from a cold start ({bundle.name})", cold)
        title = f"CT series of {SLICES} slices of {SIDE} x {SIDE}, everything loaded"
        compare(title, series_calls(bundle, onnx, dicom, png), SLICES)


if __name__ == "__main__":
    main()
