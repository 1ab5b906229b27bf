"""Volumes of several collections dealt into folds, so that no patient, or no source, stands in two of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import sha256

from anatomy_clip.core.names import did_you_mean
from anatomy_clip.stores.leakage import patient_key

Owner = tuple[str, str]  # source and patient
BY = ("patient", "source")


def deal(
    owners: Iterable[Owner], folds: int, by: str = "patient", seed: int = 0, together: Sequence[Sequence[str]] = ()
) -> dict[Owner, int]:
    """Deal patients, or whole sources, into folds.

    Ids are compared as `leakage` compares them: in any spelling, and across sources where they name their collection.
    The largest group comes first. Each goes into the fold that has the fewest patients of its sources; where several
    have, into the one with the fewest patients in all.

    Args:
        owners: (source, patient) of the volumes, in any order, any number of times.
        folds: number of folds.
        by: "patient" or "source".
        seed: of the order in which groups of equal size are dealt.
        together: groups of sources whose people may be the same under other ids: all of them stand in one fold.

    Returns:
        Owner -> fold, from 0.

    Raises:
        ValueError: an unknown `by`, fewer groups than folds, fewer than two folds, or a group in `together` of which
            some sources are there and some aren't.
    """
    if by not in BY:
        raise ValueError(f"source.by={by!r}: give one of {', '.join(BY)}")
    known = sorted(set(owners))
    groups = list(_groups(known, by, together))
    if not 2 <= folds <= len(groups):
        raise ValueError(
            f"source.folds={folds}: the pool has {len(groups)} group(s) by {by}; give a number from 2 to that"
        )
    patients = _patients(known)

    def order(group: Sequence[Owner]) -> tuple[int, int, str, str]:
        own = _patients(group)
        return -own.total(), -sum(patients[one] for one in own), _hash(seed, *sorted(own)), _hash(seed, *group)

    fold_of: dict[Owner, int] = {}
    counts: list[Counter[str]] = [Counter() for _ in range(folds)]  # of each fold: source -> patients
    for group in sorted(groups, key=order):
        own = _patients(group)
        totals = [(sum(count[one] for one in own), count.total()) for count in counts]
        fold = totals.index(min(totals))
        counts[fold] += own
        fold_of |= dict.fromkeys(group, fold)
    return fold_of


def _groups(owners: Sequence[Owner], by: str, together: Sequence[Sequence[str]]) -> Iterator[list[Owner]]:
    """Owners that must stand in one fold, each in the order of `owners`."""
    _check_together(together, {source for source, _ in owners})
    above: dict[tuple[str, ...], tuple[str, ...]] = {}  # a forest of marks: those of one tree belong together

    def root(mark: tuple[str, ...]) -> tuple[str, ...]:
        while above.setdefault(mark, mark) != mark:
            mark = above[mark]
        return mark

    for source, patient in owners:
        marks: list[tuple[str, ...]] = [("source", source)] if by == "source" else []
        marks += [("together", *group) for group in together if source in group]
        for mark in marks:
            above[root(mark)] = root(("patient", *patient_key(source, patient)))
    groups: dict[tuple[str, ...], list[Owner]] = defaultdict(list)
    for source, patient in owners:
        groups[root(("patient", *patient_key(source, patient)))].append((source, patient))
    yield from groups.values()


def _check_together(together: Sequence[Sequence[str]], sources: Collection[str]) -> None:
    for group in together:
        absent = [name for name in group if name not in sources]
        if absent and len(absent) < len(group):
            hint = did_you_mean(absent[0], sources) or f"; the pool has {', '.join(sorted(sources))}"
            raise ValueError(f"source.together: the pool has no source {absent[0]!r}{hint}")


def _patients(owners: Iterable[Owner]) -> Counter[str]:
    """Source -> its patients."""
    return Counter(source for source, _ in {(source, patient_key(source, patient)) for source, patient in owners})


def _hash(seed: int, *parts: object) -> str:
    return sha256(repr((seed, *parts)).encode()).hexdigest()
