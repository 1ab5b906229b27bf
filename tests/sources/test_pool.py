"""Several labelled sources dealt into folds: nobody, and by source no source, stands in two of them."""

import os
import pickle
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import compose_config

from anatomy_clip.runs.wiring import build
from anatomy_clip.sources.scans.folds import deal
from anatomy_clip.sources.scans.pictures import Pictures
from anatomy_clip.sources.scans.pool import Pool
from anatomy_clip.stores.leakage import patient_key

REAL = Path(os.environ.get("REAL_DATA", Path(__file__).parents[2].parent / "shared" / "realdata"))
OWNERS = [(source, f"{source}-{n}") for source, count in {"a": 23, "b": 11, "c": 5, "d": 1, "e": 1}.items() for n in
          range(count)]  # fmt: skip


def counts(fold_of, folds):
    """Of each fold: source -> patients."""
    found = [Counter() for _ in range(folds)]
    for (source, _), fold in fold_of.items():
        found[fold][source] += 1
    return found


@pytest.mark.parametrize("seed", range(4))
def test_by_patient_each_source_is_spread_evenly(seed):
    fold_of = deal(OWNERS, 5, "patient", seed)
    assert set(fold_of) == set(OWNERS)
    found = counts(fold_of, 5)
    for source in "abcde":
        each = [fold[source] for fold in found]
        assert max(each) - min(each) <= 1, (source, each)
    totals = [fold.total() for fold in found]
    assert max(totals) - min(totals) <= 2


def test_by_source_the_largest_comes_first_into_the_emptiest_fold():
    found = counts(deal(OWNERS, 3, "source"), 3)
    assert found == [Counter(a=23), Counter(b=11), Counter(c=5, d=1, e=1)]  # 23 | 11 | 5 + 1 + 1: by hand


@pytest.mark.parametrize("by", ["patient", "source"])
def test_folds_follow_from_who_is_there_and_not_from_the_order_of_files(by):
    first = deal(OWNERS, 3, by, seed=7)
    shuffled = [OWNERS[n] for n in np.random.default_rng(0).permutation(len(OWNERS))]
    assert deal(shuffled * 2, 3, by, seed=7) == first
    if by == "patient":
        assert deal(OWNERS, 3, by, seed=8) != first


@pytest.mark.parametrize("by", ["patient", "source"])
def test_one_patient_in_two_spellings_or_of_a_known_collection_is_one(by):
    same = [("a", "A 001"), ("a", "a-1"), ("b", "LIDC-IDRI-0007"), ("c", "lidc_0007")]
    assert patient_key(*same[0]) == patient_key(*same[1]) and patient_key(*same[2]) == patient_key(*same[3])
    fold_of = deal([*OWNERS, *same], 3, by)
    assert fold_of[same[0]] == fold_of[same[1]] and fold_of[same[2]] == fold_of[same[3]]
    if by == "source":  # b and c are joined by the patient that they share
        folds = {source: {fold for (one, _), fold in fold_of.items() if one == source} for source in "abc"}
        assert len(folds["a"]) == 1 and folds["b"] == folds["c"] and len(folds["b"]) == 1


@pytest.mark.parametrize("by", ["patient", "source"])
def test_sources_whose_people_may_be_the_same_stand_in_one_fold(by):
    fold_of = deal(OWNERS, 3, by, together=[["b", "c"]])
    assert len({fold for (source, _), fold in fold_of.items() if source in "bc"}) == 1
    with pytest.raises(ValueError, match=r"source\.together: the pool has no source 'bb'"):
        deal(OWNERS, 3, by, together=[["b", "bb"]])
    assert deal(OWNERS, 3, by, together=[["x", "y"]]) == deal(OWNERS, 3, by)  # both of another pool


@pytest.mark.parametrize("by", ["patient", "source"])
def test_no_two_folds_share_anybody_whatever_the_data(by):
    rng = np.random.default_rng(3)
    for _ in range(20):
        owners = [(f"s{rng.integers(6)}", f"{rng.choice(['p', 'tcga'])} {rng.integers(30)}") for _ in range(60)]
        try:
            fold_of = deal(owners, 3, by)
        except ValueError as error:
            assert "group(s) by" in str(error)
            continue
        folds = [{owner for owner, fold in fold_of.items() if fold == n} for n in range(3)]
        assert all(folds)
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert not {patient_key(*who) for who in folds[one]} & {patient_key(*who) for who in folds[other]}
            if by == "source":
                assert not {source for source, _ in folds[one]} & {source for source, _ in folds[other]}


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"folds": 6, "by": "source"}, r"source\.folds=6: the pool has 5 group\(s\) by source; give a number"),
        ({"folds": 1}, "folds=1"),
        ({"folds": 3, "by": "site"}, r"source\.by='site': give one of patient, source"),
    ],
)
def test_folds_that_cannot_be_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        deal(OWNERS, **options)


