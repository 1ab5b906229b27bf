"""Stores to loaders: training, validation and named test sets, guarded against leakage."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.utils.data import Sampler

from anatomy_clip.anatomy.labels import LabelSet
from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.types import Batch
from anatomy_clip.data.augment import ImageAugment
from anatomy_clip.data.collate import Collate
from anatomy_clip.data.dataset import ChosenImages, JoinedImages, SliceDataset
from anatomy_clip.data.guards import (
    open_labelled,
    refuse_leakage,
    refuse_unfit_texts,
    refuse_unlabelled,
    say_what_is_cut,
)
from anatomy_clip.data.labelled import Chosen, Labelled, LabelShare, choose, labelled, only_labelled
from anatomy_clip.data.loader import Loader, start_worker
from anatomy_clip.data.masks import JoinedMasks
from anatomy_clip.data.sampler import EpochSampler, OrderedSampler
from anatomy_clip.data.shares import Weighing
from anatomy_clip.models.tokenizers import CLIP_TOKENIZER, CONTEXT_LENGTH, Tokenizer, tokenize
from anatomy_clip.stores.store import Stores, store_paths
from anatomy_clip.stores.training import training_stores
from anatomy_clip.text.source import CAPTION, REPORT, TextSource


class SliceDataModule(lightning.LightningDataModule):
    """Loaders of `Batch` over stores of slices or of radiographs, as the taxonomy is.

    Use it with `use_distributed_sampler=False`: its own samplers shuffle. Any number of workers gives the same batches.

    Args:
        train: folders of the training stores; their slices are joined.
        validation: validation set name -> folder of its store, or of several that are joined.
        test: test set name -> folder of its store, or of several that are joined.
        optional: names of test sets that are left out where a store of theirs is missing.
        batch_size: slices in a batch of one rank.
        workers: processes that make batches; 0 = the training process itself.
        seed: seed of shuffle, image draws and caption draws.
        taxonomy: labels the records.
        texts: makes training texts; None: there are none. Validation and test batches have none.
        kinds: of text that are wanted.
        views: image views of a training sample.
        augment: draws training images; validation and test images are only resized to its size.
        context_length: tokens that the model's text tower takes.
        tokenizer: the model's, see `tokenizers.tokenize`.
        shares: source -> its share of the training draws, whatever its size; None: every slice equally often.
        rare_below: labels that a smaller share of slices shows come up more often, see `shares.repeat_weights`.
        balance: slices are drawn by source and patient, and these sources get these shares of the draws, see
            `shares.balanced_weights`; goes with `rare_below`. None: they aren't.
        leave_out_tested: training stores that a validation or test set names too aren't trained on, so that a fold of a
            cross-validation is said by its tests alone.
        label_share: train on the labels of a share of the patients only, see `labelled.LabelShare`; None: on all.
        label_draw: number of the draw of these patients.
        least_positives: see `labelled.LabelShare`.
        epoch_batches: that an epoch has at least, see `EpochSampler`.
        train_patients: train on so many patients only, see `selection.first_patients`; None: on all.
        earlier_patients: hashes (see `leakage.patient_hashes`) of those that the weights were trained on before.
    """

    def __init__(
        self,
        train: Sequence[str | Path],
        validation: Mapping[str, Stores],
        test: Mapping[str, Stores],
        *,
        taxonomy: LabelSet,
        texts: TextSource | None,
        kinds: Sequence[str] = (CAPTION,),
        augment: ImageAugment,
        batch_size: int,
        workers: int = 0,
        views: int = 1,
        optional: Sequence[str] = (),
        seed: int = 0,
        context_length: int = CONTEXT_LENGTH,
        tokenizer: Tokenizer = CLIP_TOKENIZER,
        shares: Mapping[str, float] | None = None,
        rare_below: float | None = None,
        balance: Mapping[str, float] | None = None,
        leave_out_tested: bool = False,
        label_share: float | None = None,
        label_draw: int = 0,
        least_positives: int = 10,
        epoch_batches: int = 0,
        train_patients: int | None = None,
        earlier_patients: Collection[str] = (),
    ) -> None:
        super().__init__()
        sets = {"train": train, "validation": validation, "test": test, "leave_out_tested": leave_out_tested}
        self.train_paths = training_stores(sets)
        self.validation_paths = {name: store_paths(stores) for name, stores in validation.items()}
        self.test_paths = {name: store_paths(stores) for name, stores in test.items()}
        self.optional = tuple(optional)
        self.taxonomy = taxonomy
        self.texts = texts
        self.kinds = tuple(kinds)
        self.views = views
        self.augment = augment
        self.batch_size = batch_size
        self.workers = workers
        self.seed = seed
        self.context_length = context_length
        self.tokenizer = tokenizer
        self.weighing = Weighing(shares, rare_below, balance)
        self.label_share = None if label_share is None else LabelShare(label_share, label_draw, least_positives)
        self.epoch_batches = epoch_batches
        self.train_patients = train_patients
        self.earlier_patients = frozenset(earlier_patients)
        self._open = cache(partial(open_labelled, taxonomy.kind))

    def absent_tests(self) -> list[str]:
        """Names of optional test sets whose store isn't there."""
        return [n for n, paths in self.test_paths.items() if n in self.optional and not all(p.exists() for p in paths)]

    def setup(self, stage: str) -> None:
        """Open the stores, refuse leakage, and for "fit" make the training set.

        Raises:
            ValueError: a store is missing or broken, a patient stands in training (an earlier run's too) and in
                another set or in a validation and another test store, a training store can't teach what texts say, or
                a caption could exceed the context.
        """
        tests = self._present_tests()
        refuse_leakage(self.train_paths, self.validation_paths, tests, self._open, self.earlier_patients)
        if stage != "fit":
            return
        if not self.train_paths:
            raise ValueError("data.train has no training store; give at least one folder that prepare made")
        whole = self._join(self.train_paths, "training data", self.augment, self.texts, self.views)
        self._train = self._of_some_patients(whole)
        if self.texts is not None:
            refuse_unfit_texts(self.texts, self.kinds, self.taxonomy.kind, self.augment.flips)
            refuse_unlabelled(whole.labels, {path: self._open(path).manifest for path in self.train_paths})
            longest = self.texts.vocabulary(self.taxonomy, self.training_records())
            tokenize(longest, self.context_length, self.tokenizer)  # refuses texts that are too long
            if REPORT in self.kinds and not self._rank()["rank"]:
                say_what_is_cut(self.training_records(), Collate(self.context_length, self.tokenizer))

    def train_dataloader(self) -> Loader:
        """The loader of this rank's share of the training set."""
        trainer = self.trainer
        sampler = EpochSampler(
            len(self._train.records),
            self.seed,
            batch_size=self.batch_size,
            images_per_image=self.augment.images_per_image,
            least_batches=self.epoch_batches,
            position=partial(_position, trainer) if trainer is not None else None,
            weights=self.weighing.weights(self.training_records(), next(iter(self._train.labels.values()))),
            **self._rank(),
        )
        return self._loader(self._train, sampler, persistent=True)

    def val_dataloader(self) -> list[Loader]:
        """One loader a validation set, in the order in which they were given."""
        return [self._evaluation(name, paths)[0] for name, paths in self.validation_paths.items()]

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch to the trainer's device; to a GPU, from pinned memory, while the step before still runs."""
        return batch.to(device, non_blocking=device.type == "cuda")

    def test_sets(self) -> dict[str, tuple[Loader, Manifest[Any]]]:
        """Test set name -> (its loader, the manifest that `Batch.rows` points into); without absent ones."""
        return {name: self._evaluation(name, paths) for name, paths in self._present_tests().items()}

    def test_masks(self, name: str) -> JoinedMasks:
        """Row of a test set's manifest -> the masks of its image, as large as the images of batches."""
        return JoinedMasks([self._open(path) for path in self.test_paths[name]], self.augment.size)

    def validation_sets(self) -> dict[str, tuple[Loader, Manifest[Any]]]:
        """Validation set name -> (its loader, the manifest that `Batch.rows` points into)."""
        return {name: self._evaluation(name, paths) for name, paths in self.validation_paths.items()}

    def training_sets(self) -> dict[str, tuple[Loader, Manifest[Any]]]:
        """One set, of the training slices as they are: ("train": its loader, the manifest that its rows point into)."""
        whole = self._of_some_patients(self._join(self.train_paths, "training data", ImageAugment(self.augment.size)))
        loader = self._loader(whole, OrderedSampler(len(whole), **self._rank()), persistent=False)
        return {"train": (loader, self.training_records())}

    def training_records(self) -> Manifest[Any]:
        """The records of the training slices, store after store."""
        whole = self._records(self.train_paths)
        return whole if self._chosen is None else whole.take(self._chosen.rows)

    def labelled(self) -> Labelled:
        """The share of the labels that the training uses, and of how many patients it knows each label."""
        return labelled(self.training_records(), self.taxonomy, self._chosen, self.label_share)

    @cached_property
    def _chosen(self) -> Chosen | None:
        whole = self._records(self.train_paths)
        return choose(whole, self.taxonomy, self.train_patients, self.label_share, self.seed)

    def _present_tests(self) -> dict[str, tuple[Path, ...]]:
        absent = self.absent_tests()
        return {name: paths for name, paths in self.test_paths.items() if name not in absent}

    def _join(
        self, paths: Sequence[Path], name: str, augment: ImageAugment, texts: TextSource | None = None, views: int = 1
    ) -> SliceDataset:
        stores = [self._open(path) for path in paths]
        for path, store in zip(paths, stores, strict=True):
            if len(store.images) != len(store.manifest):  # joined, two wrongs could make a right
                raise ValueError(
                    f"{path}: the manifest lists {len(store.manifest)} slice(s), but the store holds "
                    f"{len(store.images)} image(s); prepare the data again"
                )
        return SliceDataset(
            JoinedImages([store.images for store in stores]),
            self._records(paths),
            self.taxonomy,
            augment=augment,
            texts=texts,
            kinds=self.kinds,
            views=views,
            seed=self.seed,
            name=name,
        )

    def _of_some_patients(self, whole: SliceDataset) -> SliceDataset:
        if self._chosen is None:
            return whole
        some = SliceDataset(
            ChosenImages(whole.images, self._chosen.rows),
            self.training_records(),
            self.taxonomy,
            augment=whole.augment,
            texts=whole.texts,
            kinds=self.kinds,
            views=whole.views,
            seed=self.seed,
        )
        some.labels |= only_labelled(some.labels, self._chosen)
        return some

    def _records(self, paths: Sequence[Path]) -> Manifest[Any]:
        manifests = [self._open(path).manifest for path in paths]
        return manifests[0] if len(manifests) == 1 else Manifest.join(manifests)

    def _evaluation(self, name: str, paths: Sequence[Path]) -> tuple[Loader, Manifest[Any]]:
        dataset = self._join(paths, name, ImageAugment(self.augment.size))
        ranks = self._rank()["world_size"]
        if len(dataset) < ranks:
            raise ValueError(
                f"set {name!r}: holds {len(dataset)} slice(s), fewer than one for each of {ranks} ranks; use more "
                "slices, or train on fewer devices"
            )
        sampler = OrderedSampler(len(dataset), **self._rank())
        return self._loader(dataset, sampler, persistent=False), self._records(paths)

    def _loader(self, dataset: SliceDataset, sampler: Sampler[tuple[int, int]], *, persistent: bool) -> Loader:
        if self.workers:
            # Imported here, workers share them; imported there, each would spend seconds on them.
            dataset.augment.warm_up()
            if dataset.texts is not None:
                self.tokenizer.encode("")  # loads it
        return Loader(
            dataset,  # type: ignore[arg-type]  # the loader gives out what the collate function makes
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.workers,
            collate_fn=Collate(self.context_length, self.tokenizer),
            pin_memory=torch.cuda.is_available(),
            persistent_workers=persistent and self.workers > 0,
            worker_init_fn=start_worker,
            generator=torch.Generator(),  # the loader's own: it draws nothing from the global one
        )

    def _rank(self) -> dict[str, int]:
        if self.trainer is None:
            return {"rank": 0, "world_size": 1}
        return {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}


def _position(trainer: lightning.Trainer) -> tuple[int, int]:
    # Asked when the first batch is drawn: what Lightning tells `set_epoch` counts one too many after a run has gone on
    # from a checkpoint that was written at the end of an epoch.
    return trainer.current_epoch, trainer.fit_loop.epoch_loop.batch_progress.current.completed
