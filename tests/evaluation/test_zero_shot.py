import numpy as np
import pandas as pd
import pytest
import torch
from batches import make_batch
from torch.nn.functional import normalize

from anatomy_clip.core.records import Manifest, SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.core.types import Features
from anatomy_clip.evaluation.base import Predictions
from anatomy_clip.evaluation.embedded import embed_sets
from anatomy_clip.evaluation.zero_shot import ZeroShot

LABELS = {"organ": ("brain", "liver", "foot"), "station": ("head", "abdomen")}
PROMPTS = {kind: torch.arange(1, len(names) + 1).reshape(-1, 1, 1) for kind, names in LABELS.items()}


class Stub(torch.nn.Module):
    """Embeds token t as the t-th axis and an image as its first pixels."""

    def encode_image(self, images):
        pooled = images.flatten(1)[:, :4].float()
        return Features(pooled, pooled[:, None], normalize(pooled, dim=-1))

    def encode_prompts(self, tokens):
        return torch.nn.functional.one_hot(tokens.flatten(), 4).float()


def record(patient, modality):
    protocol = Protocol.T1 if modality is Modality.MR else Protocol.NONE
    return SliceRecord("test", "set1", patient, "s", "1", 0, modality, protocol, Orientation.AXIAL)


def loader_and_manifest():
    # Axis 1 is brain and head, 2 is liver and abdomen, 3 is foot. The last slice shows no organ of ours.
    images = torch.tensor([[0, 9, 1, 0], [0, 1, 9, 0], [0, 9, 1, 0], [0, 1, 0, 9]], dtype=torch.uint8)
    organs = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 1, 0], [0, 0, 0]], dtype=torch.bool)
    stations = torch.tensor([[1, 0], [0, 1], [1, 1], [0, 1]], dtype=torch.bool)
    manifest = Manifest(
        record(p, m) for p, m in zip("abcd", ["MR", "CT", "CT", "CT"], strict=True) for m in [Modality(m)]
    )
    parts = ([0, 1, 2], [3])
    batches = [make_batch(images[r].reshape(-1, 1, 2, 2), None, organs[r], stations[r], rows=r) for r in parts]
    return batches, manifest


def predictions():
    return ZeroShot(PROMPTS, LABELS).predict(Stub(), embed_sets(Stub(), {"set1": loader_and_manifest()}))


def test_predictions_hold_one_row_a_slice_with_targets_and_cosines():
    table = predictions().table
    assert table["row"].tolist() == [0, 1, 2, 3]
    assert table["organ_targets"].tolist() == [["brain"], ["liver", "foot"], ["liver"], []]
    assert table["modality"].tolist() == ["MR", "CT", "CT", "CT"]
    np.testing.assert_allclose(table["organ_scores"][0], np.array([9, 1, 0]) / np.sqrt(82), atol=1e-6)


def test_cells_are_hit_at_1_by_hand():
    scores = {s.cell: s for s in ZeroShot(PROMPTS, LABELS).score(predictions())}
    assert set(scores) == {"test/organ/set1_mr", "test/organ/set1_ct", "test/station/set1_mr_ct"}
    assert (scores["test/organ/set1_mr"].value, scores["test/organ/set1_mr"].n) == (1.0, 1)
    # CT: a liver slice hit, a liver slice named brain, and one with no target, which is left out
    assert (scores["test/organ/set1_ct"].value, scores["test/organ/set1_ct"].n) == (0.5, 2)
    assert scores["test/station/set1_mr_ct"].value == pytest.approx(3 / 4)
    assert np.isnan(scores["test/organ/set1_mr"].lo)  # one patient has no spread


def test_scores_are_the_same_after_a_round_trip_through_parquet(tmp_path):
    before = predictions()
    before.write(tmp_path / "predictions.parquet")
    after = Predictions(pd.read_parquet(tmp_path / "predictions.parquet"), before.labels)
    zero_shot = ZeroShot(PROMPTS, LABELS)
    assert repr(zero_shot.score(after)) == repr(zero_shot.score(before))
    assert [p.name for p in tmp_path.iterdir()] == ["predictions.parquet"]


def test_a_set_with_no_target_at_all_scores_nan():
    made = predictions()
    table = made.table.assign(organ_targets=[[]] * 4)
    cell = next(s for s in ZeroShot(PROMPTS, LABELS).score(Predictions(table, LABELS)) if "organ" in s.cell)
    assert cell.n == 0
    assert np.isnan(cell.value)
