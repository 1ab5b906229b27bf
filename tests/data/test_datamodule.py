import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import lightning
import numpy as np
import pytest
import torch
from batches import captions

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.data import guards
from anatomy_clip.data.augment import ImageAugment
from anatomy_clip.data.datamodule import SliceDataModule
from anatomy_clip.stores.store import DIGESTS, pixel_digest, write_store
from anatomy_clip.text.sampler import PromptSampler

TAXONOMY = Taxonomy.load("whole_body")
PROMPTS = PromptSampler(["{organ} {modality}", "{modality}"], shuffle_organs=0.5)
AUGMENT = {
    "images_per_image": 2,
    "rotation": {"p": 0.5, "degrees": [-15, 15]},
    "crop": {"p": 0.5, "scale": [0.5, 1], "ratio": [1, 1]},
    "clahe": {"p": 0.5, "clip_limit": [1, 4], "tiles": 2},
    "noise": {"p": 0.5, "std": [0.01, 0.1]},
}
SHOWN = {"liver": 9000.0, "kidney_left": 2000.0, "spleen": 3000.0, "small_bowel": 4000.0}


def store(name, count, *, patients=None, images=None):
    records = [
        SliceRecord(
            source="test", split=name, patient=patients or f"{name}-{n // 2}", study="s", series="s", index=n,
            modality=Modality.CT, protocol=Protocol.NONE, orientation=Orientation.AXIAL, structures=SHOWN,
        )
        for n in range(count)
    ]  # fmt: skip
    pixels = np.random.default_rng(count).integers(0, 256, (images or count, 32, 32), dtype=np.uint8)
    digests = np.array([list(pixel_digest(pixels[n % len(pixels)])) for n in range(count)], np.uint8)
    return SimpleNamespace(images=pixels, manifest=Manifest(records), arrays={DIGESTS: digests})


@pytest.fixture
def stores(monkeypatch):
    made = {
        "train": store("train", 13), "more": store("more", 7), "val_a": store("val_a", 5),
        "val_b": store("val_b", 3),
        "test_a": store("test_a", 6), "leaky": store("leaky", 4, patients="train-3"),
        "torn": store("torn", 4, images=3),
    }  # fmt: skip
    monkeypatch.setattr(guards.Store, "open", staticmethod(lambda path, kind: made[Path(path).name]))
    return made


def make(**options):
    given = {
        "train": ["train", "more"], "validation": {"a": "val_a", "b": "val_b"}, "test": {"set1": "test_a"},
        "taxonomy": TAXONOMY, "texts": PROMPTS,
        "augment": ImageAugment(24, **AUGMENT), "batch_size": 4, "seed": 3,
    }  # fmt: skip
    return SliceDataModule(**given | options)


def digest(batch):
    tensors = (batch.images, captions(batch), *batch.labels.values(), batch.rows)
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in tensors)).hexdigest()


def epochs(data, count=2):
    data.setup("fit")
    loader = data.train_dataloader()
    out = []
    for epoch in range(count):
        loader.sampler.set_epoch(epoch)
        out.append([digest(batch) for batch in loader])
    return out


@pytest.mark.parametrize("a_sample", [1, 3])
def test_batches_are_the_same_with_and_without_workers(stores, a_sample):
    prompts = PromptSampler(["{organ} {modality}", "{modality}"], shuffle_organs=0.5, captions_per_image=a_sample)
    alone, two = epochs(make(texts=prompts)), epochs(make(texts=prompts, workers=2))
    assert alone == two
    assert len(alone[0]) == 2 * 20 // 4
    assert len({*alone[0], *alone[1]}) == 20  # no batch twice, in either epoch
    assert epochs(make(texts=prompts, seed=4)) != alone


def test_batches_do_not_follow_global_random_state(stores):
    first = epochs(make())
    torch.manual_seed(9)
    np.random.seed(9)
    assert epochs(make()) == first


