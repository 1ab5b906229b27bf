"""Does `prepare` stream? Many films through it: the time a film in each quarter, and the most memory that is held.

python experiments/benchmark_films.py --films 20000

The films are noise with a mask, a report and findings, made as they are read, so that the time is that of `prepare`.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from anatomy_clip.cli.prepare import render_film
from anatomy_clip.core.radiographs import RADIOGRAPHS, Box, Finding, RadiographRecord
from anatomy_clip.core.terms import Projection, Side, State
from anatomy_clip.imaging.radiographs import Radiograph
from anatomy_clip.stores.prepare import Progress, prepare_split
from anatomy_clip.stores.store import Store

MASKS = ("nodule", "heart")
MIMIC_CXR = 377_110  # films
PATIENT = 5  # films of one
SIDE = 96
REPORT = "The heart is of normal size. There is a nodule in the left upper lobe. No effusion or pneumothorax. " * 3


def films(volume: str) -> Iterator[tuple[Radiograph, RadiographRecord]]:
    """The films of one patient."""
    rng = np.random.default_rng(int(volume))
    for n in range(PATIENT):
        pixels = rng.random((SIDE, SIDE), dtype=np.float32)
        findings = {f"finding_{k}": Finding(State.NEGATIVE) for k in range(12)} | {
            "nodule": Finding(State.POSITIVE, Side.LEFT, "upper", "mild", 12.0)
        }
        yield (
            Radiograph(pixels, {"nodule": pixels > 0.99, "heart": pixels > 0.5}),
            RadiographRecord(
                "many", "train", volume, f"{volume}-0", f"{volume}-{n}", part="chest", projection=Projection.PA,
                spacing_mm=(4.0, 4.0), findings=findings, boxes=(Box("nodule", 10, 20, 8, 8),),
                report={"findings": REPORT, "impression": "Nodule."}, acquisition={"kvp": 120.0},
            ),
        )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare the films in a folder of their own and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--films", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--folder", type=Path, help="folder of the store, which is deleted at the end (default: a temporary folder)"
    )
    options = parser.parse_args(arguments)
    patients = [str(n) for n in range(options.films // PATIENT)]
    marks: list[tuple[int, float]] = []

    def note(now: Progress) -> None:
        if now.volumes * 4 // len(patients) > len(marks):
            marks.append((now.images, time.perf_counter()))

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        begun = time.perf_counter()
        prepare_split(
            films, patients, Path(folder) / "train", partial(render_film, SIDE, MASKS), settings={}, masks=MASKS,
            workers=options.workers, max_bad_share=0, progress=note,
        )  # fmt: skip
        whole = time.perf_counter() - begun
        opening = time.perf_counter()
        store = Store.open(Path(folder) / "train", kind=RADIOGRAPHS)
        opening = time.perf_counter() - opening
        size = sum(file.stat().st_size for file in store.path.iterdir())
    before = (0, begun)
    for quarter, mark in enumerate(marks, 1):
        print(f"quarter {quarter}: {1000 * (mark[1] - before[1]) / (mark[0] - before[0]):.2f} ms a film")
        before = mark
    print(f"joining the parts: {1000 * (whole - marks[-1][1] + begun) / len(store.manifest):.2f} ms a film")
    held = [resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(f"peak memory: {held[0]:.2f} GB in the parent, {held[1]:.2f} GB in a worker")
    count = len(store.manifest)
    print(f"{count} films: {whole:.0f} s, {size / 2**30:.2f} GB of disk; the store opens in {opening:.2f} s")
    minutes, disk = MIMIC_CXR / count * whole / 60, MIMIC_CXR / count * size / 2**30
    print(f"as many as MIMIC-CXR's {MIMIC_CXR}: {minutes:.0f} min and {disk:.0f} GB, without the time for decoding")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
