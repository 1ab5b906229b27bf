import pytest

from anatomy_clip.text.reports.sentences import count_words, split_sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A 2.3 cm nodule is seen. It is stable.", ["A 2.3 cm nodule is seen.", "It is stable."]),
        ("The mass is 3.4 x 2.1 cm. Fracture at T8. End of report.",
         ["The mass is 3.4 x 2.1 cm.", "Fracture at T8.", "End of report."]),
        ("Dr. Smith and J. Doe were told. Mrs. ___ left.", ["Dr. Smith and J. Doe were told.", "Mrs. ___ left."]),
        ("Told at 3 p.m. by phone. Read at 4 p.m. No change.",
         ["Told at 3 p.m. by phone.", "Read at 4 p.m.", "No change."]),
        ("1. No effusion. 2. Heart is normal.", ["No effusion.", "Heart is normal."]),
        ("1. No effusion.\n 2) Heart is\n normal\n- clear lungs", ["No effusion.", "Heart is normal", "clear lungs"]),
        ("Compared with XXXX. The XXXX is clear.", ["Compared with XXXX.", "The XXXX is clear."]),
        ("It is dated ___. No change.", ["It is dated ___.", "No change."]),
        ("the heart is normal . no effusion .", ["the heart is normal .", "no effusion ."]),
        ("Small effusion.No pneumothorax.", ["Small effusion.", "No pneumothorax."]),
        ("Is it pneumonia? Not likely!", ["Is it pneumonia?", "Not likely!"]),
        ("First part\n\nsecond part", ["First part", "second part"]),
        ("It measures 3. It grew.", ["It measures 3.", "It grew."]),
        ("", []),
        (" . . ", []),
    ],
)  # fmt: skip
def test_split(text, expected):
    assert list(split_sentences(text)) == expected


def test_short_ones_are_left_out_unless_asked_for():
    text = "Cardiomegaly. XXXX XXXX. No change."
    assert split_sentences(text) == ("No change.",)
    assert split_sentences(text, min_words=1) == ("Cardiomegaly.", "No change.")
    assert split_sentences(text, min_words=0)[1] == "XXXX XXXX."


def test_marks_and_numbers_are_no_words():
    assert count_words("XXXX 3.4 ___ [**2101-1-1**] cm") == 1
