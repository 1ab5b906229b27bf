"""One random generator a sample: the same draws whatever the workers, ranks or restarts."""

from __future__ import annotations

import numpy as np

_WORD = 0xFFFFFFFF


def sample_rng(seed: int, epoch: int, index: int, stream: int = 0) -> np.random.Generator:
    """Make the generator of one sample from a stable hash of its numbers.

    Args:
        seed: seed of the run.
        epoch: epoch, from 0.
        index: position of the sample among all samples of an epoch (image variants counted).
        stream: of several generators for one sample, which; each draws by itself.

    Raises:
        ValueError: one of them is negative or does not fit in 64 bits.
    """
    words: list[int] = []
    numbers = {"seed": seed, "epoch": epoch, "index": index} | ({"stream": stream} if stream else {})
    for name, value in numbers.items():
        if not 0 <= value < 1 << 64:
            raise ValueError(f"{name} is {value}; it must be from 0 to 2**64 - 1")
        # Two words each: a list of bare integers takes one or two words by size, and triples
        # could collide.
        words += [value & _WORD, value >> 32]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))
