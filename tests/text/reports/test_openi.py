import io
import tarfile
from html import escape

import pytest

from anatomy_clip.core.terms import Side, State
from anatomy_clip.text.reports.labeller import finding_names
from anatomy_clip.text.reports.states import Label
from experiments.labeller_openi import HELD_OUT, TAGS, in_part, main, page, read_reports, scores, tagged

XML = """<?xml version="1.0" encoding="utf-8"?><eCitation><uId id="CXR{number}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON">None.</AbstractText><AbstractText Label="INDICATION">Pneumothorax?</AbstractText>
<AbstractText Label="FINDINGS">{findings}</AbstractText><AbstractText Label="IMPRESSION">{impression}</AbstractText>
</Abstract></Article></MedlineCitation><MeSH>{tags}</MeSH></eCitation>"""
REPORTS = [
    ("Heart is enlarged.", "Small left effusion.", ["Cardiomegaly/mild", "Pleural Effusion/left/small"]),
    ("Possible right effusion.", "", ["normal"]),
    ("Lungs are clear.", "Normal chest.", ["normal"]),
    ("", "Left rib fracture.", ["Fractures, Bone/ribs/left"]),
    ("Untagged.", "", []),
]


def write(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"ecgen-radiology/{name}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


@pytest.fixture
def archive(tmp_path):
    files = {"readme.txt": "not a report"}
    for number, (findings, impression, tags) in enumerate(REPORTS, 1):
        majors = "".join(f"<major>{escape(tag)}</major>" for tag in tags)
        files[f"{number}.xml"] = XML.format(number=number, findings=findings, impression=impression, tags=majors)
    return write(tmp_path / "reports.tgz", files)


def test_findings_and_impression_are_read_and_no_question(archive):
    reports = list(read_reports(archive))
    assert [one.number for one in reports] == [1, 2, 3, 4]  # the last one has no tag
    assert reports[0].text == "Heart is enlarged.\n\nSmall left effusion."
    assert reports[0].tags == ("cardiomegaly/mild", "pleural effusion/left/small")
    assert "Pneumothorax" not in reports[0].text


def test_tags():
    assert tagged(["pleural effusion/left", "pleural effusion/right"], "pleural_effusion").side is Side.BOTH
    assert tagged(["fractures, bone/clavicle/right"], "limb_fracture") == Label(State.POSITIVE, Side.RIGHT)
    assert tagged(["fractures, bone/clavicle/right"], "rib_fracture") is None
    assert tagged(["lung/hypoinflation"], "atelectasis") is None
    assert set(TAGS) == set(finding_names()) - {"covid_pattern"}


def test_the_table(archive):
    lines = page(list(read_reports(archive))).splitlines()
    table = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ")[1:] for line in lines if "|" in line}
    # 4 reports; tagged 1, said 2, of which 1 rightly: kappa = (3/4 - 1/2) / (1 - 1/2)
    row = ["1", "2", "0.750", "0.500", "0.500", "1.000", "0.667", "1.000", "1/1"]
    assert table["pleural_effusion"] == ["uncertain", "no", "1", "effusion"]  # the disagreement, further down
    assert f"| pleural_effusion | {' | '.join(row)} |" in lines
    assert "| cardiomegaly | 1 | 1 | 1.000 | 1.000 | 1.000 | 1.000 | 1.000 | 1.000 | - |" in lines


def test_scores_of_nothing_have_no_meaning():
    assert str(scores([False], [False])) == "(nan, nan, nan)"
    assert scores([True, True, False], [True, False, True]) == (0.5, 0.5, 0.5)


def test_parts_divide_the_set():
    held, seen = ([n for n in range(20) if in_part(n, part)] for part in ("held-out", "looked-at"))
    assert sorted(held + seen) == list(range(20))
    assert seen == list(range(0, 20, HELD_OUT))


def test_the_program_prints_the_held_out_part(archive, capsys):
    main([str(archive)])
    assert capsys.readouterr().out.startswith("4 reports.")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"1.xml": "<a>"}, "1.xml is not an XML file"),
        ({"1.xml": "<a/>"}, "no number in uId"),
        ({}, "no report with tags"),
        (None, "can't be read"),
    ],
)
def test_faults_are_named(tmp_path, capsys, files, message):
    path = tmp_path / "x.tgz"
    path.write_bytes(b"no archive") if files is None else write(path, files)
    with pytest.raises(SystemExit):
        main([str(path)])
    assert message in capsys.readouterr().err
