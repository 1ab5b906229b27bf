"""Which runs count as separate trainings: runs that evaluate the same weights count as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from anatomy_clip.results.read import Run


def one_a_training(runs: Iterable[Run]) -> list[Run]:
    """The runs, of each column one of those that evaluate the same weights: the first.

    Random weights are the seed's own, and so are those of which no digest is known.
    """
    kept: dict[tuple[str, str], Run] = {}
    for run in runs:
        kept.setdefault((run.name, run.weights or f"seed {run.seed}"), run)
    return list(kept.values())


def repeats(runs: Sequence[Run]) -> list[str]:
    """A sentence on each column whose seeds evaluate the same weights."""
    notes = []
    for name in dict.fromkeys(run.name for run in runs):
        seeds = [run for run in runs if run.name == name]
        own = len(one_a_training(seeds))
        if own < len(seeds):
            notes.append(
                f"{name}: its {len(seeds)} seeds evaluate the weights of {own} training{'s' if own > 1 else ''}, and "
                f"they count as {own}: the same weights say nothing of what another training would change"
            )
    return notes
