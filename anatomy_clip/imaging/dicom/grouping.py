"""Frames to stacks that can be shown one slice after the other."""

from __future__ import annotations

from collections import defaultdict
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
_REMOVE = "remove the copy if it was not meant"


def without_copies(frames: Iterable[FrameHeader]) -> tuple[Group, list[Refusal]]:
    """Refuse files that hold an instance again."""
    first: dict[Hashable, FrameHeader] = {}
    kept, again = [], {}
    for frame in frames:
        key = (frame.uids[3], frame.number) if frame.uids[3] else (frame.path, frame.number)
        known = first.setdefault(key, frame)
        if known is frame:
            kept.append(frame)
        else:
            reason = f"has the SOP Instance UID (0008,0018) of {known.path.name}, which was read before"
            again[frame.path] = Refusal(reason, _REMOVE, str(frame.path))
    return kept, list(again.values())


def group_frames(frames: Iterable[FrameHeader]) -> list[Group]:
    """Part frames by study, series, modality, frame size, b-value, orientation and pixel spacing."""
    groups = _parted(frames, lambda f: (f.uids[1], f.uids[2] or f.path.parent, f.modality, f.shape, f.facts.b_value))
    return [part for group in groups for part in _by_geometry(group)]


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
    # Nothing in the header tells them apart: the first frame at each position, then the second, and so on.
    repeats: dict[int, Group] = defaultdict(list)
    for place in _places(group):
        for turn, frame in enumerate(sorted(place, key=lambda f: (f.instance, str(f.path), f.number))):
            repeats[turn].append(frame)
    return [(f"{name}, repeat {turn + 1}".lstrip(", "), part) for turn, part in repeats.items()]


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
                    reason = (
                        f"frame {frame.number} has the position and pixels of {known.path.name}, frame {known.number}"
                    )
                    refusals.append(Refusal(reason, _REMOVE, str(frame.path)))
                    continue
            kept.append(frame)
    return kept, refusals


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
