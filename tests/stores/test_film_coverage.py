from __future__ import annotations

from dataclasses import replace
from io import StringIO

from rich.console import Console

from anatomy_clip.core.radiographs import Finding, RadiographRecord
from anatomy_clip.core.terms import Projection, Side, State, Visibility
from anatomy_clip.stores.film_coverage import film_summary, finding_table

FILM = RadiographRecord("films", "train", "p1", "s1", "f1", part="chest", projection=Projection.PA)
LEFT = Finding(State.POSITIVE, Side.LEFT, severity="mild", visibility=Visibility.SUBTLE)
FILMS = [
    replace(FILM, findings={"nodule": LEFT, "edema": Finding(State.NEGATIVE)}),
    replace(FILM, image="f2", findings={"nodule": replace(LEFT, side=Side.RIGHT, severity="severe")}),
    replace(FILM, patient="p2", study="s2", findings={"nodule": replace(LEFT, visibility=Visibility.INVISIBLE)}),
    replace(FILM, patient="p3", study="s3", findings={"nodule": Finding(State.UNCERTAIN)}, report={"findings": "?"}),
]


def lines(table):
    console = Console(width=120, record=True, file=StringIO())
    console.print(table)
    return [line.split() for line in console.export_text().splitlines()]


def test_what_a_film_does_not_show_is_counted_apart():
    head, *rows = lines(finding_table("train", FILMS))[1:]
    assert head[-4:] == ["subtle", "not", "seen", "unsure"]
    # films, patients, left, right, both, mild, moderate, severe, subtle, not seen, unsure
    assert rows == [["nodule", "chest", "PA", "2", "1", "1", "1", ".", "1", ".", "1", "2", "1", "1"]]


def test_films_studies_and_patients_are_counted():
    (row,) = [line for line in lines(film_summary({"train": FILMS})) if "films" in line and "store" not in line]
    assert [cell for cell in row if cell.isdigit()] == ["4", "3", "3", "1", "0", "0"]
