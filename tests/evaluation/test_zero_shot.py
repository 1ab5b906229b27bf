import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from support import compose_config
from tested import FakeRun, OwnWay, embedded

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.evaluation.base import write_rows
from anatomy_clip.evaluation.zero_shot import ZeroShot, prior_offsets
from anatomy_clip.inference.decisions import Decisions, choose
from anatomy_clip.text.class_prompts import EvaluationPrompts

LABELS = {"organ": ("brain", "liver", "foot"), "station": ("head", "abdomen")}
SMALL = SimpleNamespace(organs=LABELS["organ"], stations=LABELS["station"])
PROMPTS = EvaluationPrompts(["{organ}"], ["{station}"])


def zero_shot(**arguments):
    return ZeroShot(PROMPTS, SMALL, **arguments)


def embed(texts):
    """A label's axis: 1 is brain and head, 2 is liver and abdomen, 3 is foot."""
    axes = {name: n for names in LABELS.values() for n, name in enumerate(names, start=1)}
    return torch.eye(4)[[axes[text] for text in texts]]


def record(patient, modality):
    protocol = Protocol.T1 if modality is Modality.MR else Protocol.NONE
    return SliceRecord("test", "set1", patient, "s", "1", 0, modality, protocol, Orientation.AXIAL)


def slices():
    # The fourth slice shows no organ of ours; the organs of the fifth and the stations of the first aren't known.
    images = [[0, 9, 1, 0], [0, 1, 9, 0], [0, 9, 1, 0], [0, 1, 0, 9], [0, 1, 9, 0]]
    organs, stations = (
        [[1, 0, 0], [0, 1, 1], [0, 1, 0], [0, 0, 0], [-1] * 3],
        [[-1] * 2, [0, 1], [1, 1], [0, 1], [1, 0]],
    )
    records = [record(p, Modality(m)) for p, m in zip("abcde", ["MR", "CT", "CT", "CT", "CT"], strict=True)]
    return embedded(images, records, organ=organs, station=stations)


def predictions(**arguments):
    sets = {"test": {"set1": slices()}, "train": {"train": slices()}}
    return zero_shot(**arguments).predict(FakeRun(sets, embed, logit_scale=2.0))


def test_predictions_hold_one_row_a_slice_with_targets_and_cosines():
    table = predictions()
    assert table["row"].tolist() == [0, 1, 2, 3, 4]
    assert table["organ_targets"].tolist() == [["brain"], ["liver", "foot"], ["liver"], [], None]
    assert table["station_targets"].tolist() == [None, ["abdomen"], ["head", "abdomen"], ["abdomen"], ["head"]]
    assert table["modality"].tolist() == ["MR", "CT", "CT", "CT", "CT"]
    np.testing.assert_allclose(table["organ_scores"][0], np.array([9, 1, 0]) / np.sqrt(82), atol=1e-6)


def test_a_method_is_asked_how_it_compares():
    run = OwnWay({"test": {"set1": slices()}, "train": {"train": slices()}}, embed)
    own, cosines = (np.array(table["organ_scores"].to_list()) for table in (zero_shot().predict(run), predictions()))
    np.testing.assert_array_equal(own, -cosines)
    assert np.abs(cosines).max() > 0.9


def test_cells_are_hit_at_1_by_hand():
    scores = {s.cell: s for s in zero_shot().score(predictions())}
    assert set(scores) == {"test/organ/set1_mr", "test/organ/set1_ct", "test/station/set1_mr_ct"}
    assert (scores["test/organ/set1_mr"].value, scores["test/organ/set1_mr"].n) == (1.0, 1)
    # CT: a liver slice hit, a liver slice named brain, one with no target and one of unknown ones, which are left out
    assert (scores["test/organ/set1_ct"].value, scores["test/organ/set1_ct"].n) == (0.5, 2)
    assert (scores["test/station/set1_mr_ct"].value, scores["test/station/set1_mr_ct"].n) == (0.5, 4)
    assert np.isnan(scores["test/organ/set1_mr"].lo)  # one patient has no spread


def test_scores_are_the_same_after_a_round_trip_through_parquet(tmp_path):
    before = predictions()
    write_rows(before, tmp_path / "zero_shot.parquet")
    after = pd.read_parquet(tmp_path / "zero_shot.parquet")
    assert after["organ_targets"].isna().tolist() == [False] * 4 + [True]
    assert repr(zero_shot().score(after)) == repr(zero_shot().score(before))
    assert [p.name for p in tmp_path.iterdir()] == ["zero_shot.parquet"]


