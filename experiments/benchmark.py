"""Time the parts of the pipeline side by side, on one core; ratios outlive the machine, milliseconds don't."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import open_clip
import pandas as pd
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from anatomy_clip.anatomy.labels import organs_in, stations_in
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.rng import sample_rng
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.data.augment import ImageAugment
from anatomy_clip.evaluation.base import Predictions
from anatomy_clip.evaluation.zero_shot import ZeroShot
from anatomy_clip.inference.decisions import choose
from anatomy_clip.models.tokenizers import tokenize
from anatomy_clip.results.layout import layout
from anatomy_clip.results.measures import measure
from anatomy_clip.results.read import Run
from anatomy_clip.results.table import build
from anatomy_clip.text.sampler import TextSource

CONF = Path(__file__).resolve().parents[1] / "conf"
STORED, SIZE = 128, 64  # sides in the store and at the model, pixels
REPEATS, ROUNDS = 200, 5
TAXONOMY = Taxonomy.load("whole_body")
RECORD = SliceRecord(
    "benchmark", "train", "p", "s", "s", 0, Modality.MR, Protocol.T2, Orientation.CORONAL,
    structures={"liver": 9e3, "kidney_left": 2e3, "small_bowel": 4e3, "lung_lower_lobe_left": 5e3, "heart": 4e3},
)  # fmt: skip
ORGANS = organs_in(RECORD, TAXONOMY)
STATIONS = stations_in(RECORD, TAXONOMY)


def milliseconds(call: Callable[[int], object], repeats: int = REPEATS) -> float:
    """Time a call: the median over rounds of the mean over repeats, ms; the argument counts the calls."""
    call(0)
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for n in range(repeats):
            call(n)
        rounds.append((time.perf_counter() - start) / repeats * 1e3)
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

    def call(source: TextSource) -> Callable[[int], object]:
        shown = {"organ": ORGANS, "station": STATIONS}
        return lambda n: source.texts(RECORD, shown, sample_rng(0, 0, n))

    names = ("organs", "organs_stations", "augmented")
    nodes = {f"prompts={n}": compose(overrides=[f"+prompts={n}"]).prompts for n in names}
    calls = {name: call(instantiate(node, taxonomy=TAXONOMY)) for name, node in nodes.items()}
    words = "A coronal oriented MR T2 image of liver, kidneys organs"
    fresh = iter(range(10**9))
    calls["tokens, new caption"] = lambda n: tokenize([f"{words} {next(fresh)}"])
    calls["tokens, known caption"] = lambda n: tokenize([words])
    return calls


def text_calls() -> dict[str, Callable[[int], object]]:
    """Captions of PMC-M through the tiny text tower and back: open_clip's, and ours over trees of their tokens."""
    torch.set_num_threads(1)
    node = compose(overrides=["+model=tiny"]).model
    ours = instantiate(node, _convert_="all")
    theirs = open_clip.CLIP(node.embed_dim, dict(node.vision), dict(node.text), node.quick_gelu)
    words = [f"An image of {o.value} MR T2 scan consisting of {name} organs" for o in Orientation for name in ORGANS]
    whole, short = (tokenize(sorted(words), trim=trim) for trim in (False, True))
    return {
        "open_clip": lambda n: theirs.encode_text(whole, normalize=True).sum().backward(),
        "ours": lambda n: ours.encode_text(short).embedding.sum().backward(),
    }


def evaluation_seconds(slices: int = 10_000, patients: int = 500, resamples: int = 1000) -> float:
    """Evaluate made-up predictions of one run and all that the report measures of it, s of one core."""
    rng = np.random.default_rng(0)
    shown = rng.random((slices, len(TAXONOMY.organs))) < 0.1
    stations = rng.random((slices, len(TAXONOMY.stations))) < 0.2
    scores = {"organ": 0.1 * shown + rng.normal(0.2, 0.05, shown.shape)}
    scores["station"] = 0.1 * stations + rng.normal(0.2, 0.05, stations.shape)
    labels = {"organ": TAXONOMY.organs, "station": TAXONOMY.stations}
    targets = {"organ": shown, "station": stations}
    columns = {
        **{f"{k}_scores": list(scores[k]) for k in labels},
        **{f"{k}_targets": [[labels[k][n] for n in np.flatnonzero(row)] for row in targets[k]] for k in labels},
        **{"set": "set1", "row": range(slices), "source": "made up", "protocol": "", "orientation": "axial"},
        **{"patient": [str(n) for n in rng.integers(patients, size=slices)], "modality": "CT"},
    }
    table = pd.DataFrame(columns)
    decisions = choose(scores["organ"], shown, scores["station"], stations, TAXONOMY)
    run = Run("made_up", 0, Path(), labels, {"zero_shot": table}, {}, decisions=decisions)
    row = {"text": "", "set": "set1", "modalities": ["CT"]}
    rows = layout({"made_up": "made up"}, {"organ/set1_ct": row, "station/set1_ct": row}, {}, "")
    start = time.process_time()
    ZeroShot({}, labels, resamples=resamples).score(Predictions(table, labels))
    build([run], rows, {})
    measure([run], rows)
    return time.process_time() - start


def phantom_call() -> Callable[[int], object]:
    """One patient of the phantom source: drawn, scanned and labelled."""
    source = instantiate(compose("prepare", overrides=["source=phantom"]).source)
    patients = source.volumes("train")
    return lambda n: sum(1 for _ in source.slices("train", patients[n % len(patients)]))


def table(title: str, times: dict[str, float]) -> None:
    """Print milliseconds, and each as a multiple of the first."""
    base = next(iter(times.values()))
    print(f"\n{title}\n{'part':28s} {'ms':>9s} {'ratio':>7s}")
    for name, value in times.items():
        print(f"{name:28s} {value:9.3f} {value / base:7.2f}")


def main() -> None:
    """Print the tables."""
    cv2.setNumThreads(0)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        images, captions, texts, phantom = image_calls(), caption_calls(), text_calls(), phantom_call()
    title = f"one slice, {STORED} to {SIZE} px, one core"
    table(title, {name: milliseconds(call) for name, call in (images | captions).items()})
    title = f"text tower, tiny model, {len(Orientation) * len(ORGANS)} captions, one core"
    table(title, {name: milliseconds(call, repeats=5) for name, call in texts.items()})
    seconds = evaluation_seconds()
    print(
        f"\nevaluation: {seconds:.1f} s of one core for 10,000 predictions and 1,000 bootstrap samples of 500 patients"
    )
    start, slices, patients = time.process_time(), 0, 6
    for n in range(patients):
        slices += int(str(phantom(n)))
    rate = slices / (time.process_time() - start)
    print(f"\nphantom source: {rate:.0f} slices per second of one core at {STORED} px ({patients} patients)")


if __name__ == "__main__":
    main()
