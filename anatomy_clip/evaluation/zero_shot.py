"""Zero-shot naming of organs and stations: cosine with prompt embeddings, hit@1 against the slice's target set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality
from anatomy_clip.evaluation.base import PREDICTIONS, Predictions, Score, patients_of
from anatomy_clip.evaluation.embedded import EmbeddedSet
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
        offsets: label kind -> (K,) added to the cosines, see `prior_offsets`; None: nothing, as in the paper.
        resamples: bootstrap resamples of patients.
        device: where the model runs.
    """

    def __init__(
        self,
        prompts: Mapping[str, Tensor],
        labels: Mapping[str, tuple[str, ...]],
        *,
        offsets: Mapping[str, NDArray[np.float64]] | None = None,
        resamples: int = 1000,
        device: str | torch.device = "cpu",
    ) -> None:
        self.prompts = dict(prompts)
        self.labels = {kind: tuple(names) for kind, names in labels.items()}
        self.offsets = dict(offsets or {})
        self.resamples = resamples
        self.device = torch.device(device)

    @torch.inference_mode()
    def predict(self, model: ImageTextModel, sets: Mapping[str, EmbeddedSet]) -> Predictions:
        """Score every slice of the named test sets; the prompts are embedded once.

        Args:
            model: the model to test.
            sets: test set name -> its slices, embedded by the same model.
        """
        import pandas as pd

        model = model.to(self.device).eval()
        classes = {kind: model.encode_prompts(tokens.to(self.device)) for kind, tokens in self.prompts.items()}
        tables = [self._predict_set(classes, name, shown) for name, shown in sets.items()]
        none = pd.DataFrame(columns=list(PREDICTIONS.columns))
        return Predictions(pd.concat(tables, ignore_index=True) if tables else none, self.labels)

    def _predict_set(self, classes: Mapping[str, Tensor], name: str, shown: EmbeddedSet) -> pd.DataFrame:
        import pandas as pd

        scores = {kind: (shown.embeddings @ c.T).float().cpu().numpy() for kind, c in classes.items()}  # (N, K)
        scores = {kind: cosine + self.offsets.get(kind, 0.0) for kind, cosine in scores.items()}
        targets = {kind: shown.shown(kind) for kind in self.labels}
        rows = [
            self._row(name, row, record, n, scores, targets)
            for n, (row, record) in enumerate(zip(shown.rows, shown.records, strict=True))
        ]
        return pd.DataFrame(rows, columns=list(PREDICTIONS.columns))

    def _row(
        self,
        name: str,
        row: int,
        record: SliceRecord,
        n: int,
        scores: Mapping[str, np.ndarray],
        targets: Mapping[str, np.ndarray],
    ) -> dict[str, Any]:
        known: dict[str, Any] = {
            key: str(getattr(record, key))
            for key in ("source", "patient", "series", "modality", "protocol", "orientation")
        }
        known["index"] = int(record.index)
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
        hit, counted = hits(*Predictions(table, self.labels).arrays(kind))
        if not counted.any():
            return Score(cell, float("nan"), 0, float("nan"), float("nan"))
        patients = patients_of(table)[counted]
        values = hit[counted].astype(float)
        interval = bootstrap_interval(values, patients, resamples=self.resamples)
        return Score(cell, float(values.mean()), int(counted.sum()), interval.lo, interval.hi)


def prior_offsets(labels: NDArray[np.bool_], logit_scale: float) -> NDArray[np.float64]:
    """What turns cosines into scores of the posterior: the log of each label's frequency, over the inverse temperature.

    A contrastive model's scaled cosine approaches log p(image | text) / p(image) up to a constant (van den Oord et al.
    2018, "Contrastive Predictive Coding", eq. 5), so a rare label that is possible outranks a common one that is
    certain. The log prior makes up for it (Bayes; Menon et al. 2021, "Logit adjustment", eq. 9, with the sign of a
    model that was trained without).

    Args:
        labels: (N, K) labels of the training slices.
        logit_scale: the log of the inverse temperature that the model was trained with.

    Returns:
        (K,) to be added to cosines; half a slice is added to each count, so that none is infinite.
    """
    share = (labels.sum(axis=0) + 0.5) / (len(labels) + 1)
    offsets: NDArray[np.float64] = np.log(share) / np.exp(logit_scale)
    return offsets
