"""Nested mappings, such as the config of a run, by dotted key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

Tree = Mapping[str, Any]


def differences(*trees: Tree, where: str = "") -> dict[str, tuple[Any, ...]]:
    """What differs between trees: dotted key -> its value in each; a key that isn't there counts as null.

    Mappings are compared key by key where all trees hold one there; everything else, lists too, as a whole.
    """
    found: dict[str, tuple[Any, ...]] = {}
    for name in sorted({name for tree in trees for name in tree}):
        values = tuple(tree.get(name) for tree in trees)
        below = [value for value in values if isinstance(value, Mapping)]
        if len(below) == len(values):
            found |= differences(*below, where=f"{where}{name}.")
        elif any(value != values[0] for value in values):
            found[f"{where}{name}"] = values
    return found


def leaves(tree: Tree, where: str = "") -> dict[str, Any]:
    """Dotted key -> value of all that is no mapping."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= leaves(value, f"{where}{name}.") if isinstance(value, Mapping) else {f"{where}{name}": value}
    return found


def without(tree: Tree, keys: Collection[str], where: str = "") -> dict[str, Any]:
    """A copy without some dotted keys and all that lies below them."""
    return {
        name: without(value, keys, f"{where}{name}.") if isinstance(value, Mapping) else value
        for name, value in tree.items()
        if f"{where}{name}" not in keys
    }
