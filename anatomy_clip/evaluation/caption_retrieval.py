"""Complete captions against slices: which one fits best, and which of its slots are right."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from anatomy_clip.anatomy.labels import are_stated, shown_names, unsure_names
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.evaluation.base import CAPTIONS, Evaluator, Score, TestedRun, patients_of, score_of, similarity
from anatomy_clip.evaluation.caption_search import CaptionBank, CaptionBeam, Found
from anatomy_clip.evaluation.embedded import EmbeddedSet
from anatomy_clip.text.captions import (
    MOST,
    SLOTS,
    Caption,
    caption_of,
    plausible_captions,
)
from anatomy_clip.text.grid import MODALITIES, contradict
from anatomy_clip.text.templates import check_wording

if TYPE_CHECKING:
    import pandas as pd

_SLICES_AT_ONCE = 64  # the beam embeds what all of them ask for in one go


class Truth(NamedTuple):
    """What a slice shows, as far as it is known.

    Attributes:
        caption: says all of it, and nothing of what is unknown.
        organs, stations: whether they are known.
        unsure: organs that are left open all the same: a caption that names them is neither right nor wrong for it.
    """

    caption: Caption
    organs: bool = True
    stations: bool = True
    unsure: frozenset[str] = frozenset()


class CaptionRetrieval(Evaluator):
    """Finds the best complete caption of every slice, in one way or two, and judges it slot by slot.

    Args:
        taxonomy: organs and stations.
        wording: the captions' templates.
        seen: captions of training slices kept, the commonest.
        grown: captions that the beam may embed.
        beam: captions that the beam keeps; 0: none are grown.
        resamples: bootstrap resamples of patients.

    Raises:
        ValueError: a wording that can't do without an organ or a station.
    """

    compares = True

    def __init__(
        self,
        taxonomy: Taxonomy,
        *,
        wording: Sequence[str],
        seen: int = MOST,
        grown: int = 4 * MOST,
        beam: int = 4,
        resamples: int = 1000,
    ) -> None:
        self.taxonomy, self.wording = taxonomy, tuple(wording)
        check_wording(self.wording)
        self.seen, self.grown, self.beam = seen, grown, beam
        self.resamples = resamples

    def predict(self, run: TestedRun) -> pd.DataFrame:
        """Caption every slice of the test sets; the captions of training slices can be chosen.

        Returns:
            A row a slice and way, columns as `CAPTIONS`. `reachable`: 1 where the true caption can be chosen at all, 0
            where not, NaN where it isn't wholly known.

        Raises:
            ValueError: no training slice.
        """
        import pandas as pd

        captions = plausible_captions(run.training_records(), self.taxonomy, self.wording, self.seen)
        if not captions:
            raise ValueError("there is no caption to choose from: data.train has no slice")
        longest = max(len(caption.organs) for caption in captions)
        compare = partial(similarity, run)
        seen = CaptionBank(run.embed_texts, compare, len(captions))
        seen.places(captions)
        grown = CaptionBank(run.embed_texts, compare, self.grown)
        ways: dict[str, CaptionBank | CaptionBeam] = {"seen": seen}
        if self.beam:
            ways["grown"] = CaptionBeam(grown, self.taxonomy, self.wording, width=self.beam, longest=longest)
        possible = frozenset(captions)
        rows: list[dict[str, Any]] = []
        for name, shown in run.sets("test").items():
            truths = self._truths(shown)
            for part in shown.split(_SLICES_AT_ONCE):
                for way, search in ways.items():
                    found = zip(part.rows, part.records, search.best(part.compared), strict=True)
                    for row, record, best in found:
                        true = truths[row].caption
                        reachable = true in possible if way == "seen" else self._grows(true, longest)
                        rows.append(_row(name, row, record, truths[row], way, best, reachable))
        if grown.refused:
            print(
                f"captions: the limit eval.captions.grown={self.grown} was reached; {len(grown.refused)} more "
                "captions were left out"
            )
        return pd.DataFrame(rows, columns=list(CAPTIONS.columns))

    def _truths(self, shown: EmbeddedSet) -> dict[int, Truth]:
        """Row -> what its slice shows."""
        found = {}
        known = zip(*(are_stated(shown.labels[space]).tolist() for space in ("organ", "station")), strict=True)
        for n, (row, record, (has_organs, has_stations)) in enumerate(
            zip(shown.rows, shown.records, known, strict=True)
        ):
            organs = shown_names(shown.labels["organ"][n], self.taxonomy.organs)
            stations = shown_names(shown.labels["station"][n], self.taxonomy.stations)
            unsure = frozenset(unsure_names(shown.labels["organ"][n], self.taxonomy.organs))
            caption = caption_of(record, organs, stations, self.wording)
            found[row] = Truth(caption, has_organs, has_stations, unsure)
        return found

    def _grows(self, truth: Caption, longest: int) -> bool:
        """Whether a beam can end with the caption."""
        homes = [set(self.taxonomy.organ_stations[organ]) for organ in truth.organs]
        return 0 < len(homes) <= longest and len(truth.stations) == 1 and all(truth.stations[0] in h for h in homes)

    def score(self, table: pd.DataFrame) -> list[Score]:
        """Mean of every slot by test set and way, with patient intervals; a pure function of the rows."""
        cells = []
        for (name, way), part in table.groupby(["set", "way"], sort=False):
            patients = patients_of(part)
            for slot in SLOTS:
                values = part[f"{slot}_right"].to_numpy(dtype=float)
                cells.append(score_of(f"caption/{way}/{slot}/{name}", values, patients, self.resamples))
        return cells


def _row(
    name: str, row: int, record: SliceRecord, truth: Truth, way: str, found: Found, reachable: bool
) -> dict[str, Any]:
    known = {"set": name, "row": row, "source": record.source, "patient": record.patient, "way": way}
    reach = float(reachable) if truth.organs and truth.stations else float("nan")
    captions = {"caption": found.caption.text, "truth": truth.caption.text, "reachable": reach}
    slots = {f"{slot}_right": value for slot, value in judge(found.caption, truth).items()}
    return {**known, **captions, "score": found.score, **slots}


def judge(named: Caption, truth: Truth) -> dict[str, float]:
    """Tell which slots of a caption are right.

    Returns:
        Slot of `SLOTS` -> 0 to 1. Modality: 0 where it contradicts ("MR" and "MR T2" don't). Station: whether one
        that is named is shown; NaN for a slice without any. Organs: F1 of the two sets, 1 where both are empty, and
        whether they are equal. All: modality and plane right, organs and stations the very same. NaN for each that
        needs what is unknown. Organs that the slice leaves open don't count.
    """
    true = truth.caption
    modality = named.modality not in {MODALITIES[n] for n in contradict(true.modality)}
    orientation = named.orientation == true.orientation
    organs = set(named.organs) - truth.unsure
    exact = organs == set(true.organs)
    total = len(organs) + len(true.organs)
    shared = len(organs & set(true.organs))
    everything = modality and orientation and exact and set(named.stations) == set(true.stations)
    return {
        "modality": float(modality),
        "orientation": float(orientation),
        "station": _if(bool(true.stations), bool(set(named.stations) & set(true.stations))),
        "organ_f1": _if(truth.organs, 2 * shared / total if total else 1.0),
        "organ_exact": _if(truth.organs, exact),
        "all": _if(truth.organs and truth.stations, everything),
    }


def _if(counts: bool, value: float) -> float:
    return float(value) if counts else float("nan")
