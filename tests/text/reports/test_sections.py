import pytest

from anatomy_clip.text.reports.sections import decode, described, join_texts, split_sections

LIKE_MIMIC = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___-year-old with cough  // ?pneumonia

 COMPARISON:  ___

 FINDINGS:

 The lungs are clear.  NG tube ends 3.5 cm above the carina.

 IMPRESSION:

 1. No effusion.
 2. Dr. ___ was told.
"""


def parts(report):
    return {one.name: one.text for one in split_sections(report)}


def squeezed(text):
    return "".join(text.split())


def test_a_report_in_the_manner_of_mimic():
    sections = split_sections(LIKE_MIMIC)
    assert [(one.name, one.heading) for one in sections] == [
        ("preamble", "FINAL REPORT"), ("examination", "EXAMINATION:"), ("indication", "INDICATION:"),
        ("comparison", "COMPARISON:"), ("findings", "FINDINGS:"), ("impression", "IMPRESSION:"),
    ]  # fmt: skip
    assert sections[1].text == "CHEST (PA AND LAT)"
    assert sections[4].text == "The lungs are clear.  NG tube ends 3.5 cm above the carina."
    assert described(LIKE_MIMIC) == sections[4].text + "\n\n" + sections[5].text
    assert "pneumonia" not in described(LIKE_MIMIC)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("COMPARISON: XXXX FINDINGS: Clear. IMPRESSION: Normal.",
         {"comparison": "XXXX", "findings": "Clear.", "impression": "Normal."}),
        ("Findings: small effusion\nimpression : as above", {"findings": "small effusion", "impression": "as above"}),
        ("REASON FOR EXAM: cough\nIMPRESSON: Normal.", {"indication": "cough", "impression": "Normal."}),
        ("PORTABLE CHEST (AP): one view\nFINDINGS AND IMPRESSION: Clear",
         {"portable_chest_ap": "one view", "findings_and_impression": "Clear"}),
        ("Heart normal.\n\nNo effusion.", {"preamble": "Heart normal.", "last_paragraph": "No effusion."}),
        ("HISTORY: cough\n\nClear lungs.\n\nNo effusion.",
         {"indication": "cough", "last_paragraph": "Clear lungs.\n\nNo effusion."}),
        ("Clear lungs.", {"last_paragraph": "Clear lungs."}),
        ("Tube tip: at the carina. T8: normal.", {"last_paragraph": "Tube tip: at the carina. T8: normal."}),
        ("IMPRESSION:", {"impression": ""}),
        ("", {}),
        (" \n\t", {}),
    ],
)  # fmt: skip
def test_headings_and_missing_ones(report, expected):
    assert parts(report) == expected


@pytest.mark.parametrize(
    "report", [LIKE_MIMIC, "A\n\nFINDINGS: B\nWET READ: C", "no heading", "X: y\r\n\r\nCT SCAN: z"]
)
def test_no_text_is_lost(report):
    assert squeezed("".join(one.heading + one.text for one in split_sections(report))) == squeezed(report)


def test_a_report_with_nothing_of_the_images_describes_nothing():
    assert described("INDICATION: cough") == ""
    assert described("HISTORY: cough\n\nClear lungs.") == "Clear lungs."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_decode(encoding):
    assert decode("Größe \N{EN DASH} 3 cm".encode(encoding)) == "Größe \N{EN DASH} 3 cm"


def test_decode_never_fails():
    assert decode(b"") == ""
    assert decode(b"\xff\xfea").endswith("a")  # half a character of UTF-16
    assert decode(bytes(range(128, 256)))


def test_join_texts_leaves_out_what_is_empty():
    assert join_texts(["a ", None, "", "b"]) == "a\n\nb"
