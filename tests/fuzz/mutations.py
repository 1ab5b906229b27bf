"""Ways to damage a file: blind ones, and ones that know DICOM or NIfTI."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
from fuzz.seeds import Seed

Rng = np.random.Generator
_MB = 2**20
VRS = [b"OW", b"OB", b"SQ", b"UN", b"DS", b"IS", b"US", b"UL", b"PN", b"UI", b"UT", b"FD", b"AT", b"DA", b"ZZ", b"\0\0"]
_SHORT = {"AE", "AS", "AT", "CS", "DA", "DS", "DT", "FL", "FD", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM",
          "UI", "UL", "US"}  # fmt: skip
_LENGTHS = [0, 1, 3, 7, 0xFF, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF]
_WORDS = [
    b"NaN",
    b"inf",
    b"-inf",
    b"1e400",
    b"-1",
    b"0",
    b"",
    b"abc",
    b"1\\2",
    b"9" * 16,
    b"\xff\xfe",
    b"1e-320",
    b"\\",
]
# Rows, Columns, NumberOfFrames, BitsAllocated, BitsStored, HighBit, PixelRepresentation, SamplesPerPixel,
# PlanarConfiguration, padding.
_CLAIMS = [0x00280010, 0x00280011, 0x00280008, 0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280002, 0x00280006,
           0x00280120]  # fmt: skip
_NUMBERS = [0x00281052, 0x00281053, 0x00280030, 0x00200032, 0x00200037, 0x00180050, 0x00281050, 0x00281051, 0x00280008,
            0x00180081, 0x00200013]  # fmt: skip
_PIXELS = 0x7FE00010


def mutate(seed: Seed, rng: Rng) -> tuple[bytes, str]:
    """Damage a seed in one to three ways; returns the file and the names of the ways."""
    ways = WAYS.get(seed.suffix, NIFTI)
    inner = bool(seed.plain) and rng.random() < 0.6  # what is inside the compression, or the whole as it is
    data = seed.plain if inner else seed.data
    knows = inner or not seed.plain
    names = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        pool = {**BLIND, **(ways if knows else {})}
        name = list(pool)[int(rng.integers(len(pool)))]
        data = pool[name](data, seed, rng)
        names.append(name)
        knows = knows and name in KEEPS  # offsets hold no longer where bytes came or went
    if seed.plain and rng.random() < 0.1:
        return _bomb(seed, rng), "bomb"
    return (seed.pack(data) if inner else data), "+".join(names)


def flip_bits(data: bytes, seed: Seed, rng: Rng) -> bytes:
    out = np.frombuffer(data, np.uint8).copy()
    if len(out):
        # Half the time near the start, where the header is.
        reach = len(out) if rng.random() < 0.5 else min(len(out), 2000)
        np.bitwise_xor.at(out, rng.integers(reach, size=int(rng.integers(1, 33))), np.uint8(1 << rng.integers(8)))
    return out.tobytes()


def noise(data: bytes, seed: Seed, rng: Rng) -> bytes:
    start, size = _span(data, rng)
    return data[:start] + rng.bytes(size) + data[start + size :]


def zeros(data: bytes, seed: Seed, rng: Rng) -> bytes:
    start, size = _span(data, rng)
    return data[:start] + bytes([int(rng.choice([0, 255]))]) * size + data[start + size :]


def truncate(data: bytes, seed: Seed, rng: Rng) -> bytes:
    return data[: int(rng.integers(0, len(data) + 1))]


def cut(data: bytes, seed: Seed, rng: Rng) -> bytes:
    start, size = _span(data, rng)
    return data[:start] + data[start + size :]


def repeat(data: bytes, seed: Seed, rng: Rng) -> bytes:
    start, size = _span(data, rng)
    return data[: start + size] + data[start : start + size] * int(rng.integers(1, 4)) + data[start + size :]


def insert(data: bytes, seed: Seed, rng: Rng) -> bytes:
    start, size = _span(data, rng)
    return data[:start] + rng.bytes(size) + data[start:]


def edit_length(data: bytes, seed: Seed, rng: Rng) -> bytes:
    tell, length, _, vr, explicit = _pick(seed, rng)
    new = int(rng.choice([*_LENGTHS, length + 1, length + 2, max(0, length - 2)]))
    if explicit and vr in _SHORT:
        return _put(data, tell - 2, struct.pack("<H", new & 0xFFFF))
    return _put(data, tell - 4, struct.pack("<I", new & 0xFFFFFFFF))


def edit_vr(data: bytes, seed: Seed, rng: Rng) -> bytes:
    tell, _, _, vr, explicit = _pick(seed, rng)
    new = VRS[int(rng.integers(len(VRS)))]
    return _put(data, tell - (4 if vr in _SHORT else 8), new) if explicit else data


def edit_tag(data: bytes, seed: Seed, rng: Rng) -> bytes:
    tell, _, _, vr, explicit = _pick(seed, rng)
    _, _, other, _, _ = _pick(seed, rng)
    tag = int(rng.choice([other, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, _PIXELS, int(rng.integers(2**32))]))
    at = tell - 8 if not explicit or vr in _SHORT else tell - 12
    return _put(data, at, struct.pack("<HH", tag >> 16, tag & 0xFFFF))


def edit_claim(data: bytes, seed: Seed, rng: Rng) -> bytes:
    """Huge, zero or contradictory Rows, Columns, NumberOfFrames, bits."""
    tell, length, _, vr, _ = _pick(seed, rng, _CLAIMS)
    number = int(rng.choice([0, 1, 2, 3, 8, 12, 32, 33, 64, 255, 1000, 32767, 40000, 65535]))
    if vr == "IS":
        return _put(data, tell, str(rng.choice([number, 999999999, -5, 2**31])).encode()[:length].ljust(length))
    return _put(data, tell, struct.pack("<H", number)[:length])


def edit_number(data: bytes, seed: Seed, rng: Rng) -> bytes:
    """NaN, infinities and words where numbers stand: rescale, spacing, position, window."""
    tell, length, _, _, _ = _pick(seed, rng, _NUMBERS)
    return _put(data, tell, _WORDS[int(rng.integers(len(_WORDS)))][:length].ljust(length))


def no_pixels(data: bytes, seed: Seed, rng: Rng) -> bytes:
    tell, _, _, _, explicit = _pick(seed, rng, [_PIXELS])
    how = rng.integers(3)
    head = tell - (12 if explicit else 8)
    if how == 0:
        return data[:head]
    if how == 1:
        return _put(data, tell - 4, b"\0\0\0\0")[:tell]
    return _put(data, head, b"\xe1\x7f\x10\x00")


def nest(data: bytes, seed: Seed, rng: Rng) -> bytes:
    """Sequences in sequences, up to 3,000 deep, before the first element of the data set."""
    elements = [e for e in seed.elements if e[2] >> 16 > 2] or [_pick(seed, rng)]
    tell, _, _, vr, explicit = elements[0]
    depth = int(rng.choice([20, 200, 1000, 3000]))
    start = tell - (8 if not explicit or vr in _SHORT else 12)
    sequence = b"\x08\x00\x05\x11" + (b"SQ\0\0" if explicit else b"") + b"\xff\xff\xff\xff"
    item, item_end, end = (
        b"\xfe\xff\x00\xe0" + b"\xff" * 4,
        b"\xfe\xff\x0d\xe0" + b"\0" * 4,
        b"\xfe\xff\xdd\xe0" + b"\0" * 4,
    )
    closed = (item_end + end) * depth if rng.random() < 0.7 else b""
    return data[:start] + (sequence + item) * depth + closed + data[start:]


def edit_syntax(data: bytes, seed: Seed, rng: Rng) -> bytes:
    """Another transfer syntax in the file meta information, of the same length or padded."""
    at = data.find(b"1.2.840.10008.1.2")
    if at < 0:
        return data
    end = min(i for i in (data.find(b"\0", at), data.find(b"\x02\0", at), len(data)) if i > at)
    names = [b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.2",
             b"1.2.840.10008.1.2.5", b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.4.80", b"1.2.840.10008.1.2.4.70",
             b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.201", b"1.2.3"]  # fmt: skip
    return _put(data, at, names[int(rng.integers(len(names)))][: end - at].ljust(end - at, b"\0"))


def nifti_field(data: bytes, seed: Seed, rng: Rng) -> bytes:
    """A field of the NIfTI-1 header: dimensions, type, offset, slope, orientation, extension."""
    at, kind = [(40 + 2 * int(rng.integers(8)), "h"), (70, "h"), (72, "h"), (76 + 4 * int(rng.integers(8)), "f"),
                (108, "f"), (112, "f"), (116, "f"), (252, "h"), (254, "h"), (280 + 4 * int(rng.integers(12)), "f"),
                (344, "i"), (348, "i"), (352, "i"), (0, "i")][int(rng.integers(14))]  # fmt: skip
    shorts = [0, 1, 2, 3, 4, 5, 7, 8, 16, 64, 128, 512, 1536, 1792, 2304, -1, -32768, 32767, 5000]
    floats = [0.0, -1.0, np.nan, np.inf, -np.inf, 1e38, 1e-38, 1e9, 352.0, 353.5]
    ints = [0, 1, 16, -1, 2**31 - 1, -(2**31), 348, 540]
    pool = {"h": shorts, "f": floats, "i": ints}[kind]
    return _put(data, at, struct.pack(f"<{kind}", pool[int(rng.integers(len(pool)))]))


def nifti_huge(data: bytes, seed: Seed, rng: Rng) -> bytes:
    """Dimensions of up to 32,767 voxels a side."""
    for n in range(int(rng.integers(1, 4))):
        data = _put(data, 42 + 2 * n, struct.pack("<h", int(rng.choice([512, 2000, 32767]))))
    return data


def word(data: bytes, seed: Seed, rng: Rng) -> bytes:
    """Another word in place of a cell, a value or a name."""
    words = [
        *_WORDS,
        b"../../outside.png",
        b"/etc/hosts",
        b"1e9",
        b"-5",
        b'"',
        b"\0",
        b"9" * 5000,
        b"x" * 200_000,
        b"|" * 50,
    ]
    found = list(re.finditer(rb"[\w.+-]+", data))
    if not found:
        return data
    one = found[int(rng.integers(len(found)))]
    return data[: one.start()] + words[int(rng.integers(len(words)))] + data[one.end() :]


def deep(data: bytes, seed: Seed, rng: Rng) -> bytes:
    """Brackets or elements in each other, up to 10,000 deep."""
    depth = int(rng.choice([50, 1000, 10_000]))
    start, _ = _span(data, rng)
    opened, closed = [(b"[", b"]"), (b'{"a":', b"}"), (b"<a>", b"</a>")][int(rng.integers(3))]
    inside = opened * depth + (closed * depth if rng.random() < 0.5 else b"")
    return inside if rng.random() < 0.3 else data[:start] + inside + data[start:]


def entities(data: bytes, seed: Seed, rng: Rng) -> bytes:
    """Entities that would expand to 10 to the 9th power times their text, or to a file of the machine."""
    inner = b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10 if n else b"lol") for n in range(10))
    if rng.random() < 0.3:
        inner = b'<!ENTITY e9 SYSTEM "file:///etc/hosts">'
    head, _, rest = data.partition(b"?>")
    start = int(rng.integers(len(rest) + 1))
    return head + b"?><!DOCTYPE a [" + inner + b"]>" + rest[:start] + b"&e9;" + rest[start:]


Way = Callable[[bytes, Seed, Rng], bytes]
BLIND: dict[str, Way] = {
    f.__name__: f for f in (flip_bits, noise, zeros, truncate, cut, repeat, insert)
}  # fmt: skip
DICOM: dict[str, Way] = {
    f.__name__: f
    for f in (edit_length, edit_vr, edit_tag, edit_claim, edit_number, no_pixels, nest, edit_syntax)
}  # fmt: skip
NIFTI: dict[str, Way] = {"nifti_field": nifti_field, "nifti_huge": nifti_huge}
TEXT: dict[str, Way] = {f.__name__: f for f in (word, deep, entities)}
WAYS = {".dcm": DICOM, **dict.fromkeys((".csv", ".json", ".xml"), TEXT), ".png": {}}
KEEPS = {"flip_bits", "noise", "zeros", "edit_length", "edit_vr", "edit_tag", "edit_claim", "edit_number",
         "edit_syntax", "nifti_field", "nifti_huge"}  # fmt: skip


@cache
def _zeros(mb: int) -> bytes:
    """A raw deflate stream's middle: so many MB of zeros in a thousandth of the space."""
    engine = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return (engine.compress(bytes(_MB)) + engine.flush(zlib.Z_FULL_FLUSH)) * mb


