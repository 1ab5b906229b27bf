"""Time the parts of the data pipeline side by side, on one core; ratios outlive the machine, milliseconds don't."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from anatomy_clip.anatomy.records import SliceRecord
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.anatomy.terms import Modality, Orientation, Protocol
from anatomy_clip.data.augment import ImageAugment
from anatomy_clip.data.collate import tokenize
from anatomy_clip.data.dataset import Prompts
from anatomy_clip.data.rng import sample_rng

CONF = Path(__file__).resolve().parents[1] / "conf"
STORED, SIZE = 128, 96  # sides in the store and at the model, pixels
REPEATS, ROUNDS = 200, 5
TAXONOMY = Taxonomy.load("whole_body")
RECORD = SliceRecord(
    "benchmark", "train", "p", "s", "s", 0, Modality.MR, Protocol.T2, Orientation.CORONAL,
    structures={"liver": 9e3, "kidney_left": 2e3, "small_bowel": 4e3, "lung_lower_lobe_left": 5e3, "heart": 4e3},
)  # fmt: skip


def milliseconds(call: Callable[[int], object]) -> float:
    """Time a call: the median over rounds of the mean over repeats, ms; the argument counts the calls."""
    call(0)
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for n in range(REPEATS):
            call(n)
        rounds.append((time.perf_counter() - start) / REPEATS * 1e3)
    return float(np.median(rounds))


def image_calls() -> dict[str, Callable[[int], object]]:
    """One call for each image augmentation in `conf/augment`."""
    noise = np.random.default_rng(0).integers(0, 256, (STORED, STORED), dtype=np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 2).astype(np.uint8)

    def call(augment: ImageAugment) -> Callable[[int], object]:
        return lambda n: augment(image, sample_rng(0, 0, n))

    names = ("none", "clip", "clinical")
    return {f"augment={n}": call(instantiate(compose(overrides=[f"+augment={n}"]).augment, size=SIZE)) for n in names}


def caption_calls() -> dict[str, Callable[[int], object]]:
    """One call for each caption sampler, and for tokenising a new and a known caption."""

    def call(prompts: Prompts) -> Callable[[int], object]:
        return lambda n: prompts(RECORD, TAXONOMY, sample_rng(0, 0, n))

    names = ("organs", "organs_stations", "augmented")
    calls = {f"prompts={n}": call(instantiate(compose(overrides=[f"+prompts={n}"]).prompts)) for n in names}
    words = "A coronal oriented MR T2 image of liver, kidneys organs"
    fresh = iter(range(10**9))
    calls["tokens, new caption"] = lambda n: tokenize([f"{words} {next(fresh)}"])
    calls["tokens, known caption"] = lambda n: tokenize([words])
    return calls


def main() -> None:
    """Print the table."""
    cv2.setNumThreads(0)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        calls = image_calls() | caption_calls()
    calls["labels of a record"] = lambda n: TAXONOMY.organs_of(RECORD.structures, RECORD.orientation)
    times = {name: milliseconds(call) for name, call in calls.items()}
    base = times["augment=none"]
    print(f"one slice, {STORED} to {SIZE} px, one core\n{'part':24s} {'ms':>8s} {'x resize':>9s}")
    for name, value in times.items():
        print(f"{name:24s} {value:8.3f} {value / base:9.2f}")


if __name__ == "__main__":
    main()
