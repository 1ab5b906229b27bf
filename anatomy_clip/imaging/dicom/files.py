"""A DICOM file as a data set: its header only, or all of it, within limits."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_file_meta_info
from pydicom.filewriter import write_file_meta_info
from pydicom.misc import is_dicom
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from anatomy_clip.core.refusals import FETCH_AGAIN, Refused
from anatomy_clip.imaging.dicom.refusing import refusing
from anatomy_clip.imaging.formats import refuse_other_format

MAX_BYTES = 2**31  # a file on the disk
MAX_SAMPLES = 2**28  # rows x columns x frames that a header may claim
MAX_INFLATED = 2**28  # bytes that a deflated file may grow to: 500 KB can hold 1 GB of zeros
_CHUNK = 2**16
_UNDEFINED = 0xFFFFFFFF
_PIXEL_DATA = (0x7FE0, 0x0010)


@dataclass(frozen=True)
class Header:
    """What stands before the pixels.

    Attributes:
        dataset: the wanted elements, and the file meta information.
        pixel_bytes: length of the pixel data, bytes; None where they are compressed.
    """

    dataset: Dataset
    pixel_bytes: int | None


def read_header(path: Path, tags: Iterable[str | tuple[int, int]]) -> Header:
    """Read some elements of a file, and never its pixels.

    Args:
        path: a DICOM file (with preamble).
        tags: the elements to keep; all others are skipped unread.

    Raises:
        Refused: no DICOM file, damaged, too large, no pixels, or pixels that are cut off.
    """
    with _opened(path) as source:
        dataset = pydicom.dcmread(source, stop_before_pixels=True, specific_tags=_wanted(tuple(tags)))
        return Header(dataset, _pixel_bytes(source, dataset))


def read_whole(path: Path) -> Dataset:
    """Read a file with its pixels, still encoded.

    Raises:
        Refused: no DICOM file, damaged, too large, or no pixels.
    """
    with _opened(path) as source:
        dataset = pydicom.dcmread(source)
        if "PixelData" not in dataset:  # pydicom gives up without a word where a file ends too soon
            raise Refused("its Pixel Data (7FE0,0010) are missing or cut off", FETCH_AGAIN)
        return dataset


@cache
def _wanted(tags: tuple[str | tuple[int, int], ...]) -> list[BaseTag]:
    return [Tag(tag) for tag in tags]


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with refusing("can't be opened", "check its permissions and its disk"):
        if not path.is_file():
            raise Refused("the file is missing", "check the path")
        if path.stat().st_size > MAX_BYTES:
            raise Refused(f"the file is larger than {MAX_BYTES} bytes", "split it, or leave it out")
        with path.open("rb") as source:
            meta = _meta_group(path)
            with refusing("its header is damaged"):
                deflated = meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
                yield _inflated(source, meta) if deflated else source


def _meta_group(path: Path) -> FileMetaDataset:
    with refusing("can't be read as a DICOM file", "check its disk"):
        if not is_dicom(path):
            refuse_other_format(path)
    with refusing("is not a DICOM file, or has no preamble", "leave it out, or rewrite it with its preamble"):
        return read_file_meta_info(path)


def _inflated(source: BinaryIO, meta: FileMetaDataset) -> BytesIO:
    """The same file without its compression, in memory; pydicom would inflate it without a limit."""
    plain = FileMetaDataset()
    plain.TransferSyntaxUID = ExplicitVRLittleEndian
    meta_group = DicomBytesIO()
    write_file_meta_info(meta_group, plain, enforce_standard=False)
    out = BytesIO()
    out.write(b"\0" * 128 + b"DICM" + meta_group.getvalue())
    length = meta.get("FileMetaInformationGroupLength")
    if length is None:
        raise Refused("is deflated, but has no File Meta Information Group Length (0002,0000)", "rewrite its header")
    source.seek(128 + 4 + 12 + int(length))
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    while (chunk := source.read(_CHUNK)) and not engine.eof:
        out.write(engine.decompress(chunk, MAX_INFLATED + 1 - out.tell()))
        if out.tell() > MAX_INFLATED:
            raise Refused(
                f"its decompressed content has more than {MAX_INFLATED} bytes",
                "leave it out: it may be meant to fill the memory",
            )
    out.seek(0)
    return out


def _pixel_bytes(source: BinaryIO, dataset: Dataset) -> int | None:
    """Length of the pixel data that the source now stands before."""
    implicit, little = dataset.original_encoding
    order = "<" if little else ">"
    head = source.read(8)
    if len(head) < 8 or struct.unpack(f"{order}HH", head[:4]) != _PIXEL_DATA:
        raise Refused("has no Pixel Data (7FE0,0010), or is cut off before them", "leave it out, or fetch it again")
    (length,) = struct.unpack(f"{order}L", head[4:] if implicit else source.read(4))
    if length == _UNDEFINED:
        return None
    start = source.tell()
    there = source.seek(0, 2) - start
    if there < length:
        raise Refused(f"its Pixel Data (7FE0,0010) are cut off: {there} of {length} bytes", FETCH_AGAIN)
    return int(length)