def test_validation_and_test_batches_are_plain(stores):
    data = make()
    data.setup("fit")
    loaders = data.val_dataloader()
    assert [[b.rows.tolist() for b in loader] for loader in loaders] == [[[0, 1, 2, 3], [4]], [[0, 1, 2]]]
    data = make()
    data.setup("test")
    (loader, manifest) = data.test_sets()["set1"]
    assert [r for b in loader for r in b.rows.tolist()] == list(range(6)) and len(manifest) == 6
    batch = next(iter(loader))
    assert batch.images.shape == (4, 1, 24, 24) and not batch.texts
    assert [TAXONOMY.organs[k] for k in batch.labels["organ"][0].nonzero()[:, 0]] == ["liver", "kidneys", "intestine"]


@pytest.mark.parametrize("workers", [0, 2])
def test_stores_on_disk_give_the_batches_of_arrays_in_memory(stores, monkeypatch, tmp_path, workers):
    expected = epochs(make(), 1)
    monkeypatch.undo()
    for name, made in stores.items():
        if name != "torn":
            write_store(tmp_path / name, made.images, made.manifest, {})
    at = {name: tmp_path / name for name in stores}
    data = make(
        train=[at["train"], at["more"]], validation={"a": at["val_a"]}, test={"set1": at["test_a"]}, workers=workers
    )  # fmt: skip
    assert epochs(data, 1) == expected


def test_joined_stores_keep_images_beside_their_records(stores):
    data = make(augment=ImageAugment(32))
    data.setup("fit")
    images = np.concatenate([stores["train"].images, stores["more"].images])
    for batch in data.train_dataloader():
        assert (batch.images[:, 0].numpy() == images[batch.rows.numpy()]).all()