def pictures(root, *rows):
    """Pictures of (file, source, patient)."""
    root.mkdir()
    lines = ["file,patient,source,modality,protocol,orientation,stations,organs"]
    for n, (file, source, patient) in enumerate(rows):
        pixels = np.full((40, 40), n, np.uint8)
        pixels[:20] = 200
        Image.fromarray(pixels).save(root / file)
        lines.append(f"{file},{patient},{source},MR,T1,axial,chest,heart")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return partial(Pictures, root)


@pytest.fixture
def parts(tmp_path):
    return {
        "one": pictures(tmp_path / "one", *((f"{n}.png", "x", f"p{n // 2}") for n in range(8))),
        "two": pictures(tmp_path / "two", ("a.png", "x", "p1"), ("b.png", "y", "q1"), ("c.png", "", "q2")),
    }


def test_a_pool_gives_the_slices_of_its_parts_fold_by_fold(parts):
    pool = pickle.loads(pickle.dumps(Pool(parts, folds=3)))
    assert pool.splits() == ["fold_0", "fold_1", "fold_2"] and pool.name == "pool"
    records = {split: [] for split in pool.splits()}
    for split in pool.splits():
        for volume in pool.volumes(split):
            records[split] += [record for _, record in pool.slices(split, volume)]
    assert sum(map(len, records.values())) == 11
    assert all(record.split == split for split, found in records.items() for record in found)
    whose = [{(record.source, record.patient) for record in found} for found in records.values()]
    assert sum(map(len, whose)) == len(set.union(*whose)) == 6  # p1 of both parts is one patient, of one id
    assert {source for source, _ in set.union(*whose)} == {"x", "y", "pictures"}


def test_by_source_a_source_of_two_parts_is_one_and_the_stores_have_another_name(parts):
    pool = Pool(parts, by="source", folds=3)
    assert pool.name == "pool_by_source"
    assert sorted(map(len, map(pool.volumes, pool.splits()))) == [1, 1, 5]


def test_parts_can_be_chosen_and_one_that_is_missing_is_named(parts, tmp_path):
    away = parts | {"three": partial(Pictures, tmp_path / "nowhere")}
    with pytest.raises(ValueError, match=r"source\.parts\.three: .*nowhere.*missing.*source\.only"):
        Pool(away)
    pool = Pool(away, folds=2, only=["one"])
    assert {volume.split("/")[0] for split in pool.splits() for volume in pool.volumes(split)} == {"one"}
    with pytest.raises(ValueError, match=r"source\.only: no part 'on' \(did you mean 'one'\?\)"):
        Pool(away, only=["on"])


def test_its_fingerprint_tells_salts_and_tables_apart(parts, tmp_path):
    prints = [Pool(parts, salt=salt).fingerprint() for salt in "aab"]
    table = tmp_path / "two" / "labels.csv"
    table.write_text(table.read_text().replace("heart", "lungs"))
    prints.append(Pool(parts, salt="a").fingerprint())
    assert prints[0] == prints[1] and len({tuple(one.items()) for one in prints}) == 3


@pytest.mark.skipif(not (REAL / "slices").is_dir(), reason="the real data aren't here")
@pytest.mark.parametrize("by", ["patient", "source"])
def test_the_real_pool_has_each_patient_once_and_knows_their_source(by, tmp_path, monkeypatch):
    monkeypatch.setenv("REAL_DATA", str(REAL))
    monkeypatch.setenv("REAL_SLICES", str(REAL / "slices"))
    pool = build(compose_config("prepare", "source=pool", f"source.by={by}", f"paths.data={tmp_path}").source)

    def owner(volume):
        part, key = volume.split("/", 1)
        return pool._parts[part].owner(key)

    owners = [set(map(owner, pool.volumes(split))) for split in pool.splits()]
    assert sum(map(len, owners)) == len(set.union(*owners)) == 362  # 335 of the pictures, 27 of the volumes
    spider = [n for n, fold in enumerate(owners) if any(source.startswith("spider") for source, _ in fold)]
    assert len(spider) == (1 if by == "source" else 5)
    sources = {source for source, _ in set.union(*owners)}
    assert not sources & {"real", "slices"} and len(sources) == 28 and "spider-kaggle" not in sources
    for first in {volume.split("/")[0]: volume for volume in pool.volumes("fold_1")}.values():  # one of each part
        _, record = next(item for item in pool.slices("fold_1", first) if isinstance(item, tuple))
        assert record.source == owner(first)[0]
