"""Open-I's layout, made here, and XML that is made to break its reader."""

from pathlib import Path

import pytest
from sources.radiographs.pictures import all_films, write_film

from anatomy_clip.core.refusals import Refused
from anatomy_clip.sources.radiographs.openi import OpenI
from anatomy_clip.sources.radiographs.texts import read_xml

REPORT = """<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR7"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON"/>
<AbstractText Label="FINDINGS">Heart size is normal &amp; stable.
  XXXX lungs.</AbstractText>
<AbstractText Label="IMPRESSION">No acute disease.</AbstractText>
</Abstract></Article></MedlineCitation>
<parentImage id="7_1"><panel/></parentImage><parentImage id="7_2"/></eCitation>
"""


@pytest.fixture
def made(tmp_path):
    (tmp_path / "ecgen-radiology").mkdir()
    (tmp_path / "ecgen-radiology" / "7.xml").write_text(REPORT)
    for name in ("7_1", "7_2"):
        write_film(tmp_path / "images" / f"{name}.png")
    return tmp_path


def test_films_share_their_report(made):
    films, others = all_films(OpenI(made))
    assert others == [] and [record.image for _, _, record in films] == ["7_1", "7_2"]
    for _, _, record in films:
        assert record.report == {
            "findings": "Heart size is normal & stable. XXXX lungs.",
            "impression": "No acute disease.",
        }
        assert record.study == record.patient == "7"


def test_bad_reports_and_films_cost_only_themselves(made):
    folder = made / "ecgen-radiology"
    (made / "images" / "7_2.png").unlink()
    (folder / "8.xml").write_text("<eCitation/>")
    (folder / "9.xml").write_text(REPORT[:200])
    (folder / "10.xml").write_text(REPORT.replace("7_1", "../../outside").replace('<parentImage id="7_2"/>', ""))
    films, others = all_films(OpenI(made, shares={"all": 1.0}))
    assert [record.image for _, _, record in films] == ["7_1"]
    reasons = {Path(one.where).name: one.reason for one in others}
    assert "missing" in reasons["7_2.png"] and "gives no film" in reasons["8.xml"]
    assert "can't be read as XML" in reasons["9.xml"] and "is not below the source's root" in reasons["10.xml"]
    assert all(one.remedy for one in others)


def laughs(levels):
    lines = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(levels))
    return f"<?xml version='1.0'?><!DOCTYPE a [{lines}]><a>&e{levels - 1};</a>"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (laughs(10), "declares entities, which can grow without limit"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hosts">]><a>&x;</a>', "declares entities"),
        ('<!DOCTYPE a [<!ENTITY % x "y">]><a/>', "declares entities"),
        ("<a>" * 10_000 + "</a>" * 10_000, "is XML nested more than 100 deep"),
        ("<a><b></a>", "can't be read as XML"),
        ("", "can't be read as XML"),
        ("\0", "can't be read as XML"),
    ],
)
def test_hostile_xml_is_refused_by_name(tmp_path, text, reason):
    (tmp_path / "x.xml").write_text(text)
    with pytest.raises(Refused, match=reason) as caught:
        read_xml(tmp_path / "x.xml")
    assert caught.value.refusal.where == str(tmp_path / "x.xml") and caught.value.refusal.remedy


def test_a_doctype_alone_opens_no_file_and_is_taken(tmp_path):
    (tmp_path / "x.xml").write_text('<!DOCTYPE a SYSTEM "http://example.org/a.dtd"><a>b</a>')
    assert read_xml(tmp_path / "x.xml").text == "b"


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("anatomy_clip.sources.radiographs.texts.MAX_BYTES", 3)
    (tmp_path / "x.xml").write_text("<a/>")
    with pytest.raises(Refused, match="larger than 3 bytes"):
        read_xml(tmp_path / "x.xml")
