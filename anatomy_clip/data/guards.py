"""Checks before a training: sets that share patients or slices, stores without usable texts, and texts that are cut."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from anatomy_clip.anatomy.labels import Labels
from anatomy_clip.core.kinds import Kind
from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.radiographs import RADIOGRAPHS
from anatomy_clip.core.records import SLICES
from anatomy_clip.core.refusals import Refused
from anatomy_clip.data.collate import Collate
from anatomy_clip.stores.leakage import patient_hashes, refuse_leaks
from anatomy_clip.stores.store import Store
from anatomy_clip.text.reports.words import described_by
from anatomy_clip.text.source import TextSource

_Sets = Mapping[str, Sequence[Path]]
# What a config has for each kind of record: its label set, and texts for it.
_TAXONOMIES = {SLICES.name: "whole_body", RADIOGRAPHS.name: "findings"}
_PROMPTS = {SLICES.name: "organs", RADIOGRAPHS.name: "report_sentence"}


def open_labelled(kind: Kind[Any], path: Path) -> Store:
    """Open a store of the kind of records that the taxonomy labels.

    Raises:
        Refused: its records are of another kind.
        ValueError: see `Store.open`.
    """
    store = Store.open(path, kind=None)
    found = store.manifest.kind
    if found is not kind:
        raise Refused(
            f"holds {found.name}s, but the taxonomy is for {kind.name}s",
            f"set taxonomy={_TAXONOMIES[found.name]}, or use a store of {kind.name}s",
            path,
        )
    return store


def refuse_unfit_texts(texts: TextSource, kinds: Sequence[str], kind: Kind[Any], flips: bool) -> None:
    """Refuse texts that the data or the method can't use.

    Args:
        texts: makes them.
        kinds: of text that the method wants.
        kind: of the records in the training stores.
        flips: whether images are flipped.

    Raises:
        Refused: they are of another kind of record, a kind of text isn't made, or a flip would make their sides wrong.
    """
    if texts.kind is not kind:
        raise Refused(
            f"prompts: they make texts of {texts.kind.name}s, not of {kind.name}s", f"set prompts={_PROMPTS[kind.name]}"
        )
    if missing := [one for one in kinds if one not in texts.kinds]:
        raise Refused(
            f"prompts: they make {' and '.join(texts.kinds)}, but the objective also needs {' and '.join(missing)}",
            f"set prompts={_PROMPTS[RADIOGRAPHS.name]} on radiographs, or choose another objective",
        )
    if flips and texts.minds_flips:
        raise Refused(
            "augment: after a flip, the sides in the reports would be wrong",
            "set augment.horizontal_flip=null and augment.vertical_flip=null, or prompts.flip=as_published to flip as "
            "the papers do",
        )


def refuse_leakage(
    train: Sequence[Path],
    validation: _Sets,
    test: _Sets,
    open_store: Callable[[Path], Store],
    earlier: Collection[str] = (),
) -> None:
    """Refuse sets that share a patient or a slice across training, validation and test.

    Sets of one role may share, and one store may be validation and test, which the config shows.

    Args:
        train: folders of the training stores.
        validation: set name -> folders of its stores.
        test: the same of the test sets.
        open_store: opens a store.
        earlier: hashes (see `leakage.patient_hashes`) of the patients that the weights were trained on before.

    Raises:
        ValueError: names the sets, the stores and the first rows, and no patient.
    """
    used: dict[Path, dict[str, str]] = {path: {"training": "data.train"} for path in train}  # role -> key of the config
    for role, sets in (("validation", validation), ("test", test)):
        for name, paths in sets.items():
            for path in paths:
                used.setdefault(path, {})[role] = f"data.{role}.{name}"
    for path, keys in used.items():
        if "training" in keys and len(keys) > 1:
            raise ValueError(f"leakage: {path} is in {' and in '.join(keys.values())}; remove it from one of them")
    titles = {path: f"{' and '.join(keys.values())} ({path})" for path, keys in used.items()}
    refuse_leaks({titles[path]: open_store(path) for path in used}, {titles[path]: used[path] for path in used})
    if earlier:
        _refuse_known({"validation": validation, "test": test}, open_store, frozenset(earlier))


def _refuse_known(roles: Mapping[str, _Sets], open_store: Callable[[Path], Store], earlier: frozenset[str]) -> None:
    for role, sets in roles.items():
        for name, paths in sets.items():
            patients: frozenset[tuple[str, str]] = frozenset().union(
                *(open_store(path).manifest.patients() for path in paths)
            )
            if known := len(earlier & patient_hashes(patients)):
                raise ValueError(
                    f"leakage: {role} set {name!r} has {known} patient(s) on whom this run, or a run that it started "
                    "from, was trained (spelling is ignored); prepare the set without them, or start from weights "
                    "that were not trained on them"
                )


def refuse_unlabelled(labels: Mapping[str, Labels], stores: Mapping[Path, Manifest[Any]]) -> None:
    """Refuse a training store whose texts would say nothing of what its images show.

    Args:
        labels: label space -> (N, K) of the slices of all stores, one store after the other.
        stores: folder -> its manifest.

    Raises:
        ValueError: no slice of a store states an organ or a station, and none has a caption; or a film's report has
            neither findings nor impression.
    """
    for path, films in stores.items():
        if films.kind is RADIOGRAPHS and (mute := sum(not described_by(one.report) for one in films)):
            raise Refused(
                f"{mute} of {len(films)} film(s) of a training store have no report with findings or impression",
                "prepare it without them, or train with a method that needs no texts (objective=simclr, "
                "objective=moco)",
                path,
            )
    if "organ" not in labels:
        return
    shown = (labels["organ"] == 1).any(axis=1) | (labels["station"] == 1).any(axis=1)  # (N,)
    begin = 0
    for path, records in stores.items():
        end = begin + len(records)
        if not shown[begin:end].any() and not any(records.column("caption")):
            raise ValueError(
                f"{path}: a training store without labels: none of its {len(records)} slice(s) states an organ or a "
                "station, and none has a caption; prepare it with labels, leave it out of data.train, or train with a "
                "method that needs none (objective=simclr, objective=moco)"
            )
        begin = end


def say_what_is_cut(films: Manifest[Any], collate: Collate) -> None:
    """Print how many reports of films are longer than the context that a batch is collated for, if any are."""
    lengths = [collate.count(described_by(one.report)) for one in films]
    if cut := sum(length > collate.context_length for length in lengths):
        print(
            f"data.train: the reports of {cut} of {len(lengths)} films are longer than the context of "
            f"{collate.context_length} tokens and are cut at the end of a sentence",
            flush=True,
        )
