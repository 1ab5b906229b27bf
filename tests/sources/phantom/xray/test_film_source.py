"""The source of films: reproducible, split by body, and true to what it promises of a cohort."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from anatomy_clip.cli.prepare import render_film
from anatomy_clip.core.radiographs import Finding
from anatomy_clip.core.terms import Side, State, Visibility
from anatomy_clip.sources.base import RadiographSource
from anatomy_clip.sources.phantom.xray.cohorts import Cohort, draw_studies
from anatomy_clip.sources.phantom.xray.source import FilmSource, agreed
from anatomy_clip.stores.prepare import prepare_split
from anatomy_clip.stores.store import Store

COHORTS = {
    "train": {"patients": 6},
    "shifted": {"patients": 2, "limb_share": 0, "site": {"gamma": [1.4, 1.5]}, "held_out": True},
    "exclusive": {"patients": 2, "classes": ["pleural_effusion", "no_finding"]},
}


@pytest.fixture(scope="module")
def source():
    return FilmSource(COHORTS, seed=3, pixels=48)


@pytest.fixture(scope="module")
def films(source):
    return {split: list(source.films(split, source.volumes(split)[0])) for split in source.splits()}


def test_it_is_a_source_of_radiographs(source, films):
    assert isinstance(source, RadiographSource)
    for film, record in (pair for pairs in films.values() for pair in pairs):
        assert set(film.masks) <= set(source.masks)
        assert {box.finding for box in record.boxes} <= {name for name, one in record.findings.items() if one.shown}
        for box in record.boxes:
            assert 0 <= box.left < box.left + box.width <= 48 and 0 <= box.top < box.top + box.height <= 48


def test_the_same_seed_gives_the_same_films_reports_and_questions_with_any_number_of_workers(source, tmp_path):
    def prepare(workers):
        store = tmp_path / str(workers)
        render = partial(render_film, 48, source.masks)
        prepare_split(partial(source.films, "train"), source.volumes("train"), store, render, settings={},
                      masks=source.masks, workers=workers, max_bad_share=0)  # fmt: skip
        return Store.open(store, kind=None)

    one, two = prepare(0), prepare(2)
    for name in ("images.npy", "masks.npy", "manifest.parquet"):
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes()


def test_another_seed_gives_other_films(source, films):
    other = FilmSource(COHORTS, seed=4, pixels=48)
    (film, _), *_ = other.films("shifted", other.volumes("shifted")[0])
    assert not np.array_equal(film.pixels, films["shifted"][0][0].pixels)


def test_films_of_a_study_share_findings_and_report_and_patients_have_their_own(films):
    by_study = {}
    for _, record in films["train"]:
        by_study.setdefault(record.study, []).append(record)
        assert record.study.startswith(record.patient)
    for records in by_study.values():
        assert len({tuple(record.report.items()) for record in records}) == 1
        there = [{n for n, one in r.findings.items() if one.state is State.POSITIVE} for r in records]
        known = set.intersection(*(set(r.findings) for r in records)) - {"no_finding"}
        assert all(names & known == there[0] & known for names in there)
    assert len({record.patient for _, record in films["train"]}) == 6


def test_films_of_a_study_do_not_contradict_each_other():
    here, nothing = Finding(State.POSITIVE, Side.LEFT, visibility=Visibility.CLEAR), Finding(State.NEGATIVE)
    front = {"cardiomegaly": nothing, "nodule": here, "edema": nothing, "no_finding": nothing}
    side = {"nodule": nothing, "edema": nothing, "no_finding": Finding(State.POSITIVE)}
    first, second = agreed([front, side])
    assert first == front
    assert second == {"nodule": replace(here, visibility=Visibility.INVISIBLE), "edema": nothing}


def test_a_cohort_of_classes_shows_its_class_alone(films):
    for (_, record), wanted in zip(films["exclusive"], ("pleural_effusion", "no_finding"), strict=True):
        assert {name for name, one in record.findings.items() if one.shown} == {wanted}


def test_findings_do_not_depend_on_where_films_are_taken():
    here, there = Cohort(50), Cohort(50, ap_share=0.35, habitus=(0.5, 1.0), held_out=True)
    for number in range(50):
        plans = [draw_studies(one, number, np.random.default_rng(number)) for one in (here, there)]
        assert plans[0] == plans[1]


def test_what_is_wrong_with_a_cohort_is_named():
    with pytest.raises(ValueError, match=r"films: cohort 'a' has the unknown field.* patient;.*mean 'patients'\?"):
        FilmSource({"a": {"patient": 3}})
    with pytest.raises(ValueError, match=r"films: cohort 'a', site has the unknown field.* gama;.*mean 'gamma'\?"):
        FilmSource({"a": {"patients": 3, "site": {"gama": 1}}})
    with pytest.raises(ValueError, match="share=0"):
        FilmSource(COHORTS, share=0)
    source = FilmSource(COHORTS)
    with pytest.raises(ValueError, match="no cohort 'x'; there are train"):
        source.volumes("x")
    with pytest.raises(ValueError, match="has no group 'films-train-00007'"):
        next(source.films("train", "films-train-00007"))
