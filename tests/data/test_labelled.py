"""A share of the labels in training: whose films are seen, and which of their labels are known."""

import numpy as np
import pytest
import torch
from films import SIDE, make_record

from anatomy_clip.anatomy.classes import ClassSet
from anatomy_clip.anatomy.findings import FindingSet
from anatomy_clip.core.radiographs import Finding
from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.terms import State
from anatomy_clip.data.augment import ImageAugment
from anatomy_clip.data.datamodule import SliceDataModule
from anatomy_clip.evaluation.class_probe import ClassProbe
from anatomy_clip.evaluation.embedded import EmbeddedSet
from anatomy_clip.evaluation.linear_probe import LinearProbe
from anatomy_clip.stores.label_shares import draw_share
from anatomy_clip.stores.selection import first_patients
from anatomy_clip.stores.store import Store, write_store

PATIENTS = 40  # of two films each; every fifth shows a consolidation on both, every eighth an edema; some state neither
NAMES = ("consolidation", "edema", "no_finding")
FINDINGS, CLASSES = FindingSet(NAMES[:2]), ClassSet(("no_finding", "consolidation"))
BATCH = 4


def findings_of(n):
    shown = [n % 5 == 0, n % 8 == 1, n % 5 != 0 and n % 8 != 1]
    stated = {name: Finding(State.POSITIVE if one else State.NEGATIVE) for name, one in zip(NAMES, shown, strict=True)}
    return {} if n % 7 == 3 else stated


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder, paths = tmp_path_factory.mktemp("stores"), {}
    for split in ("train", "validation", "test"):
        records = [
            make_record(n, split, patient=f"{split}-{n // 2}", findings=findings_of(n // 2))
            for n in range(2 * PATIENTS)
        ]  # fmt: skip
        images = np.random.default_rng(sum(map(ord, split))).integers(0, 256, (2 * PATIENTS, SIDE, SIDE), np.uint8)
        write_store(folder / split, images, records, {})
        paths[split] = str(folder / split)
    return paths


def make(stores, share, draw=0, taxonomy=FINDINGS, **options):
    given = {"least_positives": 2, "batch_size": BATCH, "seed": 3, "epoch_batches": 40}  # two passes and more
    data = SliceDataModule(
        [stores["train"]], {"v": stores["validation"]}, {"test": stores["test"]}, taxonomy=taxonomy, texts=None,
        kinds=(), augment=ImageAugment(SIDE), label_share=share, label_draw=draw, **given | options,
    )  # fmt: skip
    data.setup("fit")
    return data


def stored(data):
    """The records and images of the training store."""
    store = Store.open(data.train_paths[0], kind=None)
    return store.manifest, store.images


def seen(data, space="finding"):
    """Film -> its labels, of the films of an epoch."""
    batches = list(data.train_dataloader())
    assert all(len(batch) == BATCH for batch in batches)
    images = [one.image for one in data.training_records()]
    rows = torch.cat([batch.rows for batch in batches]).tolist()
    labels = torch.cat([batch.labels[space] for batch in batches]).tolist()
    pixels = {one.image: image for one, image in zip(*stored(data), strict=True)}
    shown = torch.cat([batch.images for batch in batches])[:, 0].numpy()
    assert all(np.array_equal(image, pixels[images[row]]) for row, image in zip(rows, shown, strict=True))
    found = {images[row]: known for row, known in zip(rows, labels, strict=True)}
    assert all(found[images[row]] == known for row, known in zip(rows, labels, strict=True))
    return found


def probe_set(stores):
    """The training films as a probe gets them."""
    data = SliceDataModule(
        [stores["train"]], {}, {}, taxonomy=FINDINGS, texts=None, kinds=(), augment=ImageAugment(SIDE), batch_size=BATCH
    )
    labels = np.array([FINDINGS.vector(one) for one in data.training_records()])
    return EmbeddedSet(None, None, {"finding": labels}, tuple(range(len(labels))), data.training_records())


@pytest.mark.parametrize("draw", [0, 2])
@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
def test_each_finding_is_known_of_the_films_that_the_linear_probe_is_fitted_on(stores, share, draw):
    train = probe_set(stores)
    drawn = LinearProbe(FINDINGS, space="finding", least_positives=2)._drawn(train, share, 0, 3, draw)
    data = make(stores, share, draw)
    expected = {
        train.records[n].image: np.where(drawn[n], train.labels["finding"][n], -1).tolist()
        for n in np.flatnonzero(drawn.any(axis=1))
    }  # fmt: skip
    assert seen(data) == expected
    owners = train.records.owners()
    known = data.labelled()
    assert (known.share, known.draw) == (share, draw)
    assert known.patients == tuple(len({owners[n] for n in np.flatnonzero(rows)}) for rows in drawn.T)


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_of_classes_the_films_are_those_of_the_probe_of_classes(stores, share):
    data, train = make(stores, share, 1, CLASSES), probe_set(stores)
    classes = ClassProbe(FINDINGS, classes=CLASSES.classes)._labels(train)
    drawn = draw_share(train.records.owners(), classes, share, 2, 3, 1)  # as in `ClassProbe.predict`
    vectors = {r.image: CLASSES.vector(r).tolist() for n, r in enumerate(train.records) if drawn[n]}
    assert seen(data, "class") == vectors and -1 not in {x for v in vectors.values() for x in v}
    assert len(set(data.labelled().patients)) == 1


def test_a_smaller_share_lies_within_a_larger_one_and_no_patient_of_the_test_is_in_any(stores):
    owners = [set(make(stores, share).training_records().owners()) for share in (0.05, 0.3, 1.0)]
    assert owners[0] < owners[1] < owners[2] and len(owners[2]) < PATIENTS  # who states nothing is never seen
    tests = set(make(stores, 1.0).test_sets()["test"][1].owners())
    assert not tests & owners[2]
    other = set(make(stores, 0.05, 1).training_records().owners())
    assert other != owners[0]


def test_the_share_is_drawn_of_those_patients_that_are_trained_on(stores):
    data = make(stores, 0.5, train_patients=20)
    whole = make(stores, None)
    few = {whole.training_records()[n].patient for n in first_patients(whole.training_records(), 20, 3)}
    assert {one.patient for one in data.training_records()} < few
    assert set(seen(data)) == {one.image for one in data.training_records()}


def test_without_a_share_all_labels_are_known(stores):
    data = make(stores, None, epoch_batches=0)
    assert len(seen(data)) == 2 * PATIENTS == BATCH * len(data.train_dataloader()) and data.labelled()[:2] == (1.0, 0)
    stating = sum(findings_of(n) != {} for n in range(PATIENTS))
    assert data.labelled().patients == (stating, stating)


def test_what_is_no_share_or_shows_nothing_is_refused(stores):
    for share in (0, -0.1, 1.5):
        with pytest.raises(Refused, match=rf"data\.label_share={share}: this is not a share"):
            make(stores, share)
    with pytest.raises(Refused, match=r"data\.train: no training film shows nodule; leave it out of the taxonomy"):
        make(stores, 0.5, taxonomy=FindingSet(["edema", "nodule"]))
