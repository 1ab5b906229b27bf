"""The data module on radiographs with reports."""

from pathlib import Path

import numpy as np
import pytest
import torch
from films import REPORTS, make_film_store

from anatomy_clip.anatomy.findings import FindingSet
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.data.augment import ImageAugment
from anatomy_clip.data.datamodule import SliceDataModule
from anatomy_clip.models.words import WordTokenizer
from anatomy_clip.stores.store import write_store
from anatomy_clip.stores.vocabulary import read_vocabulary
from anatomy_clip.text.report_texts import ReportTexts
from anatomy_clip.text.sampler import PromptSampler

ORGANS = Taxonomy.load("whole_body")
FINDINGS = FindingSet(("pleural_effusion", "cardiomegaly", "pneumothorax", "nodule"))
FLIP = {"p": 0.5}


@pytest.fixture
def stores(tmp_path):
    return {name: str(make_film_store(tmp_path / name)) for name in ("train", "validation", "test")}


def make(stores, **options):
    given = {
        "train": [stores["train"]], "validation": {"films": stores["validation"]}, "test": {"test": stores["test"]},
        "taxonomy": FINDINGS, "texts": ReportTexts(), "kinds": ("caption", "report"), "augment": ImageAugment(24),
        "batch_size": 4, "seed": 3, "context_length": 14,
        "tokenizer": WordTokenizer(read_vocabulary(Path(stores["train"]))),
    }  # fmt: skip
    return SliceDataModule(**given | options)


def batches(data, epochs=1):
    data.setup("fit")
    loader = data.train_dataloader()
    made = []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        made += list(loader)
    return made


def words(data, texts):
    """The words of each text of a batch."""
    return [" ".join(data.tokenizer.vocabulary[n - 4] for n in row[row > 2].tolist()) for row in texts.ids]


def test_a_batch_holds_a_sentence_a_report_and_the_labels_of_findings(stores):
    data = make(stores)
    sentences = [{"the heart is normal", "there is a small left pleural effusion", "left effusion"},
                 {"lungs are clear", "no pneumothorax"}]  # fmt: skip
    labels = [[1, 0, -1, -1], [-1, -1, 0, -1]]
    # 15 tokens with start and end are one too many for the context: the last sentence goes
    reports = ["the heart is normal there is a small left pleural effusion", "lungs are clear no pneumothorax normal"]
    for batch in batches(data, 2):
        which = [row % 2 for row in batch.rows.tolist()]
        assert all(said in sentences[n] for n, said in zip(which, words(data, batch.texts["caption"]), strict=True))
        assert words(data, batch.texts["report"]) == [reports[n] for n in which]
        assert batch.labels["finding"].tolist() == [labels[n] for n in which]
        for texts in batch.texts.values():
            assert torch.equal(texts.mask, texts.ids != 0) and (texts.ids[:, 0] == 1).all()
            assert torch.equal(texts.word >= 0, texts.ids > 2)


def test_cut_reports_are_counted(stores, capsys):
    make(stores).setup("fit")
    assert "the reports of 4 of 8 films are longer than the context of 14 tokens" in capsys.readouterr().out
    make(stores, context_length=20).setup("fit")
    make(stores, kinds=("caption",)).setup("fit")
    assert capsys.readouterr().out == ""


def test_only_the_kinds_of_text_that_are_wanted_are_made(stores):
    assert {*batches(make(stores, kinds=("caption",)))[0].texts} == {"caption"}
    assert batches(make(stores, texts=None, kinds=()))[0].texts == {}


def test_sentences_change_from_epoch_to_epoch_and_all_draws_are_the_same_with_workers(stores):
    augment = ImageAugment(24, crop={"p": 1, "scale": [0.6, 1.0], "ratio": [1, 1]})

    def drawn(workers):
        made = batches(make(stores, augment=augment, views=2, workers=workers), 3)
        texts = [{kind: one.ids.tolist() for kind, one in batch.texts.items()} for batch in made]
        return texts, [(batch.rows.tolist(), batch.images.tolist(), batch.labels["finding"].tolist()) for batch in made]

    alone = drawn(0)
    assert len({str(one["caption"]) for one in alone[0]}) == 6
    assert drawn(1) == alone and drawn(2) == alone


def organ_store(path):
    record = SliceRecord(
        "s", "train", "p", "s", "1", 0, Modality.CT, Protocol.NONE, Orientation.AXIAL, organs=("liver",)
    )
    write_store(path, np.zeros((4, 8, 8), np.uint8), [record] * 4, {})
    return str(path)


PROMPTS = PromptSampler(["{organ} {modality}", "{modality}"])


def test_a_store_of_the_other_kind_is_refused(stores, tmp_path):
    slices = organ_store(tmp_path / "slices")
    with pytest.raises(
        Refused, match="slices: holds slices, but the taxonomy is for radiographs; set taxonomy=whole_body"
    ):
        make(stores, train=[slices]).setup("fit")
    with pytest.raises(Refused, match=r"test: holds slices.*set taxonomy=whole_body"):
        organ_store(Path(stores["test"]))
        make(stores).setup("test")
    with pytest.raises(Refused, match="holds radiographs, but the taxonomy is for slices; set taxonomy=findings"):
        make(stores, taxonomy=ORGANS, texts=PROMPTS).setup("fit")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"texts": PROMPTS}, "make texts of slices, not of radiographs; set prompts=report_sentence"),
        ({"kinds": ("caption", "answer")}, "the objective also needs answer"),
        (
            {"augment": ImageAugment(24, horizontal_flip=FLIP)},
            r"sides in the reports would be wrong.*prompts\.flip=as_published",
        ),
        ({"augment": ImageAugment(24, vertical_flip=FLIP)}, "sides in the reports would be wrong"),
        ({"context_length": 8}, "caption of 9 tokens is longer than the model's context of 8"),
    ],
)
def test_texts_that_do_not_fit_are_refused(stores, options, said):
    with pytest.raises(ValueError, match=said):
        make(stores, **options).setup("fit")


@pytest.mark.parametrize(
    "options",
    [{"texts": ReportTexts(flip="as_published")}, {"texts": None, "kinds": ()}, {"augment": ImageAugment(24)}],
)
def test_flips_are_allowed_as_published_and_without_texts(stores, options):
    given = {"augment": ImageAugment(24, horizontal_flip=FLIP)} | options
    assert len(batches(make(stores, **given))) == 2


def test_a_training_store_with_a_film_that_nothing_is_written_of_is_refused_where_texts_are_wanted(stores, tmp_path):
    mute = str(make_film_store(tmp_path / "mute", report={"notes": REPORTS[0]["findings"]}))
    with pytest.raises(Refused, match=r"mute: 8 of 8 film\(s\).*no report with findings or impression"):
        make(stores, train=[mute]).setup("fit")
    assert batches(make(stores, train=[mute], texts=None, kinds=()))


def test_a_patient_in_training_and_in_a_test_is_refused(stores, tmp_path):
    leaky = str(make_film_store(tmp_path / "leaky", patient="train-3"))
    with pytest.raises(ValueError, match="leakage: same patient"):
        make(stores, test={"test": leaky}).setup("fit")
