"""Drive damaged files through a reader, in workers within limits, and judge how each of them ended.

FUZZ_FILES says how many (`make fuzz` takes 20,000), FUZZ_FIRST which number comes first. A file is a pure function of
its number, so a failure is run again alone with FUZZ_FILES=1 FUZZ_FIRST=<number>.
"""

import os
import resource
import time
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from fuzz.mutations import mutate
from fuzz.seeds import seeds

from anatomy_clip.core.limits import Limits
from anatomy_clip.core.refusals import Refusal
from anatomy_clip.core.workers import run_tasks

FIRST = int(os.environ.get("FUZZ_FIRST", 0))
WORKERS = int(os.environ.get("FUZZ_WORKERS", 2))
LIMITS = Limits(seconds=5.0, memory_gb=0.85)  # on top of what a worker is born with: under 1 GiB in all
# Reason -> share of the files that may end so. Bombs are 1 %, and late where the machine is busy enough.
SHARES = {"took longer than seconds=": 0.03, "needs too much memory, more than memory_gb=": 0.02,
          "its process was ended by SIG": 0.0005}  # fmt: skip
SEEDS = seeds()


def count(usual):
    """How many files to damage: FUZZ_FILES, or the usual number."""
    return int(os.environ.get("FUZZ_FILES", usual))


def run(read, chosen, folder, number):
    """Make a file and read it: (slices, reasons), ways of damage, seconds, peak GiB of this process."""
    rng = np.random.default_rng([2405, number])
    seed = chosen[number % len(chosen)]
    data, ways = mutate(seed, rng)
    own = folder / str(os.getpid())
    own.mkdir(exist_ok=True)
    path = own / f"file{seed.suffix}"
    path.write_bytes(data)
    start = time.monotonic()
    try:
        slices, reasons = read(path, seed)
    finally:
        path.unlink()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return slices, reasons, ways, time.monotonic() - start, peak


def drive(read, chosen, folder, files):
    """Read damaged files; every one must end as slices or with a reason and a remedy.

    Args:
        read: (path, seed) -> (number of slices, (reason, remedy) pairs); what it raises is a fault.
        chosen: the seeds to damage, in turns.
        folder: where the files stand for the moment.
        files: how many.
    """
    failed, seen, peak, slowest = {}, Counter(), 0.0, (0.0, "")
    start, born = time.monotonic(), resident()
    tasks = range(FIRST, FIRST + files)
    for number, outcome in run_tasks(partial(run, read, chosen, folder), tasks, WORKERS, LIMITS):
        name = chosen[number % len(chosen)].name
        if isinstance(outcome, Refusal):
            kind = next((kind for kind in SHARES if outcome.reason.startswith(kind)), "")
            seen[kind] += 1
            print(f"\n{number}: {name}: {outcome.reason}")
            if not kind:  # something was raised that is no ValueError
                failed[number] = f"{name}: {outcome.reason}"
            continue
        slices, reasons, ways, seconds, gib = outcome
        seen["with slices" if slices else "refused"] += 1
        peak, slowest = max(peak, gib), max(slowest, (seconds, f"{number}: {name}, {ways}"))
        if (not slices and not reasons) or any(not reason or not remedy for reason, remedy in reasons):
            failed[number] = f"{name}, {ways}: neither slices nor a reason"
    print(f"\n{files} files in {time.monotonic() - start:.0f} s: {dict(seen)}; peak {peak:.2f} GiB; slowest {slowest}")
    assert not failed, "\n".join(f"{number}: {what}" for number, what in list(failed.items())[:20])
    assert peak - born < 1  # a worker begins with what the test process holds
    assert all(seen[kind] <= max(1, share * files) for kind, share in SHARES.items()), seen


def resident():
    """Memory that this process holds, GiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**30
