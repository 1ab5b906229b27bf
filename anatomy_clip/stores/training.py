"""Which stores a run trains on: said once for whoever reads a run's config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anatomy_clip.stores.store import store_paths


def training_stores(data: Mapping[str, Any]) -> tuple[Path, ...]:
    """The training stores of a run.

    Args:
        data: the arguments of a data module, or the config group `data`: `train`, `validation` and `test`, and
            `leave_out_tested`; where that is true, a store that a validation or test set names isn't trained on.
    """
    train = store_paths(data["train"])
    if not data.get("leave_out_tested"):
        return train
    sets = [*data["validation"].values(), *data["test"].values()]
    tested = {path for stores in sets for path in store_paths(stores)}
    return tuple(path for path in train if path not in tested)
