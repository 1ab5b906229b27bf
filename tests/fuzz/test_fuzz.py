"""Damaged and hostile files, by the way that real ones take: each ends as slices or with a reason and a remedy.

Sources may raise ValueError only. A file that is over 5 s or 1 GiB, or takes its worker with it, is a quarantined one
too, but few may be: 1 in 10,000 keeps CharLS busy for 10 s with 4 KB of JPEG-LS, 1 in 20,000 makes GDCM abort.

FUZZ_FILES says how many (2,000; `make fuzz` takes 20,000), FUZZ_FIRST which number comes first. A file is a pure
function of its number, so a failure is run again alone with FUZZ_FILES=1 FUZZ_FIRST=<number>.
"""

import os
import resource
import time
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fuzz.mutations import mutate
from fuzz.seeds import USELESS, seeds

from anatomy_clip.data.guard import guarded
from anatomy_clip.data.limits import Failure, Limits
from anatomy_clip.imaging.dicom import pixels, series  # here, so that workers are born with all imported
from anatomy_clip.imaging.dicom.refusal import Rejected
from anatomy_clip.imaging.intensity import Display
from anatomy_clip.sources.folder import Folder

FILES, FIRST = int(os.environ.get("FUZZ_FILES", 2000)), int(os.environ.get("FUZZ_FIRST", 0))
WORKERS = int(os.environ.get("FUZZ_WORKERS", 2))
LIMITS = Limits(seconds=5.0, memory_gb=0.85)  # on top of what a worker is born with: under 1 GiB in all
# Reason -> share of the files that may end so. Bombs are 1 %, and late where the machine is busy enough.
SHARES = {"took longer than seconds=": 0.02, "needs too much memory, more than memory_gb=": 0.02,
          "its process died of SIG": 0.0005}  # fmt: skip
SEEDS = seeds()
assert pixels and series


def read(folder, name, data):
    """What `prepare` does with a file: (slices, reasons), by a source and up to grey squares."""
    own = folder / str(os.getpid())
    own.mkdir(exist_ok=True)
    (own / name).write_bytes(data)
    slices, reasons, display = 0, [], Display()
    source = Folder(own, modality="CT")
    try:
        for volume in source.volumes("all"):
            for item in source.slices("all", volume):
                if isinstance(item, Rejected):
                    reasons.append((item.reason, item.remedy))
                else:
                    assert display.square(item[0], 64).shape == (64, 64)
                    assert item[1].patient and item[1].spacing_mm[0] > 0
                    slices += 1
    except ValueError as error:  # the contract of a source; whatever else is raised is a fault
        reasons.append((str(error), "in the message"))
    finally:
        (own / name).unlink()
    return slices, reasons


def resident():
    """Memory that this process holds, GiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**30


def run(folder, number):
    rng = np.random.default_rng([2405, number])
    seed = SEEDS[number % len(SEEDS)]
    data, ways = mutate(seed, rng)
    start = time.monotonic()
    slices, reasons = read(folder, f"file{seed.suffix}", data)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return slices, reasons, ways, time.monotonic() - start, peak


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_what_fuzzing_starts_from_is_whole(tmp_path, seed):
    slices, reasons = read(tmp_path, f"file{seed.suffix}", seed.data)
    assert (slices == 0) == (seed.name in USELESS), reasons
    assert bool(reasons) == (seed.name in USELESS)
    if seed.plain:
        assert read(tmp_path, f"file{seed.suffix}", seed.pack(seed.plain)) == (slices, reasons)


def test_there_are_seeds_of_every_kind():
    assert len(SEEDS) >= 12
    names = " ".join(seed.name for seed in SEEDS)
    assert all(
        kind in names for kind in ("rle", "deflated", "jpeg 2000", "jpeg-ls", "enhanced ct", "enhanced mr", "nifti")
    )


def test_every_file_ends_as_slices_or_with_a_reason(tmp_path):
    failed, seen, peak, slowest = {}, Counter(), 0.0, (0.0, "")
    start, born = time.monotonic(), resident()
    for number, outcome in guarded(partial(run, tmp_path), range(FIRST, FIRST + FILES), WORKERS, LIMITS):
        name = SEEDS[number % len(SEEDS)].name
        if isinstance(outcome, Failure):
            kind = next((kind for kind in SHARES if outcome.reason.startswith(kind)), "")
            seen[kind] += 1
            print(f"\n{number}: {name}: {outcome.reason}")
            if not kind:  # something was raised that is no ValueError
                failed[number] = f"{name}: {outcome.reason}"
            continue
        slices, reasons, ways, seconds, gib = outcome
        seen["with slices" if slices else "quarantined"] += 1
        peak, slowest = max(peak, gib), max(slowest, (seconds, f"{number}: {name}, {ways}"))
        if (not slices and not reasons) or any(not reason or not remedy for reason, remedy in reasons):
            failed[number] = f"{name}, {ways}: neither slices nor a reason"
    print(f"\n{FILES} files in {time.monotonic() - start:.0f} s: {dict(seen)}; peak {peak:.2f} GiB; slowest {slowest}")
    assert not failed, "\n".join(f"{number}: {what}" for number, what in list(failed.items())[:20])
    assert peak - born < 1  # a worker begins with what the test process holds
    assert all(seen[kind] <= max(1, share * FILES) for kind, share in SHARES.items()), seen
