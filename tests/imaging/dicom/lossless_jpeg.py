"""JPEG lossless, first-order prediction, in plain Python: an independent decoder to test the real one against."""

import struct

import numpy as np


def decode(stream):
    """One component, selection value 1 (ITU T.81, annex H): (rows, columns) of unsigned numbers."""
    at, table, bits, shape = 2, {}, 0, (0, 0)
    while True:
        marker, length = struct.unpack(">HH", stream[at : at + 4])
        body = stream[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == 0xFFC3:
            bits, shape = body[0], struct.unpack(">HH", body[1:5])
        elif marker == 0xFFC4:
            table = codes(body)
        elif marker == 0xFFDA:
            break
    return predict(symbols(stream[at:].replace(b"\xff\x00", b"\xff"), table, shape[0] * shape[1]), shape, bits)


def codes(body):
    """Huffman codes as (length, code) -> symbol."""
    found, code, values = {}, 0, iter(body[17:])
    for length, count in enumerate(body[1:17], start=1):
        for _ in range(count):
            found[length, code] = next(values)
            code += 1
        code <<= 1
    return found


def symbols(data, table, count):
    """The differences between pixels."""
    stream = iter(np.unpackbits(np.frombuffer(data, np.uint8)).tolist())
    out = []
    for _ in range(count):
        length, code = 1, next(stream)
        while (length, code) not in table:
            length, code = length + 1, code << 1 | next(stream)
        size, value = table[length, code], 0
        for _ in range(size if size < 16 else 0):
            value = value << 1 | next(stream)
        out.append(32768 if size == 16 else value if size == 0 or value >> (size - 1) else value - (1 << size) + 1)
    return out


def predict(differences, shape, bits):
    """From the left; a row's first pixel from above; the very first from the middle of the range."""
    steps = np.array(differences, np.int64).reshape(shape)
    steps[0, 0] += 1 << (bits - 1)
    steps[:, 0] = np.cumsum(steps[:, 0])
    return np.cumsum(steps, axis=1) % 65536
