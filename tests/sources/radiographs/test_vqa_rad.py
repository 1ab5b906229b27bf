"""VQA-RAD as it is published, made here; the real one where it is at hand."""

import json
import os
from pathlib import Path

import pytest
from sources.radiographs.pictures import all_films, write_film

from anatomy_clip.core.radiographs import Question
from anatomy_clip.sources.radiographs.vqa_rad import IMAGES, QUESTIONS, VqaRad

REAL = Path(os.environ.get("REAL_DATA", Path(__file__).parents[3].parent / "shared" / "realdata")) / "radiographs"


def entry(image, case, answer="Yes", kind="PRES", organ="CHEST", **more):
    return {"qid": 1, "image_name": image, "image_organ": organ, "image_case_url": f"https://x.org/case?id={case}",
            "question": " Is it there? ", "answer": answer, "question_type": kind, **more}  # fmt: skip


def write(folder, entries):
    (folder / QUESTIONS).write_text(json.dumps(entries))
    for image in {each["image_name"] for each in entries}:
        write_film(folder / IMAGES / image)


def test_questions_come_with_their_picture(tmp_path):
    write(tmp_path, [entry("a.jpg", 1, " yes"), entry("a.jpg", 1, 4, "COUNT"), entry("a.jpg", 1, "No", "PRSE, ATRIB"),
                     entry("a.jpg", 1, "x", "what"), entry("b.jpg", 2, organ="ABD")])  # fmt: skip
    films, others = all_films(VqaRad(tmp_path, shares={"all": 1.0}))
    assert others == []
    a, b = (record for _, _, record in films)
    assert a.questions == tuple(
        Question(kind, "Is it there?", answer)
        for kind, answer in (("presence", "yes"), ("number", "4"), ("presence", "No"), ("other", "x"))
    )
    assert (a.part, b.part) == ("chest", "abdomen")


def test_pictures_of_one_case_stay_together_however_it_is_found_out(tmp_path):
    """a and b share a case by c, whose two addresses are theirs."""
    cases = [("a.jpg", 1), ("b.jpg", 2), ("c.jpg", 1), ("c.jpg", 2), ("d.jpg", 3)]
    write(tmp_path, [entry(image, case) for image, case in cases])
    films, _ = all_films(VqaRad(tmp_path))
    patients = {record.image: record.patient for _, _, record in films}
    assert patients["a.jpg"] == patients["b.jpg"] == patients["c.jpg"] != patients["d.jpg"]


def test_pictures_without_question_and_questions_without_picture_are_named(tmp_path):
    write(tmp_path, [entry("a.jpg", 1), entry("b.jpg", 2)])
    (tmp_path / IMAGES / "b.jpg").unlink()
    write_film(tmp_path / IMAGES / "c.jpg")
    films, others = all_films(VqaRad(tmp_path))
    reasons = {Path(one.where).name: one.reason for one in others}
    assert len(films) == 1 and set(reasons) == {"b.jpg", "c.jpg"}
    assert "missing" in reasons["b.jpg"] and "no question" in reasons["c.jpg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 10_000 + "]" * 10_000, "nested too deeply; leave it out"),
        ('{"a": 1}', "contains no list of questions"),
        ("[1]", "question 0: one of image_name"),
        (json.dumps([entry("a.jpg", 1, answer=[1])]), "question 0: one of"),
        (json.dumps([entry("a.jpg", 1), entry("a.jpg", 1, organ="LEG")]), "question 1: image_organ is not one of HEAD"),
        ("[" + "9" * 5000 + "]", "can't be read as JSON"),
        ("[,]", "can't be read as JSON"),
    ],
)
def test_bad_json_is_refused_by_name(tmp_path, text, message):
    (tmp_path / QUESTIONS).write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        VqaRad(tmp_path).splits()
    assert QUESTIONS in str(caught.value)


def test_a_picture_outside_of_the_folder_is_refused(tmp_path):
    write(tmp_path, [entry("a.jpg", 1), entry("../../b.jpg", 2)])
    films, others = all_films(VqaRad(tmp_path, shares={"all": 1.0}))
    assert len(films) == 1 and "is not below the source's root" in others[0].reason


@pytest.mark.skipif(not (REAL / "vqa_rad").is_dir(), reason=f"no real radiographs at {REAL}")
def test_real_pictures_are_taken_but_for_three():
    films, others = all_films(VqaRad(REAL / "vqa_rad"))
    assert len(films) == 312 and len(others) == 3
    assert (
        sum(len(record.questions) for _, _, record in films) == 2234
    )  # 14 of 2,248 are about the two that are missing
    assert {record.part for _, _, record in films} == {"head", "chest", "abdomen"}
