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
