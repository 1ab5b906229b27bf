from collections import Counter

import numpy as np
import pytest
from films import make_record

from anatomy_clip.core.refusals import Refused
from anatomy_clip.text.report_texts import ReportTexts
from anatomy_clip.text.reports.sentences import cut_at_sentence
from anatomy_clip.text.reports.words import described_by, report_words, split_words

REPORT = {
    "indication": "Cough and fever.",
    "impression": "1. Left effusion.\n2. Normal.",
    "findings": "The heart is normal. No pneumothorax (5.5 cm).",
}
SENTENCES = ["The heart is normal.", "No pneumothorax (5.5 cm).", "Left effusion."]


def test_each_sentence_of_findings_and_impression_is_drawn_equally_often():
    source, rng, record = ReportTexts(), np.random.default_rng(0), make_record(0, report=REPORT)
    drawn = Counter(source.texts(record, {}, rng)["caption"][0] for _ in range(3000))
    assert sorted(drawn) == sorted(SENTENCES)  # not the indication; "Normal." is one word
    assert all(abs(n - 1000) < 100 for n in drawn.values())


def test_one_draw_a_sample():
    rng, other = np.random.default_rng(3), np.random.default_rng(3)
    caption = ReportTexts().texts(make_record(0, report=REPORT), {}, rng)["caption"][0]
    assert caption == SENTENCES[int(other.integers(3))] and rng.random() == other.random()


def test_a_report_without_a_sentence_of_two_words_is_its_own_sentence():
    made = ReportTexts().texts(make_record(0, report={"impression": "Normal."}), {}, np.random.default_rng(0))
    assert made == {"caption": ("Normal.",), "report": ("Normal.",)}


def test_the_whole_report_is_findings_then_impression():
    made = ReportTexts().texts(make_record(0, report=REPORT), {}, np.random.default_rng(0))
    assert made["report"] == (f"{REPORT['findings']}\n\n{REPORT['impression']}",)
    assert described_by({"notes": "Feels ill.", "indication": "Cough."}) == ""


def test_the_vocabulary_holds_every_sentence_once():
    records = [make_record(n, report=REPORT) for n in range(3)]
    assert ReportTexts().vocabulary(None, records) == sorted(SENTENCES)


def test_flips_are_minded_unless_published_so():
    assert ReportTexts().minds_flips and not ReportTexts(flip="as_published").minds_flips
    with pytest.raises(Refused, match=r"prompts\.flip=yes.*as_published"):
        ReportTexts(flip="yes")


def test_words_are_lower_case_and_those_of_findings_and_impression():
    assert split_words("No X-ray, 5.5 CM!") == ["no", "x", "ray", "5", "5", "cm"]
    words = report_words([make_record(0, report=REPORT), make_record(1, report={"impression": "Edema."})])
    assert words == tuple(sorted(set("the heart is normal no pneumothorax 5 cm 1 left effusion 2 edema".split())))


def test_a_long_report_loses_whole_sentences_at_its_end():
    text = "One two three. Four five.\n\nSix seven eight nine."

    def cut(limit):
        return cut_at_sentence(text, lambda one: len(split_words(one)), limit)

    assert cut(9) == text
    assert [cut(limit) for limit in (8, 5)] == ["One two three. Four five."] * 2
    assert [cut(limit) for limit in (4, 3, 1)] == ["One two three."] * 3