def test_an_organ_that_is_left_open_is_neither_the_answer_nor_in_its_way(tmp_path):
    images = [[0, 9, 1, 0], [0, 9, 1, 2], [0, 1, 9, 0], [0, 9, 0, 0]]
    organs = [[-1, 1, 0], [-1, 1, 0], [-1, 0, 1], [0, -1, 0]]  # brain, brain, brain and liver aren't certain
    shown = embedded(images, [record("abcd"[n], Modality.CT) for n in range(4)], organ=organs, station=[[-1, -1]] * 4)
    table = zero_shot().predict(FakeRun({"test": {"set1": shown}}, embed))
    assert table["organ_unsure"].tolist() == [["brain"], ["brain"], ["brain"], ["liver"]]
    assert table["organ_targets"].tolist() == [["liver"], ["liver"], ["foot"], []]
    write_rows(table, tmp_path / "t.parquet")
    again = pd.read_parquet(tmp_path / "t.parquet")
    again.attrs |= table.attrs
    for each in (table, again):
        cell = next(s for s in zero_shot().score(each) if "organ" in s.cell)
        # liver is next after brain; foot is; liver wins where foot is right; the last shows none for certain
        assert (cell.value, cell.n) == (pytest.approx(1 / 3), 3)


@pytest.mark.parametrize("targets", [[], None], ids=["none shown", "none known"])
def test_a_set_with_no_target_at_all_scores_nan(targets):
    table = predictions()
    table["organ_targets"] = [targets] * 5
    cell = next(s for s in zero_shot().score(table) if "organ" in s.cell)
    assert cell.n == 0
    assert np.isnan(cell.value)


def test_a_label_prior_adds_the_log_of_each_share_over_the_inverse_temperature():
    plain, shifted = (np.stack(predictions(label_prior=prior)["organ_scores"]) for prior in (False, True))
    shares = np.array([1.5, 2.5, 1.5]) / 5  # of the 4 slices whose organs are known
    np.testing.assert_allclose(shifted - plain, np.tile(np.log(shares) / np.exp(2.0), (5, 1)))


def test_a_label_prior_counts_each_label_where_it_is_known():
    labels = np.array([[1, -1, 0], [-1, -1, 1], [1, 0, 0], [-1, -1, -1]], np.int8)
    shares = np.array([(2 + 0.5) / 3, 0.5 / 2, (1 + 0.5) / 4])
    np.testing.assert_allclose(prior_offsets(labels, 1.5), np.log(shares) / np.exp(1.5))


def test_several_prompts_a_label_are_averaged():
    prompts = EvaluationPrompts(["{organ}", "other {organ}"], ["{station}"])

    def embed_either(texts):
        axes = torch.eye(4)
        return torch.stack([axes[0] if text.startswith("other") else embed([text])[0] for text in texts])

    table = ZeroShot(prompts, SMALL).predict(FakeRun({"test": {"set1": slices()}}, embed_either))
    np.testing.assert_allclose(table["organ_scores"][0], np.array([9, 1, 0]) / np.sqrt(82 * 2), atol=1e-6)


def chosen(tmp_path, labels):
    """What is chosen on a validation set of 40 slices with random scores."""
    taxonomy, rng = Taxonomy.load("whole_body"), np.random.default_rng(0)
    spaces = {"organ": taxonomy.organs, "station": taxonomy.stations}
    records = [record(f"p{n}", Modality.CT) for n in range(40)]
    shown = embedded(
        rng.normal(size=(40, 8)), records, **{s: labels(rng, (40, len(names))) for s, names in spaces.items()}
    )
    directions = {name: rng.normal(size=8) for names in spaces.values() for name in names}

    def embed_names(texts):
        return torch.nn.functional.normalize(torch.tensor(np.stack([directions[t] for t in texts])).float(), dim=-1)

    run = FakeRun({"validation": {"phantom": shown}}, embed_names)
    return ZeroShot(PROMPTS, taxonomy).choose(run, tmp_path), json.loads((tmp_path / "decisions.json").read_text())


def test_decisions_are_chosen_on_the_validation_sets_alone(tmp_path):
    notes, decisions = chosen(tmp_path, lambda rng, shape: rng.random(shape) > 0.5)
    assert notes == [] and Decisions.from_dict(decisions).organ.labels[0] == "brain"
    assert set(pd.read_parquet(tmp_path / "zero_shot_validation.parquet")["set"]) == {"phantom"}
    assert {path.name for path in tmp_path.iterdir()} == {"decisions.json", "zero_shot_validation.parquet"}


