"""The header of a compressed frame, checked before the frame is decoded.

GDCM ends the whole process (SIGSEGV, SIGABRT) on a lossless JPEG whose markers are damaged; a size that differs from
the header's makes any decoder take memory for it. Both are found here, without decoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_J2K_SOC_SIZ = b"\xff\x4f\xff\x51"
_JP2_BOX = b"\x00\x00\x00\x0cjP  "
_JPEG_SOI = b"\xff\xd8"
_SOF3, _DHT, _SOS, _SOF55 = 0xC3, 0xC4, 0xDA, 0xF7  # lossless frame, Huffman tables, scan, JPEG-LS frame
_NO_FRAME = (_DHT, 0xC8, 0xCC)  # tables among the markers C0 to CF that start a frame
_HARMLESS = (*range(0xE0, 0xF0), 0xFE)  # application data and comments


def claimed_shape(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns that a JPEG, JPEG-LS or JPEG 2000 stream states.

    Args:
        stream: one frame as stored.

    Returns:
        None where the stream is none of the three, or is damaged before it says.
    """
    if stream[:8] == _JP2_BOX:
        stream = stream[max(0, stream.find(_J2K_SOC_SIZ)) :]
    if stream[:4] == _J2K_SOC_SIZ and len(stream) >= 24:
        # Lsiz and Rsiz (2 bytes each), then the reference grid and the image's offset in it (4 bytes each).
        width, height, left, top = struct.unpack(">4L", stream[8:24])
        return height - top, width - left
    try:
        for marker, body in _segments(stream):
            if (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME) or marker == _SOF55:
                rows, columns = struct.unpack(">2H", body[1:5])
                return rows, columns
    except (ValueError, struct.error):
        pass
    return None


def lossless_fault(stream: bytes, shape: tuple[int, int], bits: int) -> str:
    """What is wrong with the markers of a lossless JPEG of one component (ITU T.81, annexes B and H).

    Args:
        stream: one frame as stored.
        shape: rows and columns by the DICOM header.
        bits: Bits Allocated.

    Returns:
        The fault, or "" where a decoder can be let at it.
    """
    tables: set[int] = set()
    found = False
    try:
        for marker, body in _segments(stream):
            if marker == _DHT:
                tables |= _huffman_tables(body)
            elif marker == _SOF3:
                precision, rows, columns, components = struct.unpack(">BHHB", body[:6])
                sampling = body[7:8]
                if found or len(body) != 9 or components != 1 or sampling != b"\x11":
                    return "its frame does not have exactly one component"
                if (rows, columns) != shape or not 2 <= precision <= bits:
                    return f"its frame is {rows} x {columns} of {precision} bits"
                found, component = True, body[6]
            elif marker == _SOS:
                ok = found and len(body) == 6 and body[0] == 1 and body[1] == component and body[2] >> 4 in tables
                return "" if ok and 1 <= body[3] <= 7 and body[4:] == b"\x00\x00" else "its scan is damaged"
            elif marker not in _HARMLESS or (body[:5] == b"JFIF\0" and body[5:6] != b"\x01"):  # GDCM aborts over both
                return f"its marker FF{marker:02X} is not allowed in it"
    except (ValueError, struct.error):
        pass
    return "its markers are damaged"


def _segments(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, body) up to the first scan; ValueError where the chain breaks."""
    if stream[:2] != _JPEG_SOI:
        raise ValueError
    at, marker = 2, 0
    while marker != _SOS:
        lead, marker, length = struct.unpack(">BBH", stream[at : at + 4])
        body = stream[at + 4 : at + 2 + length]
        if lead != 0xFF or length < 2 or len(body) != length - 2:
            raise ValueError
        yield marker, body
        at += 2 + length


def _huffman_tables(body: bytes) -> set[int]:
    """Numbers of the tables in a segment; ValueError where one is no Huffman code."""
    numbers = set()
    while body:
        counts = body[1:17]
        symbols = body[17 : 17 + sum(counts)]
        room = sum(count << (16 - length) for length, count in enumerate(counts, start=1))
        if body[0] > 3 or len(counts) != 16 or not 0 < len(symbols) == sum(counts) or room > 1 << 16:
            raise ValueError
        if len(set(symbols)) != len(symbols) or max(symbols) > 16:  # a difference has 16 bits at most
            raise ValueError
        numbers.add(body[0])
        body = body[17 + len(symbols) :]
    return numbers
