"""Where an encoder looks: saliency maps of what is said of a finding, against the finding's mask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anatomy_clip.anatomy.labels import LabelSet
from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.radiographs import RadiographRecord
from anatomy_clip.core.types import Batch
from anatomy_clip.evaluation.base import Evaluator, Score, TestedRun, names_in, test_sets
from anatomy_clip.evaluation.cells import scores_of
from anatomy_clip.evaluation.linear_probe import LinearProbe
from anatomy_clip.evaluation.saliency_cells import COLUMNS, cells_of
from anatomy_clip.evaluation.saliency_maps import encode, enlarged
from anatomy_clip.evaluation.saliency_scores import PROBE, Maps, Scores
from anatomy_clip.metrics.saliency import equal_area_iou, grown, pointing, rank_correlation
from anatomy_clip.text.finding_prompts import finding_prompts

if TYPE_CHECKING:
    import pandas as pd

    from anatomy_clip.models.image_text import ImageTextModel

Masks = NDArray[np.bool_]
_SPACE = "finding"
_LEVELS = 255  # of a map that is kept to be drawn


class Shown(NamedTuple):
    """A finding that a film of a batch shows, with its mask.

    Attributes:
        place: of the film in the batch.
        row: of the film in its manifest.
        finding: its number.
        film: (H, W) uint8, as the model takes it.
        mask: (H, W), not empty.
    """

    place: int
    row: int
    finding: int
    film: NDArray[np.uint8]
    mask: Masks


class Saliency(Evaluator):
    """Explains two scores of each finding that a film shows, and measures the maps against the finding's mask.

    Scores: the log odds of a linear probe, of every method; the similarity with a sentence that names the finding, of
    methods that compare. Maps: absolute gradient, Grad-CAM, attention of words, as far as the method has them. The
    sanity check (Adebayo et al. 2018, arXiv 1810.03292): the same maps with an image tower of random weights; the
    probe, the objective's heads and the texts are kept. What isn't visible, or has no mask, has no part.

    Args:
        taxonomy: the findings.
        share: of the training patients, for the probe; it is that of `LinearProbe` by the first draw.
        draws: see `LinearProbe`; so that the first draw is the same.
        strengths: see `LinearProbe`.
        least_positives: see `LinearProbe`.
        masks: finding -> the mask that stands for it, where it has another name.
        tolerance: margin around masks in the pointing game, as a share of the image's side.
        sets: names of the test sets; None: all.
        resamples: bootstrap resamples of patients.
    """

    def __init__(
        self,
        taxonomy: LabelSet,
        *,
        share: float = 1.0,
        draws: int = 1,
        strengths: Sequence[float] = (0.01, 0.1, 1.0),
        least_positives: int | None = None,
        masks: Mapping[str, str] | None = None,
        tolerance: float = 0.0,
        sets: Sequence[str] | None = None,
        resamples: int = 1000,
    ) -> None:
        self.probe = LinearProbe(
            taxonomy, space=_SPACE, shares=[share], draws=draws, strengths=strengths, least_positives=least_positives
        )
        self.names = names_in(taxonomy, _SPACE)
        self.masks = [(masks or {}).get(name, name) for name in self.names]
        self.tolerance = tolerance
        self.sets = sets
        self.resamples = resamples

    def predict(self, run: TestedRun) -> pd.DataFrame:
        """Explain and measure every finding that is shown and has a mask.

        Returns:
            A row a film, finding, score and kind of map. The first film that shows a finding in a set is there to be
            drawn: `drawn_film` and `drawn_mask` (H, W), and `drawn_map` (h, w) whole numbers, 255 at its maximum.
        """
        import pandas as pd

        named = {name: prompts.names for name, prompts in finding_prompts(self.names).items()}
        scores = Scores(run, self.probe.of_first_draw(run), named)
        model, other = run.trained[0], run.randomised()
        rows: list[dict[str, Any]] = []
        for name, films in test_sets(run, self.sets).items():
            drawn: set[int] = set()
            for batch, masks in run.films(name):
                if shown := self._shown(batch, masks, films.manifest):
                    maps, others = _maps(model, scores, batch, shown), _maps(other, scores, batch, shown)
                    for one, measured in self._measured(shown, maps, others, drawn):
                        if measured["score"] != PROBE or scores.known[one.finding]:
                            rows.append({"set": name, **self._known(films.manifest, one), **measured})
                    drawn |= {one.finding for one in shown}
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _shown(
        self, batch: Batch, masks: Sequence[Mapping[str, Masks]], manifest: Manifest[RadiographRecord]
    ) -> list[Shown]:
        found = []
        for place, (row, drawn) in enumerate(zip(batch.rows.tolist(), masks, strict=True)):
            known = manifest[row].findings
            for k, (name, mask) in enumerate(zip(self.names, self.masks, strict=True)):
                if name in known and known[name].shown and mask in drawn and drawn[mask].any():
                    found.append(Shown(place, row, k, batch.images[place, 0].numpy(), drawn[mask]))
        return found

    def _known(self, manifest: Manifest[RadiographRecord], one: Shown) -> dict[str, Any]:
        record = manifest[one.row]
        return {"row": one.row, "source": record.source, "patient": record.patient, "finding": self.names[one.finding]}

    def _measured(
        self, shown: Sequence[Shown], maps: Maps, others: Maps, drawn: set[int]
    ) -> Iterable[tuple[Shown, dict[str, Any]]]:
        """Each finding with what is measured of each of its maps; the first of those not drawn before are kept."""
        masks = np.stack([one.mask for one in shown])  # (P, H, W)
        side = masks.shape[-1]
        near = grown(masks, self.tolerance * side)
        share = masks.mean(axis=(1, 2))
        chance = {"pointing_chance": near.mean(axis=(1, 2)), "iou_chance": share / (2 - share)}
        first = {one.finding: n for n, one in reversed(list(enumerate(shown))) if one.finding not in drawn}
        for (score, kind), own in maps.items():
            other = others[score, kind]
            large, larger = enlarged(own, side).numpy(), enlarged(other, side).numpy()
            measured = {
                "pointing": pointing(large, near), "pointing_randomised": pointing(larger, near),
                "iou": equal_area_iou(large, masks), "iou_randomised": equal_area_iou(larger, masks),
                "rank_correlation": rank_correlation(own.numpy(), other.numpy()), **chance,
            }  # fmt: skip
            for n, one in enumerate(shown):
                kept = {}
                if first.get(one.finding) == n:
                    kept = {"drawn_film": one.film.tolist(), "drawn_mask": one.mask.astype(int).tolist()}
                    kept["drawn_map"] = _levels(own[n])
                values = {name: float(value[n]) for name, value in measured.items()}
                yield one, {"score": score, "map": kind, **values, **kept}

    def score(self, table: pd.DataFrame) -> list[Score]:
        """See `cells_of`; with patient intervals."""
        return scores_of(cells_of(table, self.names), self.resamples)

    def choose(self, run: TestedRun, folder: Path) -> list[str]:
        """Nothing is chosen; say what is left out."""
        model, objective = run.trained
        notes = (
            []
            if objective.compares
            else ["saliency: there is no score of a pair, because the method does not compare images with texts"]
        )
        if not model.image.map_widths:
            notes.append("saliency: there is no Grad-CAM, because the image tower is not convolutional")
        sets = test_sets(run, self.sets).items()
        return notes + [
            f"saliency: no film of {name} has a mask" for name, films in sets if not any(films.records.column("masks"))
        ]


def _maps(model: ImageTextModel, scores: Scores, batch: Batch, shown: Sequence[Shown]) -> Maps:
    """The maps of P findings, on the CPU."""
    place, finding = torch.tensor([(one.place, one.finding) for one in shown]).T
    device = model.mean.device
    encoded = encode(model, batch.images[place].to(device))
    return {key: each.float().cpu() for key, each in scores.maps(encoded, finding.to(device)).items()}


def _levels(values: Tensor) -> list[list[int]]:
    levels: list[list[int]] = (values * (_LEVELS / values.max().clamp(min=1e-30))).round().int().tolist()
    return levels
