"""Zero-shot naming of organs and stations: cosine with prompt embeddings, hit@1 against the slice's target set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from anatomy_clip.anatomy.records import Manifest
from anatomy_clip.anatomy.terms import Modality
from anatomy_clip.evaluation.base import COLUMNS, Predictions, Score
from anatomy_clip.metrics.bootstrap import bootstrap_interval
from anatomy_clip.metrics.classification import hits
from anatomy_clip.models.image_text import ImageTextModel

if TYPE_CHECKING:
    import pandas as pd


class ZeroShot:
    """Names organs and stations independently (Kakkar et al., eqs. 2 to 4).

    Args:
        prompts: label kind -> (K, T, L) tokens of the T prompts of each of its K labels.
        labels: label kind -> the K label names.
        resamples: bootstrap resamples of patients.
        device: where the model runs.
    """

    def __init__(
        self,
        prompts: Mapping[str, Tensor],
        labels: Mapping[str, tuple[str, ...]],
        *,
        resamples: int = 1000,
        device: str | torch.device = "cpu",
    ) -> None:
        self.prompts = dict(prompts)
        self.labels = {kind: tuple(names) for kind, names in labels.items()}
        self.resamples = resamples
        self.device = torch.device(device)

    @torch.inference_mode()
    def predict(self, model: ImageTextModel, loaders: Mapping[str, tuple[Any, Manifest]]) -> Predictions:
        """Score every slice of the named test sets; the prompts are embedded once.

        Args:
            model: the model to test.
            loaders: test set name -> (loader of `Batch`, the manifest that its rows point into).
        """
        import pandas as pd

        model = model.to(self.device).eval()
        classes = {kind: model.encode_prompts(tokens.to(self.device)) for kind, tokens in self.prompts.items()}
        tables = [self._predict_set(model, classes, name, *pair) for name, pair in loaders.items()]
        return Predictions(pd.concat(tables, ignore_index=True), self.labels)

    def _predict_set(
        self, model: ImageTextModel, classes: Mapping[str, Tensor], name: str, loader: Any, manifest: Manifest
    ) -> pd.DataFrame:
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for batch in loader:
            embedding = model.encode_image(batch.images.to(self.device)).embedding  # (B, D)
            scores = {kind: (embedding @ c.T).float().cpu().numpy() for kind, c in classes.items()}  # (B, K)
            targets = {"organ": batch.organs.numpy(), "station": batch.stations.numpy()}
            for n, row in enumerate(batch.rows.tolist()):
                rows.append(self._row(name, row, manifest[row], n, scores, targets))
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _row(
        self,
        name: str,
        row: int,
        record: Any,
        n: int,
        scores: Mapping[str, np.ndarray],
        targets: Mapping[str, np.ndarray],
    ) -> dict[str, Any]:
        known = {
            key: getattr(record, key)
            for key in ("source", "patient", "series", "index", "modality", "protocol", "orientation")
        }
        known = {key: str(value) if key != "index" else int(value) for key, value in known.items()}
        for kind, names in self.labels.items():
            known[f"{kind}_scores"] = scores[kind][n].tolist()
            known[f"{kind}_targets"] = [names[k] for k in np.flatnonzero(targets[kind][n])]
        return {"set": name, "row": row, **known}

    def score(self, predictions: Predictions) -> list[Score]:
        """Compute hit@1 of organs per set and modality, and of stations per set, with patient intervals."""
        cells: list[Score] = []
        for name, table in predictions.table.groupby("set", sort=False):
            present = [m.lower() for m in (Modality.MR, Modality.CT) if (table["modality"] == m.value).any()]
            for modality in present:
                of_modality = table[table["modality"] == modality.upper()]
                cells.append(self._cell("organ", f"test/organ/{name}_{modality}", of_modality))
            cells.append(self._cell("station", f"test/station/{name}_{'_'.join(present)}", table))
        return cells

    def _cell(self, kind: str, cell: str, table: pd.DataFrame) -> Score:
        names = self.labels[kind]
        scores = np.stack(table[f"{kind}_scores"].to_list())  # (N, K)
        targets = np.array([[name in found for name in names] for found in table[f"{kind}_targets"]])  # (N, K)
        hit, counted = hits(scores, targets)
        if not counted.any():
            return Score(cell, float("nan"), 0, float("nan"), float("nan"))
        patients = (table["source"] + "/" + table["patient"]).to_numpy()[counted]
        values = hit[counted].astype(float)
        interval = bootstrap_interval(values, patients, resamples=self.resamples)
        return Score(cell, float(values.mean()), int(counted.sum()), interval.lo, interval.hi)