def test_decisions_are_those_of_the_known_slices(tmp_path):
    def some_unknown(rng, shape):
        labels = (rng.random(shape) > 0.5).astype(int)
        labels[:: 3 if shape[1] > 6 else 4] = -1  # of every third slice the organs, of every fourth the stations
        return labels

    _, decisions = chosen(tmp_path, some_unknown)
    rows = pd.read_parquet(tmp_path / "zero_shot_validation.parquet")
    taxonomy, parts = Taxonomy.load("whole_body"), []
    for kind, names, step in (("organ", taxonomy.organs, 3), ("station", taxonomy.stations, 4)):
        of_kind = rows[rows["row"] % step != 0]
        targets = [[name in found for name in names] for found in of_kind[f"{kind}_targets"]]
        parts += [np.array(of_kind[f"{kind}_scores"].tolist()), np.array(targets)]
    assert decisions.items() >= choose(*parts, taxonomy).to_dict().items()


def folds(outputs, patients=("abcde", "fghij"), **arguments):
    """What is chosen by a run of `outputs` on the test rows of two folds, each by another run."""
    taxonomy, rng, tables = Taxonomy.load("whole_body"), np.random.default_rng(0), []
    for fold, ids in enumerate(patients):
        records = [record(p, Modality.CT) for p in ids]
        organs, stations = (rng.random((5, n)) > 0.6 for n in (20, 5))
        shown = embedded(rng.normal(size=(5, 8)), records, organ=organs, station=stations)
        run = FakeRun({"test": {"held_out": shown, "other": shown}, "validation": {}}, lambda texts: unit(rng, texts))
        tables.append(ZeroShot(PROMPTS, taxonomy).predict(run))
        folder = outputs / f"real_{fold}" / "lite" / "seed_0"
        folder.mkdir(parents=True)
        write_rows(tables[-1], folder / "zero_shot.parquet")
    (folder := outputs / "real" / "bundle" / "seed_0").mkdir(parents=True)
    notes = ZeroShot(PROMPTS, taxonomy, **arguments).choose(run, folder)
    assert notes == []
    kept = pd.concat([table[table["set"] == "held_out"] for table in tables])
    return json.loads((folder / "decisions.json").read_text()), kept, taxonomy


def unit(rng, texts):
    return torch.nn.functional.normalize(torch.tensor(rng.normal(size=(len(texts), 8))).float(), dim=-1)


def test_decisions_may_be_chosen_on_the_slices_that_folds_left_out(tmp_path):
    decisions, kept, taxonomy = folds(tmp_path, chosen_on="real_[01]/lite/seed_0")
    parts = []
    for kind, names in (("organ", taxonomy.organs), ("station", taxonomy.stations)):
        targets = [[name in found for name in names] for found in kept[f"{kind}_targets"]]
        parts += [np.array(kept[f"{kind}_scores"].tolist()), np.array(targets)]
    assert len(kept) == 10 and decisions.items() >= choose(*parts, taxonomy).to_dict().items()


@pytest.mark.parametrize(
    ("pattern", "patients", "words"),
    [("real_9/lite/*", ("abcde", "fghij"), "has no evaluated run"), ("real_*/lite/*", ("abcde", "efghi"), "same")],
)
def test_folds_that_are_missing_or_share_patients_are_refused(tmp_path, pattern, patients, words):
    with pytest.raises(ValueError, match=words):
        folds(tmp_path, patients, chosen_on=pattern)


def test_decisions_leave_out_organs_that_are_left_open(tmp_path):
    def some_open(rng, shape):
        labels = (rng.random(shape) > 0.5).astype(int)
        labels[rng.random(shape) < (0.2 if shape[1] > 6 else 0.0)] = -1
        return labels

    _, decisions = chosen(tmp_path, some_open)
    rows, taxonomy, parts = pd.read_parquet(tmp_path / "zero_shot_validation.parquet"), Taxonomy.load("whole_body"), []
    for kind, names in (("organ", taxonomy.organs), ("station", taxonomy.stations)):
        targets = [[name in found for name in names] for found in rows[f"{kind}_targets"]]
        parts += [np.array(rows[f"{kind}_scores"].tolist()), np.array(targets)]
    known = np.array([[name not in left for name in taxonomy.organs] for left in rows["organ_unsure"]])
    assert 0 < (~known).sum() < known.size / 2
    assert decisions.items() >= choose(*parts, taxonomy, known).to_dict().items()


def test_without_labels_there_are_no_decisions_and_a_note_says_so(tmp_path):
    notes, decisions = chosen(tmp_path, lambda rng, shape: np.full(shape, -1))
    assert decisions is None and len(notes) == 1 and notes[0].startswith("no decisions: ")


def test_the_default_evaluators_compare_images_with_texts():
    assert set(compose_config("config").eval) == {"zero_shot", "contrast", "captions"}
