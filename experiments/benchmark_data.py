"""Time the way of the data on one core: masks to slices against unpacking alone, slices to batches against PNG files.

python experiments/benchmark_data.py            # on a drawn subject; REAL_DATA=FOLDER adds the subjects found there
"""

from __future__ import annotations

import gzip
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import nibabel
import numpy as np
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from PIL import Image

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.rng import sample_rng
from anatomy_clip.data.collate import Collate
from anatomy_clip.data.dataset import SliceDataset
from anatomy_clip.sources.phantom.body import make_body
from anatomy_clip.sources.phantom.structures import STRUCTURES
from anatomy_clip.sources.scans.totalsegmentator import TotalSegmentator
from anatomy_clip.stores.store import Store, write_store

CONF = Path(__file__).resolve().parents[1] / "conf"
SPACING_MM, SHAPE = 1.5, (240, 240, 220)  # a trunk, as the public data set has it
STORED, SIZE, EXPORTED = 256, 224, 512  # sides of a store's images, of the model's, of an exported slice; pixels
SLICES, BATCH, ROUNDS = 256, 64, 5


def seconds(call: Callable[[], object]) -> float:
    """Processor seconds of one call: what else runs on the machine matters less than to the clock on the wall."""
    start = time.process_time()
    call()
    return time.process_time() - start


def compare(title: str, calls: dict[str, Callable[[], object]], slices: int = 0) -> None:
    """Time calls in turns, and print each as a multiple of the first: median and range over the rounds."""
    for call in calls.values():
        call()
    rounds = [{name: seconds(call) for name, call in calls.items()} for _ in range(ROUNDS)]
    base = next(iter(calls))
    rate = f" {'slices/s':>9s}" if slices else ""
    print(f"\n{title}\n{'part':52s} {'s':>7s} {'ratio':>6s} {'range':>13s}{rate}")
    for name in calls:
        ratios = sorted(round_[name] / round_[base] for round_ in rounds)
        taken = float(np.median([round_[name] for round_ in rounds]))
        rate = f" {slices / taken:9.0f}" if slices else ""
        print(f"{name:52s} {taken:7.3f} {np.median(ratios):6.2f} {ratios[0]:6.2f}-{ratios[-1]:.2f}{rate}")


def draw_subject(root: Path) -> None:
    """Write a drawn trunk in the layout of the TotalSegmentator data set, a mask file a structure."""
    body = make_body(np.random.default_rng(0))
    centre = body.landmarks["L1"]
    labels = np.empty(SHAPE, np.uint8)
    for z in range(SHAPE[2]):
        corner = centre + SPACING_MM * (np.array([0.0, 0.0, z]) - np.array(SHAPE) / 2)
        labels[:, :, z] = body.label_plane(corner, [SPACING_MM, 0, 0], [0, SPACING_MM, 0], SHAPE[:2])
    affine = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    folder = root / "s0001" / "segmentations"
    folder.mkdir(parents=True)
    names = {structure.name for structure in STRUCTURES[1:]}
    for name in sorted(names):
        values = [n for n, structure in enumerate(STRUCTURES) if structure.name == name]
        mask = np.isin(labels, values).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(mask, affine), folder / f"{name}.nii.gz")
    noise = np.random.default_rng(0).normal(0, 20, SHAPE)
    hu = np.where(labels > 0, 40, -1000) + noise
    nibabel.save(nibabel.Nifti1Image(hu.astype(np.int16), affine), folder.parent / "ct.nii.gz")
    (root / "meta.csv").write_text("image_id;split\ns0001;train\n")


def ingest_calls(cfg: DictConfig, root: Path, subject: str) -> dict[str, Callable[[], object]]:
    """Unpack a subject's files with the standard library; make its slices, as `prepare` does."""
    files = sorted((root / subject).rglob("*.nii.gz"))
    source: TotalSegmentator = instantiate(cfg.source, root=str(root), known_bad=True)
    split = next(name for name in source.splits() if subject in source.volumes(name))
    display = instantiate(cfg.display)

    def unpack() -> None:
        for path in files:
            with gzip.open(path) as packed:
                packed.read()

    def ingest() -> None:
        pairs = [(display.square(image, cfg.side), record) for image, record in source.slices(split, subject)]
        images, records = zip(*pairs, strict=True)
        with tempfile.TemporaryDirectory() as folder:
            write_store(Path(folder, "store"), np.stack(images), records, {})

    return {f"unpack {len(files)} files": unpack, "read, label, display, write a store": ingest}


