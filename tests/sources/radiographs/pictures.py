"""Writes small films with a bright rectangle, whose place a test knows."""

import numpy as np
from PIL import Image


def write_film(path, shape=(64, 48), box=None, bits=8):
    """A dim gradient, and within (left, top, width, height) white."""
    rows, columns = np.indices(shape)
    grey = (rows + columns) % 60 + 20
    if box:
        left, top, width, height = box
        grey[top : top + height, left : left + width] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = grey.astype(np.uint8) if bits == 8 else (grey * 257).astype(np.uint16)
    Image.fromarray(pixels).save(path)
    return path


def all_films(source):
    """(split, film, record) of all films, and everything else that came."""
    films, others = [], []
    for split in source.splits():
        for volume in source.volumes(split):
            for item in source.films(split, volume):
                if isinstance(item, tuple):
                    films.append((split, *item))
                else:
                    others.append(item)
    return films, others
