"""The picture: chosen by a rule, the same each time, with softmax and verdict by hand."""

import numpy as np
import pytest
from fake_suite import write_run
from PIL import Image

from anatomy_clip.results.examples import choose, verdict
from anatomy_clip.results.gallery import gallery
from anatomy_clip.results.read import read_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(write_run(tmp_path_factory.mktemp("outputs"), "pmc_msa", 0, 0.7))


def images(run, sets=("samples_ct", "samples_mr")):
    rng = np.random.default_rng(0)
    return {s: rng.integers(0, 255, (int((run.tables["zero_shot"]["set"] == s).sum()), 32, 32), np.uint8) for s in sets}


def test_choice_covers_volumes_and_planes_and_repeats(run):
    chosen = choose(run.tables["zero_shot"], ["samples_ct", "samples_mr"], 12)
    assert len(chosen) == 12 and not chosen.index.duplicated().any()
    assert chosen.groupby(["set", "series", "orientation"]).ngroups == 12  # 3 CT + 1 MR volumes, 3 planes
    assert (chosen["organ_targets"].map(len) > 0).all()
    assert chosen.index.equals(choose(run.tables["zero_shot"], ["samples_ct", "samples_mr"], 12).index)


def test_choice_ignores_the_scores(run):
    other = run.tables["zero_shot"].copy()
    other["organ_scores"] = [row[::-1] for row in other["organ_scores"]]
    assert choose(other, ["samples_ct"], 6).index.equals(choose(run.tables["zero_shot"], ["samples_ct"], 6).index)


def test_fewer_slices_than_places(run):
    few = run.tables["zero_shot"][run.tables["zero_shot"]["set"] == "samples_mr"]
    chosen = choose(few, ["samples_mr"], 50)
    assert len(chosen) <= 12 and not chosen.index.duplicated().any()
    assert choose(few, ["samples_ct"], 5).empty


def test_verdict_by_hand(run):
    row = {"organ_scores": [0.1, 0.3, 0.29, 0.0, 0.3], "organ_targets": ["heart"]}
    found = verdict(run, row, "organ", 3)
    assert found.names == ("lungs", "knee", "heart")
    raw = np.exp(100 * np.array(row["organ_scores"]))
    np.testing.assert_allclose(found.share, np.array([raw[1], raw[4], raw[2]]) / raw.sum())
    assert (found.is_right, found.shown) == (False, "heart")
    assert verdict(run, row | {"organ_targets": ["lungs"]}, "organ", 3).is_right


def test_png_is_written_and_the_same_again(run, tmp_path):
    drawn = [gallery(run, images(run), tmp_path / name, title="Slices") for name in ("a.png", "b.png")]
    assert drawn == [12, 12]
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] > 1200 and picture.getpixel((1, 1))[:3] == (0x11, 0x15, 0x1C)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_errors(run, tmp_path):
    with pytest.raises(ValueError, match="no labelled slice"):
        gallery(run, {"visible_human": np.zeros((3, 8, 8), np.uint8)}, tmp_path / "a.png")
    with pytest.raises(ValueError, match="is not among the 1 images"):
        gallery(run, {"samples_ct": np.zeros((1, 8, 8), np.uint8)}, tmp_path / "a.png")