def _bomb(seed: Seed, rng: Rng) -> bytes:
    """A small file that inflates to 100, 400 or 2,000 MB."""
    mb = int(rng.choice([100, 400, 2000]))
    if seed.suffix != ".dcm":
        head = bytearray(seed.plain[:352])
        head[40:56] = struct.pack("<8h", 3, 1024, 1024, mb // 2, 1, 1, 1, 1)
        head[70:74], head[108:112] = struct.pack("<hh", 4, 16), struct.pack("<f", 352)  # int16, right after the header
        head[348:352] = bytes(4)
        engine = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        body = engine.compress(bytes(head)) + engine.flush(zlib.Z_FULL_FLUSH) + _zeros(mb) + b"\x03\0"
        return gzip.compress(b"")[:10] + body + bytes(8)
    meta = bytes(128) + b"DICM" + b"\x02\0\0\0UL\x04\0" + struct.pack("<I", 30)
    meta += b"\x02\0\x10\0UI" + struct.pack("<H", 22) + b"1.2.840.10008.1.2.1.99"
    inside = b"\x08\0\x60\0CS\x02\0CT" + b"\x09\0\x10\x10OB\0\0" + struct.pack("<I", mb * _MB)
    engine = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return meta + engine.compress(inside) + engine.flush(zlib.Z_FULL_FLUSH) + _zeros(mb) + b"\x03\0"


def _span(data: bytes, rng: Rng) -> tuple[int, int]:
    start = int(rng.integers(len(data) + 1))
    return start, int(min(len(data) - start, rng.choice([1, 2, 4, 16, 100, 1000, 5000])))


def _pick(seed: Seed, rng: Rng, tags: list[int] | None = None) -> tuple[int, int, int, str, bool]:
    found = [e for e in seed.elements if tags is None or e[2] in tags] or list(seed.elements)
    return found[int(rng.integers(len(found)))]


def _put(data: bytes, at: int, value: bytes) -> bytes:
    return data[: max(0, at)] + value + data[max(0, at) + len(value) :]
