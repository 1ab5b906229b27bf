"""Frames to stacks that can be shown one slice after the other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from hashlib import sha256
from itertools import pairwise
from typing import Any

from anatomy_clip.core.refusals import Refusal, Refused
from anatomy_clip.imaging.dicom.decode import FrameReader, stored_frame
from anatomy_clip.imaging.dicom.geometry import SAME_DIRECTION, SAME_POSITION_MM, largest_difference, normal, positions
from anatomy_clip.imaging.dicom.headers import FrameHeader

SAME_SPACING = 0.01  # pixel spacings of one stack differ by less, as a share

Group = list[FrameHeader]
_REMOVE = "remove the copy if it is not intended"


def group_frames(frames: Iterable[FrameHeader]) -> list[Group]:
    """Part frames by study, series, modality, frame size, b-value, orientation and pixel spacing.

    Slices that each have a Series Instance UID of their own are one series where the rest of their headers says so.
    """
    frames = list(frames)
    series = _series_keys(frames)
    groups = _parted(frames, lambda f: (series[_series(f)], f.modality, f.shape, f.facts.b_value))
    return [part for group in groups for part in _by_geometry(group)]


def _series(frame: FrameHeader) -> Hashable:
    return frame.uids[1], frame.uids[2] or frame.path.parent


def _series_keys(frames: Group) -> dict[Hashable, Hashable]:
    """Each series -> itself, or what it has in common with others of one file whose UIDs were made anew for each file.

    These have one patient, Series Number, modality, size and direction, one study or one folder, and an Instance Number
    each.
    """
    files: dict[Hashable, dict[Any, FrameHeader]] = defaultdict(dict)
    for frame in frames:
        files[_series(frame)].setdefault(frame.path, frame)
    lone = {key: next(iter(found.values())) for key, found in files.items() if len(found) == 1}
    studies = Counter(frame.uids[1] for frame in lone.values())
    alike: dict[Hashable, list[Hashable]] = defaultdict(list)
    for key, f in lone.items():
        study = f.uids[1] if studies[f.uids[1]] > 1 else f.path.parent
        direction = tuple(round(value, 2) + 0.0 for value in (*f.row, *f.column))
        alike[study, f.uids[0], f.series_number, f.modality, f.shape, direction].append(key)
    keys: dict[Hashable, Hashable] = {key: key for key in files}
    for common, members in alike.items():
        numbers = {lone[key].instance for key in members}
        if len(members) > 1 and len(numbers) == len(members) and 0 not in numbers:
            keys |= dict.fromkeys(members, common)
    return keys


def part_repeats(group: Group, reader: FrameReader, name: str = "") -> tuple[list[tuple[str, Group]], list[Refusal]]:
    """Part a group in which frames share a position, and refuse those that share their pixels too.

    Args:
        group: frames of one orientation.
        reader: reads the pixels of frames at one position.
        name: what tells this stack from its siblings.

    Returns:
        (name, frames in order) of each part, and what was refused.
    """
    group, refusals = _without_twins(_in_order(group), reader)
    return _parted_by_phase(group, name), refusals


def _parted_by_phase(group: Group, name: str) -> list[tuple[str, Group]]:
    crowd = max(map(len, _places(group)))
    if crowd == 1:
        return [(name, group)]
    for index, (field, _) in enumerate(group[0].phases):
        parts = _parted(group, _phase(index))
        if len(parts) > 1 and max(len(place) for part in parts for place in _places(part)) < crowd:
            names = [f"{name}, {field} {_value(part[0].phases[index][1])}".lstrip(", ") for part in parts]
            return [both for part, said in zip(parts, names, strict=True) for both in _parted_by_phase(part, said)]
    repeats = _rounds(group, crowd) or _turns(group)
    return [(f"{name}, repeat {turn}".lstrip(", "), part) for turn, part in enumerate(repeats, 1)]


def _rounds(group: Group, crowd: int) -> list[Group]:
    """Repeats by Instance Number where it counts one round through the places after the other, else none."""
    places = _places(group)
    place_of = {frame.instance: n for n, place in enumerate(places) for frame in place}
    ordered = sorted(group, key=lambda f: f.instance)
    if len(place_of) < len(group):
        return []
    for first in (1, ordered[0].instance):  # a round begins here, though its first slice may be lost
        turns = {(place, (instance - first) % len(places)) for instance, place in place_of.items()}
        if len(turns) == len(places):  # each place has its turn in all rounds
            counted: dict[int, Group] = defaultdict(list)
            for frame in ordered:
                counted[(frame.instance - first) // len(places)].append(frame)
            if len(counted) == crowd:
                return [_in_order(part) for part in counted.values()]
    rounds: list[Group] = [[]]
    seen: set[int] = set()
    for frame in ordered:
        if place_of[frame.instance] in seen:
            rounds.append([])
            seen.clear()
        rounds[-1].append(frame)
        seen.add(place_of[frame.instance])
    return [_in_order(part) for part in rounds] if len(rounds) == crowd else []


def _turns(group: Group) -> list[Group]:
    """The first frame at each position, then the second, and so on: nothing in the header tells them apart."""
    repeats: dict[int, Group] = defaultdict(list)
    for place in _places(group):
        for turn, frame in enumerate(sorted(place, key=lambda f: (f.instance, str(f.path), f.number))):
            repeats[turn].append(frame)
    return list(repeats.values())


def _phase(index: int) -> Callable[[FrameHeader], Hashable]:
    return lambda frame: frame.phases[index]


def _without_twins(group: Group, reader: FrameReader) -> tuple[Group, list[Refusal]]:
    kept, refusals = [], []
    for place in _places(group):
        seen: dict[str, FrameHeader] = {}
        for frame in place:
            if len(place) > 1:
                known = seen.setdefault(_digest(frame, reader), frame)
                if known is not frame:
                    refusals.append(Refusal(_copy_of(known, frame), _REMOVE, str(frame.path)))
                    continue
            kept.append(frame)
    return kept, refusals


def _copy_of(known: FrameHeader, frame: FrameHeader) -> str:
    if frame.uids[3] and frame.uids[3] == known.uids[3] and frame.path != known.path:
        return f"has the SOP Instance UID (0008,0018), position and pixels of {known.path.name}, which was read earlier"
    return f"frame {frame.number} has the position and pixels of {known.path.name}, frame {known.number}"


def _digest(frame: FrameHeader, reader: FrameReader) -> str:
    try:
        pixels = stored_frame(reader.dataset(frame.path), frame.number)
    except Refused:  # it is like no other; who reads its pixels will hear why it can't be read
        return f"{frame.path} {frame.number}"
    return sha256(pixels.astype("<i8").tobytes()).hexdigest()


def _in_order(group: Group) -> Group:
    along = normal(group[0].row, group[0].column)
    heights = positions([frame.origin_mm for frame in group], along)
    order = sorted(range(len(group)), key=lambda i: (heights[i], str(group[i].path), group[i].number))
    return [group[i] for i in order]


def _places(ordered: Group) -> list[Group]:
    """Frames at the same position, position by position."""
    heights = positions([frame.origin_mm for frame in ordered], normal(ordered[0].row, ordered[0].column))
    places = [[ordered[0]]]
    for (before, here), frame in zip(pairwise(heights), ordered[1:], strict=True):
        if here - before < SAME_POSITION_MM:
            places[-1].append(frame)
        else:
            places.append([frame])
    return places


def _by_geometry(group: Group) -> list[Group]:
    parts: list[Group] = []
    for frame in group:
        home = next((part for part in parts if _same_geometry(part[0], frame)), None)
        if home is None:
            parts.append([frame])
        else:
            home.append(frame)
    return parts


def _same_geometry(a: FrameHeader, b: FrameHeader) -> bool:
    directions = largest_difference((*a.row, *a.column), (*b.row, *b.column)) < SAME_DIRECTION
    return directions and largest_difference(a.spacing_mm, b.spacing_mm) < SAME_SPACING * min(a.spacing_mm)


def _parted(frames: Iterable[FrameHeader], key: Callable[[FrameHeader], Any]) -> list[Group]:
    parts: dict[Any, Group] = defaultdict(list)
    for frame in frames:
        parts[key(frame)].append(frame)
    return list(parts.values())


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return "/".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
