"""When the steps of trainings ended, and trainings that take turns."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@dataclass
class Watch:
    """When each optimiser step ended, by the process's CPU time or, on a GPU, by its own clock; and the losses.

    Attributes:
        device: "cpu" or "cuda".
        stamps: of the start, and of the end of each step.
        losses: of each step.
    """

    device: str = "cpu"
    stamps: list[Any] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)

    def on(self, optimizer: torch.optim.Optimizer, loss: nn.Module) -> torch.optim.Optimizer:
        """Watch an optimiser and the module that computes the loss, from now on."""
        self._stamp()
        optimizer.register_step_post_hook(lambda *_: self._stamp())
        loss.register_forward_hook(lambda _m, _i, out: self.losses.append(_total(out)))
        return optimizer

    def seconds(self, warm: int = 1) -> float:
        """Seconds of a step, from the end of step `warm` to the end of the last."""
        return self.between(warm, len(self.stamps) - 1) / (len(self.stamps) - 1 - warm)

    def between(self, first: int, last: int) -> float:
        """Seconds between the ends of two steps; 0 is the start."""
        begin, end = self.stamps[first], self.stamps[last]
        if self.device == "cpu":
            return float(end - begin)
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1e3  # from ms

    def _stamp(self) -> None:
        if self.device == "cpu":
            self.stamps.append(time.process_time())
            return
        event = torch.cuda.Event(enable_timing=True)  # nothing waits for it, so the steps overlap as ever
        event.record()
        self.stamps.append(event)


def _total(out: Any) -> Tensor:
    return (sum(out.values()) if isinstance(out, dict) else out.loss).detach()


def rounds(count: int, variants: dict[str, Callable[[], Watch]]) -> Iterator[dict[str, Watch]]:
    """Let the variants take turns; each round starts with another one."""
    names = list(variants)
    for n in range(count):
        watches = {}
        for name in names[n % len(names) :] + names[: n % len(names)]:
            watches[name] = variants[name]()
            gc.collect()
        yield {name: watches[name] for name in names}


def with_range(values: Sequence[float]) -> str:
    """Median, least and most of the rounds."""
    return f"{np.median(values):.3f} [{min(values):.2f}-{max(values):.2f}]"
