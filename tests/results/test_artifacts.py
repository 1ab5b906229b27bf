"""What a run took in is known by digests and counts, of slices and of radiographs."""

from pathlib import Path

from films import SIDE, make_film_store

from anatomy_clip.results.artifacts import artifacts_of
from anatomy_clip.results.read import Run


def test_a_store_of_radiographs_tells_how_many_films_of_whom_and_of_what(tmp_path):
    make_film_store(tmp_path / "test", count=3)
    config = {"stages": ["evaluate"], "data": {"test": {"test": str(tmp_path / "test")}}, "model": {}}
    run = Run("random", 0, Path(tmp_path), labels={}, tables={}, scores={}, config=config)
    [store] = artifacts_of(run).used
    assert store.kind == "dataset" and store.facts["role"] == "test" and store.facts["side"] == SIDE
    assert store.facts["patients"] == 3 == store.facts["radiographs"] and store.facts["parts"] == ["chest"]
    assert str(tmp_path) not in repr(store)


def test_a_berts_weights_are_among_what_was_used_and_left_out_folds_are_not(tmp_path):
    for fold in range(2):
        make_film_store(tmp_path / f"fold_{fold}", count=2 + fold)
    (bert := tmp_path / "bert").mkdir()
    (bert / "config.json").write_text("{}")
    (bert / "model.safetensors").write_bytes(b"weights")
    data = {"train": [f"{tmp_path}/fold_0", f"{tmp_path}/fold_1"], "validation": {}, "leave_out_tested": True}
    config = {"stages": ["fit"], "data": data | {"test": {"held_out": f"{tmp_path}/fold_1"}}}
    for folder, found in ((bert, 1), (tmp_path / "gone", 0)):
        run = Run("x", 0, tmp_path, {}, {}, {}, config=config | {"model": {"text_weights": str(folder)}})
        used = artifacts_of(run).used
        assert [one.facts["role"] for one in used if one.kind == "dataset"] == ["train", "held_out"]
        assert [one.facts for one in used if one.kind == "model"] == [{"bytes": 7}] * found
        assert next(one.facts["patients"] for one in used if one.facts.get("role") == "train") == 2