class Watcher(lightning.LightningModule):
    """Keeps a digest of every batch that training gives it, with its epoch."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def training_step(self, batch, index):
        self.seen.append((self.current_epoch, digest(batch)))
        return (self.weight - batch.images.float().mean() / 255).square().sum()

    def validation_step(self, batch, index, dataloader_idx=0):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(folder, data, max_epochs, checkpoint=None):
    watcher = Watcher()
    trainer = lightning.Trainer(
        max_epochs=max_epochs, accelerator="cpu", logger=False, enable_checkpointing=False,
        default_root_dir=folder,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(watcher, datamodule=data, ckpt_path=checkpoint)
    trainer.save_checkpoint(folder / "last.ckpt")
    return watcher


@pytest.mark.parametrize("workers", [0, 2])
def test_lightning_sets_the_epoch_and_a_resumed_run_goes_on_exactly(stores, tmp_path, workers):
    whole = fit(tmp_path, make(workers=workers), 3)
    expected = [(epoch, d) for epoch, batches in enumerate(epochs(make(), 3)) for d in batches]
    assert whole.seen == expected
    first = fit(tmp_path, make(workers=workers), 1)
    second = fit(tmp_path, make(workers=workers), 3, tmp_path / "last.ckpt")
    assert first.seen + second.seen == expected
    assert torch.equal(whole.weight, second.weight)


def test_ranks_share_the_batches(stores):
    def rows(rank, world, size):
        data = make(batch_size=size)
        done = SimpleNamespace(batch_progress=SimpleNamespace(current=SimpleNamespace(completed=0)))
        loop = SimpleNamespace(epoch_loop=done)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world, current_epoch=0, fit_loop=loop)
        data.setup("fit")
        return [batch.rows.tolist() for batch in data.train_dataloader()]

    one = [sorted(batch) for batch in rows(0, 1, 4)]
    two = [sorted(a + b) for a, b in zip(rows(0, 2, 2), rows(1, 2, 2), strict=True)]
    assert one == two


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"test": {"set1": "leaky"}},
            r"^leakage: same patient: data\.train \(train\), row 6 \(test/train\); data\.test\.set1 \(leaky\), row 0 ",
        ),
        (
            {"validation": {"a": "leaky"}},
            r"patient: data\.train \(train\), row 6 .*; data\.validation\.a \(leaky\), row 0",
        ),
        (
            {"train": ["more"], "validation": {"a": "train"}, "test": {"set1": "leaky"}},
            r"patient: data\.validation\.a \(train\), row 6 .*; data\.test\.set1 \(leaky\), row 0",
        ),
        (
            {"test": {"set1": "more"}},
            r"leakage: more is in data\.train and in data\.test\.set1; remove it from one of them",
        ),
        ({"train": ["train", "torn"]}, r"torn: the manifest lists 4 slice\(s\).*holds 3"),
        ({"texts": PromptSampler(["{organ} " * 20, "{modality}"])}, "longer than the model's context"),
        ({"context_length": 8}, "context of 8"),
        ({"batch_size": 64}, "smaller batch_size"),
        ({"train": []}, "no training store"),
    ],
)
def test_bad_data_is_one_clear_message(stores, options, message):
    with pytest.raises(ValueError, match=message):
        epochs(make(**options))


def test_a_test_set_may_join_several_stores(stores):
    data = make(test={"set1": ["test_a", "val_a"]})
    data.setup("test")
    (loader, manifest) = data.test_sets()["set1"]
    assert len(manifest) == 11 and manifest[6].patient == "val_a-0"
    shown = np.concatenate([batch.images[:, 0].numpy() for batch in loader])
    alone = [make(test={"one": name}) for name in ("test_a", "val_a")]
    for one in alone:
        one.setup("test")
    expected = [batch.images[:, 0].numpy() for one in alone for batch in one.test_sets()["one"][0]]
    np.testing.assert_array_equal(shown, np.concatenate(expected))
    with pytest.raises(ValueError, match=r"data\.test\.set1 \(leaky\), row 0"):
        make(test={"set1": ["test_a", "leaky"]}).setup("test")


def test_one_store_may_be_validation_and_test(stores):
    make(test={"set1": "val_a"}).setup("test")


def test_a_training_store_without_labels_is_refused_to_methods_that_need_them(stores):
    def bare(**fields):
        return Manifest(replace(record, structures={}, **fields) for record in stores["more"].manifest)

    stores["more"].manifest = bare()
    message = r"^more: a training store without labels: none of its 7 slice\(s\) states an organ or a station, and none"
    with pytest.raises(ValueError, match=message):
        make().setup("fit")
    make(texts=None, views=2).setup("fit")  # images alone
    make(train=["train"], test={"set1": "more"}).setup("fit")  # predicted only
    for fields in ({"stations": ("chest",)}, {"organs": ("liver",)}, {"caption": "An axial CT."}):
        stores["more"].manifest = bare(**fields)
        make().setup("fit")


def test_a_validation_set_smaller_than_the_number_of_ranks_is_refused(stores):
    def loaders(world):
        data = make()
        data.trainer = SimpleNamespace(global_rank=0, world_size=world)
        return data.val_dataloader()

    assert len(loaders(3)) == 2
    with pytest.raises(ValueError, match=r"set 'b': holds 3 slice\(s\), fewer than one for each of 4 ranks"):
        loaders(4)


def test_a_store_that_is_validation_and_test_is_compared_with_other_tests(stores):
    with pytest.raises(
        ValueError, match=r"data\.validation\.a and data\.test\.one \(train\), row 6 .*set1 \(leaky\), row 0"
    ):
        make(train=["more"], validation={"a": "train"}, test={"one": "train", "set1": "leaky"}).setup("test")


@pytest.mark.parametrize("role", ["validation", "test"])
def test_leaks_across_sources_are_refused_without_an_id(stores, role):
    def patients(name, source, ids, seed):
        made = store(name, len(ids))
        made.manifest = Manifest(
            replace(record, source=source, patient=patient) for record, patient in zip(made.manifest, ids, strict=True)
        )
        made.arrays[DIGESTS][:] = np.random.default_rng(seed).integers(0, 256, (len(ids), 16))
        return made

    stores["train"] = patients("train", "lidc", ["1", "LIDC-IDRI-0007", "s0001", "PMC0012"], 1)
    stores["other"] = patients("other", "nodules", ["2", "1", "s1"], 2)
    stores["planted"] = patients("planted", "nodules", ["2", "1", "lidc_7", "pmcid: pmc12"], 3)
    given = {"train": ["train"], "validation": {}, "test": {}}
    make(**given | {role: {"a": "other"}}).setup("test")
    with pytest.raises(ValueError, match=r"leakage: same patient, spelled in two ways: ") as refused:
        make(**given | {role: {"a": "planted"}}).setup("test")
    said = str(refused.value)
    for row in (1, 3):
        assert f"data.train (train), row {row} (lidc/train)" in said
    for row in (2, 3):
        assert f"data.{role}.a (planted), row {row} (nodules/planted)" in said
    assert "7" not in said and "12" not in said  # no id


def test_equal_pixels_of_another_patient_are_refused(stores):
    copied = stores["test_a"]
    copied.images[[1, 4]] = stores["more"].images[[2, 5]]
    copied.arrays[DIGESTS][[1, 4]] = stores["more"].arrays[DIGESTS][[2, 5]]
    said = r"leakage: same pixels in 1 slice\(s\): data\.train \(more\), row 2 .*; data\.test\.set1 \(test_a\), row 1 "
    with pytest.raises(ValueError, match=said + ".*row 5 .*row 4"):
        make().setup("test")


def test_optional_test_sets_may_be_absent(stores, tmp_path):
    (tmp_path / "test_a").mkdir()
    there, absent = tmp_path / "test_a", tmp_path / "samples"
    data = make(test={"set1": there, "samples": absent}, optional=["samples", "set1"])
    data.setup("test")
    assert data.absent_tests() == ["samples"] and list(data.test_sets()) == ["set1"]


def test_a_few_patients_train_and_all_others_stay_what_they_are(stores):
    data = make(train_patients=3, augment=ImageAugment(32), batch_size=2)
    data.setup("fit")
    whole = [*stores["train"].manifest, *stores["more"].manifest]
    kept = data._train.records
    assert len({record.patient for record in kept}) == 3
    assert list(kept) == [record for record in whole if record.patient in {r.patient for r in kept}]
    images = np.concatenate([stores["train"].images, stores["more"].images])
    of_kept = images[[whole.index(record) for record in kept]]
    for batch in data.train_dataloader():
        assert (batch.images[:, 0].numpy() == of_kept[batch.rows.numpy()]).all()
    assert len(data.val_dataloader()[0].dataset) == 5
    with pytest.raises(ValueError, match="the training stores have 11"):
        make(train_patients=99).setup("fit")


@pytest.mark.parametrize(("kind", "waits"), [("cuda", False), ("cpu", True)])
def test_a_gpu_gets_its_batch_while_the_step_before_still_runs(stores, kind, waits):
    given = []

    class Spy:
        def to(self, device, non_blocking):
            given.append((device.type, non_blocking))
            return "moved"

    assert make().transfer_batch_to_device(Spy(), torch.device(kind), 0) == "moved"
    assert given == [(kind, not waits)]


def test_stores_that_are_tested_are_left_out_of_training(stores):
    sets = {
        "train": ["train", "more", "val_a", "test_a"],
        "validation": {"inner": "val_a"},
        "test": {"held_out": ["test_a"], "b": "val_b"},
    }
    data = make(**sets, leave_out_tested=True)
    data.setup("fit")
    assert {record.split for record in data.training_records()} == {"train", "more"}
    with pytest.raises(ValueError, match=r"leakage: val_a is in data\.train and in data\.validation"):
        make(**sets).setup("fit")
    with pytest.raises(ValueError, match="leakage: same patient"):  # the guards stay what they are
        make(**sets | {"train": ["train", "leaky"], "test": {"held_out": "leaky"}}, leave_out_tested=True).setup("fit")


def test_training_draws_are_balanced_by_patient(stores):
    data = make(balance={"test": 1.0}, rare_below=0.5)
    data.setup("fit")
    weights = data.train_dataloader().sampler.weights
    by_patient = {}
    for record, weight in zip(data.training_records(), weights, strict=True):
        by_patient.setdefault(record.patient, []).append(weight)
    votes = {len(rows): sum(rows) for rows in by_patient.values()}
    assert set(votes) == {1, 2}
    assert votes[2] / votes[1] == pytest.approx(2**0.5)
