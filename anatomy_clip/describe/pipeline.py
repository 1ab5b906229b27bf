"""Files to series of embedded slices: worker processes read while this one loads the network and runs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import cast

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.limits import Limits
from anatomy_clip.core.refusals import Refusal
from anatomy_clip.core.terms import Modality
from anatomy_clip.core.workers import run_tasks
from anatomy_clip.describe.bundle.folder import Encoder, Floats
from anatomy_clip.describe.bundle.preprocessing import Preprocessing
from anatomy_clip.describe.inputs import Item, printable, shown_refusal
from anatomy_clip.describe.reading import (
    Directory,
    FrameGroup,
    Frames,
    Headers,
    Nifti,
    NiftiSlices,
    Outcome,
    Picture,
    Rendered,
    Start,
    Task,
    Work,
)  # fmt: skip
from anatomy_clip.imaging.densities import Densities
from anatomy_clip.imaging.dicom.dicomdir import finder
from anatomy_clip.imaging.dicom.grouping import group_frames
from anatomy_clip.imaging.dicom.headers import FrameHeader
from anatomy_clip.imaging.dicom.series import DicomSeries

Progress = Callable[[int, int], None]  # slices done, slices found so far
_WAITING = 4096  # squares kept in memory while the network is being loaded


@dataclass
class Read:
    """What was read of one series, NIfTI file or picture.

    Attributes:
        items: the files it came from.
        series: the DICOM series; None for what isn't DICOM.
        nifti: what is known of a NIfTI file's slices; the squares themselves are gone.
        number: which volume of its file it is.
        embeddings: modality (None where only one way to show the slices was tried) -> place -> (D,).
        squares: the same for the pictures; empty unless they are kept.
        blank: places of slices of one value.
        densities: what the values of a series are, taken for HU; empty for MR in DICOM and for pictures.
    """

    items: list[Item]
    series: DicomSeries | None = None
    nifti: NiftiSlices | None = None
    number: int = 0
    embeddings: dict[Modality | None, dict[int, Floats]] = field(default_factory=dict)
    squares: dict[Modality | None, dict[int, NDArray[np.uint8]]] = field(default_factory=dict)
    blank: set[int] = field(default_factory=set)
    densities: Densities = field(default_factory=Densities)


class Tasks(Iterator[Task]):
    """A queue that may grow while it is worked off: at its end it stops, and goes on when there is more."""

    def __init__(self) -> None:
        self.waiting: deque[Task] = deque()

    def __next__(self) -> Task:
        if not self.waiting:
            raise StopIteration
        return self.waiting.popleft()


class Pipeline:
    """Reads one list of files.

    Args:
        items: the files.
        preprocessing: how slices become the model's input.
        load: loads the network's image tower; called once, in a thread.
        modality: of NIfTI files; None: they are shown both ways.
        batch_size: slices that the network takes at once; batches never depend on the number of workers.
        keep: keep the pictures.
        progress: told how many slices are done and found.
    """

    def __init__(
        self,
        items: Sequence[Item],
        preprocessing: Preprocessing,
        load: Callable[[], Encoder],
        *,
        modality: Modality | None = None,
        batch_size: int = 32,
        keep: bool = False,
        progress: Progress = lambda done, found: None,
    ) -> None:
        self.preprocessing, self.batch_size, self.keep, self.progress = preprocessing, batch_size, keep, progress
        self.refusals: list[Refusal] = []
        self.found: list[Read] = []
        self._load, self._modality = load, modality
        self._items = {item.path: item for item in items}
        self._headers: dict[Path, Sequence[FrameHeader]] = {}
        self._unread = 0  # tasks after which the frames of all files are known
        self._tasks = Tasks()
        self._waiting: list[tuple[Read, Modality | None, Sequence[int], NDArray[np.uint8]]] = []
        self._encoder: Future[Encoder] | None = None
        self._done = self._expected = 0

    def run(self, workers: int, limits: Limits | None) -> None:
        """Fill `found` and `refusals`."""
        self._tasks.waiting.extend(Start() for _ in range(workers))
        for item in self._items.values():
            self._begin(item)
        outcomes = run_tasks(Work(self.preprocessing), self._tasks, workers, limits)
        with ThreadPoolExecutor(1) as thread:
            try:
                for task, outcome in outcomes:
                    if isinstance(outcome, Refusal):
                        if self._encoder:
                            self._encoder.result()  # a dead worker is replaced by a fork, see below
                        self._refused(task, outcome)
                    else:
                        if self._encoder is None and not isinstance(task, Start):
                            # Only now: the workers are forked, and a fork in the midst of an import could lock up.
                            self._encoder = thread.submit(self._load)
                        self._take(task, outcome)
                    self._embed(wait=sum(len(places) for _, _, places, _ in self._waiting) > _WAITING)
                self._embed(wait=True)
            finally:
                outcomes.close()
        order = {path: n for n, path in enumerate(self._items)}
        self.found.sort(key=lambda read: (min(order[item.path] for item in read.items), read.number))

    def _begin(self, item: Item) -> None:
        match item.kind:
            case "dicom":
                self._unread += 1
                self._tasks.waiting.append(Headers(item.path))
            case "dicomdir":
                self._unread += 1
                self._tasks.waiting.append(Directory(item.path))
            case "nifti":
                self._tasks.waiting.append(Nifti(item.path, self._modality))
            case "picture":
                self._tasks.waiting.append(Picture(item.path))

    def _take(self, task: Task, outcome: Outcome) -> None:
        match task:
            case Headers(path):
                self._headers[path] = cast("Sequence[FrameHeader]", outcome)
            case Directory(path):
                self._follow(self._items[path], cast("Sequence[Path]", outcome))
            case FrameGroup():
                self._split(*cast("tuple[list[DicomSeries], list[Refusal]]", outcome))
            case Frames(_, number, first):
                self._rendered(self.found[number], first, cast("Rendered", outcome))
            case Nifti(path, _, number):
                self._nifti(self._items[path], number, cast("NiftiSlices", outcome))
            case Picture(path):
                self._expect(1)
                self._squares(Read([self._items[path]]), None, [0], cast("NDArray[np.uint8]", outcome), new=True)
        self._count(task)

    def _refused(self, task: Task, refusal: Refusal) -> None:
        match task:
            case Frames(series, number, first) if len(series.frames) > 1:  # find out which of them it was
                self._tasks.waiting.extendleft(
                    Frames(replace(series, frames=(frame,)), number, first + n) for n, frame in enumerate(series.frames)
                )
            case Frames(series):
                self._refuse(series.frames[0].path, refusal)
                self._expect(-1)
            case FrameGroup(group):
                for path in dict.fromkeys(frame.path for frame in group):
                    self._refuse(path, refusal)
            case Headers(path) | Directory(path) | Nifti(path) | Picture(path):
                self._refuse(path, refusal)
            case Start():
                pass
        self._count(task)

    def _count(self, task: Task) -> None:
        """After the last header, frames that are alike are put together."""
        if not isinstance(task, Headers | Directory):
            return
        self._unread -= 1
        if self._unread == 0:
            frames = [frame for path in self._items for frame in self._headers.pop(path, ())]
            self._tasks.waiting.extend(FrameGroup(group) for group in group_frames(frames))

    def _follow(self, directory: Item, names: Sequence[Path]) -> None:
        folder, shown_below = directory.path.parent, PurePath(directory.shown).parent
        find = finder(folder)
        for name in names:
            found = find(name)
            path, shown = folder / (found or name), str(shown_below / printable(found or name))
            if found is None or not path.resolve().is_relative_to(folder.resolve()):
                remedy = "to describe all files in the folder, give the folder itself"
                self.refusals.append(Refusal("the DICOMDIR lists it, but it does not exist", remedy, shown))
            elif path not in self._items:
                self._items[path] = Item(path, shown, "dicom")
                self._begin(self._items[path])

    def _split(self, found: Sequence[DicomSeries], refusals: Sequence[Refusal]) -> None:
        self._refuse_all(refusals)
        for series in found:
            number = len(self.found)
            paths = dict.fromkeys(frame.path for frame in series.frames)
            self.found.append(Read([self._items[path] for path in paths], series))
            self._expect(len(series.frames))
            for first in range(0, len(series.frames), self.batch_size):
                part = replace(series, frames=series.frames[first : first + self.batch_size])
                self._tasks.waiting.append(Frames(part, number, first))

    def _rendered(self, read: Read, first: int, rendered: Rendered) -> None:
        self._refuse_all(rendered.refusals)
        self._expect(-len(rendered.refusals))
        read.densities += rendered.densities
        self._squares(read, None, [first + place for place in rendered.kept], rendered.squares)

    def _nifti(self, item: Item, number: int, slices: NiftiSlices) -> None:
        if number == 0:
            self._tasks.waiting.extend(Nifti(item.path, self._modality, n) for n in range(1, slices.volumes))
        read = Read([item], nifti=replace(slices, squares={}), number=number, densities=slices.densities)
        self.found.append(read)
        for modality, squares in slices.squares.items():
            self._expect(len(squares))
            for first in range(0, len(squares), self.batch_size):
                part = squares[first : first + self.batch_size]
                self._squares(read, modality, range(first, first + len(part)), part)

    def _squares(
        self,
        read: Read,
        modality: Modality | None,
        places: Sequence[int],
        squares: NDArray[np.uint8],
        new: bool = False,
    ) -> None:
        if new:
            self.found.append(read)
        if len(squares):
            self._waiting.append((read, modality, places, squares))

    def _embed(self, wait: bool) -> None:
        if self._encoder is None or not self._waiting or not (wait or self._encoder.done()):
            return
        encode = self._encoder.result()
        for read, modality, places, squares in self._waiting:
            vectors = encode(self.preprocessing.input(squares))
            read.embeddings.setdefault(modality, {}).update(zip(places, vectors, strict=True))
            read.blank |= {place for place, one in zip(places, squares, strict=True) if one.min() == one.max()}
            if self.keep:
                read.squares.setdefault(modality, {}).update(zip(places, squares, strict=True))
            self._done += len(places)
            self.progress(self._done, self._expected)
        self._waiting.clear()

    def _expect(self, slices: int) -> None:
        self._expected += slices
        self.progress(self._done, self._expected)

    def _refuse(self, path: Path, refusal: Refusal) -> None:
        self.refusals.append(shown_refusal(self._items[path], refusal))

    def _refuse_all(self, refusals: Sequence[Refusal]) -> None:
        for one in refusals:
            self._refuse(Path(one.where), one)
