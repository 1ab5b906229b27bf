"""Time PMC-MSA's training by the clock: with one thread, with all that spin while they wait, and as a run chooses.

Once with the machine as it is, once beside a process that keeps one processor busy. The settings take turns.

python experiments/benchmark_threads.py [rounds]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from benchmark_training import CONF, make_store
from hydra import initialize_config_dir

from anatomy_clip.core.processors import processors

SHORT, LONG = 60, 210  # optimiser steps of two runs; the difference is free of what a start takes
SETTINGS = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "all, spinning": {"OMP_NUM_THREADS": str(processors()), "OMP_WAIT_POLICY": "active"},
    "as a run chooses": {},
}


def seconds(folder: Path, setting: dict[str, str]) -> float:
    """Time 150 steps with one loader process."""
    took = [_run(folder, setting, steps) for steps in (SHORT, LONG)]
    return took[1] - took[0]


def _run(folder: Path, setting: dict[str, str], steps: int) -> float:
    program = Path(__file__).with_name("run.py")
    overrides = [
        "experiment=table3/pmc_msa", "stages=[fit]", f"trainer.max_steps={steps}", "trainer.max_epochs=100",
        "model.weights=null", "~data.validation.phantom", "data.optional=[set1,shifted,samples_ct,samples_mr,real]",
        f"paths.data={folder}", f"paths.outputs={folder}/outputs",
        "overwrite=true", "+trainer.enable_progress_bar=false",
    ]  # fmt: skip
    unset = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    start = time.perf_counter()
    subprocess.run([sys.executable, program, *overrides], env=unset | setting, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many processors busy, in a session of their own, as another user's work is."""
    spin = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(spin, start_new_session=True) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def main(rounds: int) -> None:
    """Print seconds and ratios to the best setting."""
    with tempfile.TemporaryDirectory() as temporary, initialize_config_dir(str(CONF), version_base="1.3"):
        folder = Path(temporary)
        make_store(folder)
        for processes in (0, 1):
            taken: dict[str, list[float]] = {name: [] for name in SETTINGS}
            for _ in range(rounds):
                for name, setting in SETTINGS.items():
                    with busy(processes):
                        taken[name].append(seconds(folder, setting))
            median = {name: float(np.median(values)) for name, values in taken.items()}
            print(f"\n{LONG - SHORT} steps of PMC-MSA beside {processes} busy processes, {processors()} processors")
            for name, value in median.items():
                print(f"{name:18s} {value:6.1f} s  {value / min(median.values()):5.2f} of the best")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
