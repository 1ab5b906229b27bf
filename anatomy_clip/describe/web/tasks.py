"""What the describing process does: describe the files of a folder, and compare captions on a slice."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anatomy_clip.describe.bundle.folder import Bundle, read_bundle
from anatomy_clip.describe.description import SeriesDescription
from anatomy_clip.describe.predictor import Describer
from anatomy_clip.describe.web.messages import FILES, SCRATCH, Comparison, Described, Pictures, Progress

if TYPE_CHECKING:
    from anatomy_clip.models.image_text import ImageTextModel


@dataclass(frozen=True, eq=False)
class _Loaded(Bundle):
    """A bundle that loads its network once, for slices and for captions."""

    @cached_property
    def _network(self) -> ImageTextModel:
        return super().model()

    def model(self) -> ImageTextModel:
        return self._network


class Tasks:
    """Does tasks one after the other.

    Args:
        bundle: folder of the bundle, which is read with the first task or by `load`.
    """

    def __init__(self, bundle: str) -> None:
        self._folder = bundle

    def load(self) -> None:
        """Load the network.

        Raises:
            ValueError: the bundle can't be used.
        """
        self._bundle.model()

    def do(self, task: tuple[Any, ...], progress: Progress) -> Described | Comparison:
        """Do one of the tasks that `Engine` sends."""
        match task:
            case ("describe", folder, modality):
                return self._describe(Path(folder), modality, progress)
            case ("compare", picture, captions):
                return self._compare(picture, captions)
        raise ValueError(f"unknown task {task[0]!r}")

    @cached_property
    def _bundle(self) -> _Loaded:
        bundle = read_bundle(self._folder)
        return _Loaded(**{one.name: getattr(bundle, one.name) for one in fields(bundle)})

    @cached_property
    def _describer(self) -> Describer:
        return Describer(self._bundle)

    def _describe(self, folder: Path, modality: str | None, progress: Progress) -> Described:
        os.chdir(folder / FILES)  # names in the answer are those that the user gave, from here on
        tempfile.tempdir = str(folder / SCRATCH)  # what is unpacked goes when the folder goes
        try:
            paths = sorted(os.listdir())
            found = self._describer.describe(paths, modality=modality, pictures=True, progress=progress)
        finally:
            self._describer.close()
            tempfile.tempdir = None
            os.chdir("/")
        pictures = tuple(_pictures(one) for one in found.series)
        burned_in = tuple(one.burned_in for one in found.series)
        return Described(found.plain(), pictures, burned_in)

    def _compare(self, picture: Pictures, captions: Sequence[str]) -> Comparison:
        import torch

        from anatomy_clip.models.tokenizers import tokenize

        model = self._bundle.model()
        try:
            tokens = tokenize(captions, model.context_length, model.tokenizer)  # (C, L)
        except ValueError as error:
            raise ValueError(
                f"the model can read at most {model.context_length - 2} words; shorten the caption"
            ) from error
        image = torch.from_numpy(self._bundle.preprocessing.input(picture[None])[:, None])  # (1, 1, S, S)
        with torch.inference_mode():
            cosines = model.encode_image(image).joint @ model.encode_text(tokens).joint.T  # (1, C)
        cosines = cosines[0].double()
        shares = torch.softmax(cosines * np.exp(model.initial_logit_scale), dim=0)
        return Comparison(tuple(cosines.tolist()), tuple(shares.tolist()))


def _pictures(one: SeriesDescription) -> Pictures:
    return np.stack([each.picture for each in one.slices if each.picture is not None])
