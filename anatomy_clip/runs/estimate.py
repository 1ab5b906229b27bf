"""What a suite of runs would take: images, steps, hours, disk. Pure functions of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_GB = 1e9
_BYTES_PER_PARAMETER = 12  # in a checkpoint: a weight and Adam's two moments, 4 bytes each
_BYTES_PER_SLICE = 600  # of a predictions file: 25 scores, the targets, the ids
_TRAINING_BYTES = 16  # a parameter on the GPU: weight, gradient, two moments
_RESERVE_BYTES = 3 * _GB  # CUDA, cuDNN and NCCL themselves


@dataclass(frozen=True)
class Hardware:
    """What is assumed of the machine.

    Attributes:
        devices: GPUs that a run takes, on all its nodes.
        tflops: that a training reaches on one GPU, 10^12 operations a second.
        overhead: factor on the time of the training steps.
        price: of one GPU hour; None = not known.
    """

    devices: int
    tflops: float
    overhead: float
    price: float | None = None


@dataclass(frozen=True)
class PlannedRun:
    """One run of a suite.

    Attributes:
        name: column.
        seed: its seed.
        train_slices: slices in the training stores; 0 where it doesn't train.
        images_per_image: variants of each in an epoch.
        epochs: epochs at most.
        batch: pairs in a batch of all GPUs together.
        parameters: of the model.
        gflop: of a sample's forward pass, 10^9 operations.
        memory_bytes: that the training takes on one GPU, see `gpu_memory_needed`.
        test_slices: slices of all test sets.
        finished: it is done already.
        guessed: numbers of slices are guesses, since a store isn't there yet.
    """

    name: str
    seed: int
    train_slices: int
    images_per_image: int
    epochs: int
    batch: int
    parameters: int
    gflop: float
    memory_bytes: float
    test_slices: int
    finished: bool = False
    guessed: bool = False

    @property
    def steps(self) -> int:
        """Optimiser steps; the rest of an epoch that fills no batch is left out."""
        return self.train_slices * self.images_per_image // self.batch * self.epochs

    @property
    def images(self) -> int:
        """Images that the training sees."""
        return self.steps * self.batch

    def rate(self, hardware: Hardware) -> float:
        """Samples a second on one GPU; a backward pass takes twice a forward pass."""
        return hardware.tflops * 1e3 / (3 * self.gflop)

    def hours(self, hardware: Hardware) -> float:
        """Hours that the training takes; 0 for a finished run."""
        rate = self.rate(hardware) * hardware.devices
        return 0.0 if self.finished else self.images / rate * hardware.overhead / 3600

    @property
    def disk_bytes(self) -> float:
        """What it leaves on disk."""
        checkpoint = self.parameters * _BYTES_PER_PARAMETER if self.train_slices else 0
        return 0.0 if self.finished else float(checkpoint + self.test_slices * _BYTES_PER_SLICE)


@dataclass(frozen=True)
class Missing:
    """Something that isn't there.

    Attributes:
        what: what is missing or wrong.
        remedy: where to get it, one line a step.
    """

    what: str
    remedy: tuple[str, ...] = ()


def disk_needed(runs: Sequence[PlannedRun]) -> float:
    """Bytes that the runs leave, and one more checkpoint: a new one is written beside the old one."""
    largest = max((run.parameters * _BYTES_PER_PARAMETER for run in runs if run.steps and not run.finished), default=0)
    return sum(run.disk_bytes for run in runs) + largest


def gpu_memory_needed(parameters: int, batch_of_one: int, activations_mb: float) -> float:
    """Bytes that training takes on one GPU, about.

    Args:
        parameters: of the model.
        batch_of_one: pairs in the batch of one GPU.
        activations_mb: that one pair keeps for its backward pass.
    """
    return parameters * _TRAINING_BYTES + batch_of_one * activations_mb * 1e6 + _RESERVE_BYTES


def render(title: str, runs: Sequence[PlannedRun], hardware: Hardware, missing: Sequence[Missing]) -> str:
    """The plan in words: runs in order, time, cost, disk, and what is missing."""
    lines = [title, ""]
    head = f"{'images':>10}{'x':>4}{'epochs':>8}{'steps':>10}{'seen':>14}{'a second':>10}{'GB':>7}{'hours':>9}"
    lines.append(f"{'run':<27}{head}")
    for run in runs:
        where = f"{run.name} seed {run.seed}"
        if run.finished or not run.epochs:
            lines.append(f"{where:<27}  {'finished' if run.finished else 'evaluation only'}")
            continue
        slices = f"{'~' if run.guessed else ''}{run.train_slices:,}"
        numbers = f"{slices:>10}{run.images_per_image:>4}{run.epochs:>8}{run.steps:>10,}{run.images:>14,}"
        speed = f"{run.rate(hardware):>10,.0f}{run.memory_bytes / _GB:>7.1f}"
        lines.append(f"{where:<27}{numbers}{speed}{run.hours(hardware):>9.2f}")
    hours = sum(run.hours(hardware) for run in runs)
    gpu_hours = hours * hardware.devices
    if any(run.guessed for run in runs):
        lines.append("~ an estimate, because the stores do not exist yet")
    lines += [
        "",
        f"time   {hours:,.1f} h on {hardware.devices} GPU(s) = {gpu_hours:,.1f} GPU hours, "
        f"at {hardware.tflops:,.0f} TFLOP/s per GPU; images per second and GB per GPU are assumed, not measured",
        f"cost   {_cost(gpu_hours, hardware.price)}",
        f"disk   {disk_needed(runs) / _GB:,.1f} GB for checkpoints and predictions",
    ]
    if not missing:
        return "\n".join([*lines, "", "nothing is missing"])
    lines += ["", f"missing ({len(missing)}):"]
    for remedy in dict.fromkeys(item.remedy for item in missing):  # several things may have the same
        lines += [f"- {item.what}" for item in missing if item.remedy == remedy]
        lines += [f"    {step}" for step in remedy]
    return "\n".join(lines)


def _cost(gpu_hours: float, price: float | None) -> str:
    if price is None:
        return "unknown: give the price of a GPU hour (PRICE=)"
    return f"{gpu_hours * price:,.2f} at {price:g} per GPU hour"