def loading_calls(cfg: DictConfig, store: Store, folder: Path) -> dict[str, Callable[[], object]]:
    """Read and augment slices of the store, PNG files of the same squares, and PNG files as they are exported."""
    augment = instantiate(cfg.augment, size=SIZE)
    rows = range(len(store.images))
    for side in (STORED, EXPORTED):
        for row in rows:
            square = cv2.resize(np.asarray(store.images[row]), (side, side), interpolation=cv2.INTER_CUBIC)
            Image.fromarray(square).save(folder / f"{side}_{row}.png")
    plain = plain_augmentation()

    def from_png(side: int, row: int) -> np.ndarray:
        return np.asarray(Image.open(folder / f"{side}_{row}.png"))

    return {
        "store, augment=clinical": lambda: [augment(np.asarray(store.images[r]), sample_rng(0, 0, r)) for r in rows],
        f"PNG of {STORED} px, augment=clinical": lambda: [
            augment(from_png(STORED, r), sample_rng(0, 0, r)) for r in rows
        ],
        f"PNG of {EXPORTED} px, a plain albumentations list": lambda: [
            plain(image=from_png(EXPORTED, r))["image"] for r in rows
        ],
    }


def plain_augmentation() -> Callable[..., dict[str, np.ndarray]]:
    """The operations of `augment=clinical` with its probabilities, as albumentations' own classes."""
    import albumentations as a

    made: Callable[..., dict[str, np.ndarray]] = a.Compose(
        [
            a.HorizontalFlip(p=0.3),
            a.VerticalFlip(p=0.02),
            a.Affine(rotate=(-15, 15), p=0.2),
            a.Affine(translate_percent=(-0.1, 0.1), p=0.2),
            a.RandomResizedCrop((EXPORTED, EXPORTED), scale=(0.7, 1.0), ratio=(0.8, 1.25), p=0.25),
            a.CLAHE((1.0, 4.0), (4, 4), p=0.1),
            a.ColorJitter(brightness=(1, 1), contrast=(0.6, 1.6), saturation=(1, 1), hue=(0, 0), p=0.15),
            a.RandomGamma((60, 160), p=0.15),
            a.RandomBrightnessContrast(p=0.15),
            a.GaussianBlur(sigma_limit=(0.3, 1.0), p=0.1),
            a.GaussNoise((0.01, 0.04), p=0.1),
            a.Resize(SIZE, SIZE),
        ]
    )
    return made


def pipeline_call(cfg: DictConfig, taxonomy: Taxonomy, store: Store) -> Callable[[], object]:
    """The whole way of PMC-MSA's training data, store to batches: image, caption, tokens."""
    data = SliceDataset(
        store.images,
        store.manifest,
        taxonomy,
        augment=instantiate(cfg.augment, size=SIZE),
        texts=instantiate(cfg.prompts, taxonomy=taxonomy, _convert_="all"),
    )
    collate = Collate()

    def epoch() -> None:
        rows: Sequence[int] = range(len(store.images))
        for start in range(0, len(rows), BATCH):
            collate([data[row, 0] for row in rows[start : start + BATCH]])

    return epoch


def main() -> None:
    """Print the tables."""
    cv2.setNumThreads(0)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        prepare = compose("prepare", overrides=["source=totalsegmentator", f"side={STORED}"])
        training = compose(overrides=["+augment=clinical", "+prompts=augmented", "+taxonomy=whole_body"])
    real = os.environ.get("REAL_DATA", "")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_subject(folder / "drawn")
        subjects = [("drawn", folder / "drawn", "s0001")]
        if real:
            root = Path(real, "totalsegmentator_ct")
            subjects += [("real", root, path.parent.name) for path in sorted(root.glob("*/ct.nii.gz"))]
        for kind, root, subject in subjects:
            shape = nibabel.load(root / subject / "ct.nii.gz").shape
            title = f"ingest of one TotalSegmentator subject ({kind}, {' x '.join(map(str, shape))})"
            compare(f"{title}, one core", ingest_calls(prepare, root, subject))
        source = instantiate(prepare.source, root=str(folder / "drawn"))
        display = instantiate(prepare.display)
        pairs = [(display.square(image, STORED), r) for image, r in source.slices("train", "s0001")][:SLICES]
        images, records = zip(*pairs, strict=True)
        write_store(folder / "store", np.stack(images), records, {})
        store = Store.open(folder / "store")
        title = f"{len(images)} slices to {SIZE} px, one core"
        compare(f"reading and augmenting {title}", loading_calls(training, store, folder), len(images))
        epoch = pipeline_call(training, instantiate(training.taxonomy), store)
        compare(f"the whole PMC-MSA pipeline, {title}", {"image, caption, tokens, batch": epoch}, len(images))


if __name__ == "__main__":
    main()
