"""The pixels of a DICOM radiograph as a radiologist sees them."""

from __future__ import annotations

import numpy as np

from anatomy_clip.core.refusals import Refused
from anatomy_clip.imaging.dicom.decode import stored_frame
from anatomy_clip.imaging.dicom.files import read_whole
from anatomy_clip.imaging.dicom.film_headers import FilmHeader
from anatomy_clip.imaging.dicom.refusing import refusing
from anatomy_clip.imaging.dicom.values import modality_values, padding_mask
from anatomy_clip.imaging.dicom.voi import greys
from anatomy_clip.imaging.radiographs import Radiograph


def load_film(header: FilmHeader) -> tuple[Radiograph, tuple[str, ...]]:
    """Read a film: Modality LUT, VOI LUT, MONOCHROME1 inverted, padding black, turned as its header says.

    Returns:
        The film, and what a user should know of its pixels.

    Raises:
        Refused: the file is damaged, needs a missing decoder, or shows nothing.
    """
    with refusing("its pixels can't be read"):
        dataset = read_whole(header.path)
        stored = stored_frame(dataset)
        padding = padding_mask(dataset, stored)
        values = modality_values(dataset, stored).astype(np.float32)
        grey, notes = greys(dataset, values, ~padding)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            grey = 1 - grey
        grey[padding] = 0
    if grey.min() == grey.max():
        raise Refused(
            "has one grey value everywhere when displayed with its header's window",
            "correct its window, or leave it out",
        )
    return Radiograph(header.turn.pixels(grey)), notes
