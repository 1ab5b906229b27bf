import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from anatomy_clip.anatomy.labels import label_names, shown_names
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.rng import sample_rng
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.data.augment import ImageAugment
from anatomy_clip.data.dataset import JoinedImages, SliceDataset
from anatomy_clip.text.sampler import PromptSampler

CONF = Path(__file__).resolve().parents[2] / "conf"
TAXONOMY = Taxonomy.load("whole_body")
SHOWN = [{"brain": 9000.0, "skull": 3000.0}, {"liver": 9000.0, "kidney_left": 2000.0}, {}]


def make_record(n):
    mr = n % 2 == 1
    return SliceRecord(
        source="test", split="train", patient=f"p{n}", study="s", series="s", index=n,
        modality=Modality.MR if mr else Modality.CT, protocol=Protocol.T2 if mr else Protocol.NONE,
        orientation=Orientation.CORONAL, structures=SHOWN[n % 3],
    )  # fmt: skip


def make_dataset(n=6, **options):
    images = np.random.default_rng(0).integers(0, 256, (n, 32, 32), dtype=np.uint8)
    prompts = PromptSampler(["{organ} {modality}", "{modality}"])
    options = {"texts": prompts, "augment": ImageAugment(24)} | options
    return SliceDataset(images, [make_record(k) for k in range(n)], TAXONOMY, **options)


def test_item():
    sample = make_dataset()[1, 0]
    assert sample.images.shape == (1, 24, 24) and sample.images.dtype == np.uint8
    shown = {space: shown_names(sample.labels[space], names) for space, names in label_names(TAXONOMY).items()}
    assert shown == {"organ": ("liver", "kidneys"), "station": ("abdomen",), "modality": ("MR",)}
    assert sample.texts == {"caption": ("liver, kidneys MR T2",)}
    assert sample.row == 1


def test_labels_that_nothing_tells_are_unknown():
    sample = make_dataset()[2, 0]
    assert {*sample.labels["organ"], *sample.labels["station"]} == {-1} and all(sample.texts["caption"])


def test_an_organ_that_is_left_open_is_never_said():
    records = [replace(make_record(1), structures={}, organs=("liver", "kidneys"), unsure=("kidneys", "heart"))]
    prompts = PromptSampler(["{organ} {modality}", "{modality}"], some_organs=0.5, shuffle_organs=0.5)
    images = np.zeros((1, 32, 32), np.uint8)
    dataset = SliceDataset(images, records, TAXONOMY, texts=prompts, augment=ImageAugment(24))
    assert {dataset[0, epoch].texts["caption"] for epoch in range(20)} == {("liver MR T2",)}
    organs = dict(zip(TAXONOMY.organs, dataset[0, 0].labels["organ"].tolist(), strict=True))
    assert (organs["liver"], organs["kidneys"], organs["heart"], organs["brain"]) == (1, -1, -1, 0)


def test_without_a_text_source_there_are_no_texts():
    assert make_dataset(texts=None)[0, 0].texts == {}


def test_variants_of_a_row_share_labels_but_not_draws():
    augment = ImageAugment(24, images_per_image=3, noise={"p": 1, "std": [0.05, 0.05]})
    dataset = make_dataset(augment=augment)
    assert len(dataset) == 18
    variants = [dataset[4 + 6 * k, 0] for k in range(3)]
    assert {v.row for v in variants} == {4} and len({v.texts["caption"] for v in variants}) == 1
    assert len({v.images.tobytes() for v in variants}) == 3


def test_one_generator_draws_the_image_first_and_then_the_words():
    augment = ImageAugment(24, rotation={"p": 1, "degrees": [-20, 20]})

    class Draws:
        def texts(self, record, shown, rng):
            return {"caption": (str(rng.random()), str(rng.random()))}

    dataset = make_dataset(augment=augment, texts=Draws(), views=2, seed=7)
    rng = sample_rng(7, 3, 5)
    image = augment(dataset.images[5], rng)
    sample = dataset[5, 3]
    assert (sample.images[0] == image).all()
    assert sample.texts["caption"] == (str(rng.random()), str(rng.random()))
    alone = make_dataset(augment=augment, texts=None, seed=7)[5, 3]
    assert alone.images.shape == (1, 24, 24) and (alone.images[0] == image).all()
    # a further view draws by itself
    assert (sample.images[1] == augment(dataset.images[5], sample_rng(7, 3, 5, 1))).all()
    assert (sample.images[1] != image).any()


def test_flips_break_no_caption():

    with initialize_config_dir(str(CONF), version_base="1.3"):
        for name in ("organs", "organs_stations", "augmented"):
            prompts = instantiate(compose(overrides=[f"+prompts={name}"]).prompts, taxonomy=TAXONOMY)
            dataset = make_dataset(texts=prompts)
            texts = [text for n in range(6) for e in range(20) for text in dataset[n, e].texts["caption"]]
            texts += prompts.vocabulary(TAXONOMY)
            assert not [t for t in texts if re.search(r"\b(left|right|upper|top|bottom)\b", t, re.IGNORECASE)]


def test_stacked_images():
    parts = [np.full((n, 2, 2), n, np.uint8) for n in (2, 0, 3)]
    joined = JoinedImages(parts)
    assert len(joined) == 5 and len(JoinedImages([])) == 0
    assert [int(joined[k][0, 0]) for k in range(5)] == [2, 2, 3, 3, 3]


def test_missing_image_is_one_clear_message():
    with pytest.raises(ValueError, match=r"validation: the manifest lists 3 slice\(s\), but the store holds 2"):
        SliceDataset(
            np.zeros((2, 8, 8), np.uint8), [make_record(k) for k in range(3)], TAXONOMY,
            augment=ImageAugment(8), name="validation",
        )  # fmt: skip
