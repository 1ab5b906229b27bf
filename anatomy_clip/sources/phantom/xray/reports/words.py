"""The words of reports and questions (wordings.yaml, questions.yaml): those of test films, or those of all others."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

Table = dict[str, Any]


@cache
def wordings(held_out: bool) -> Table:
    """The table of wordings.yaml; of each divided list only one part: that of test reports, or that of all others."""
    return _read("wordings.yaml", held_out)


@cache
def asked(held_out: bool) -> Table:
    """The table of questions.yaml; of each divided list only one part, as in `wordings`."""
    return _read("questions.yaml", held_out)


def _read(name: str, held_out: bool) -> Table:
    data: Table = yaml.safe_load((files(__package__) / name).read_text(encoding="utf-8"))
    chosen: Table = _chosen(data, "held_out" if held_out else "train")
    return chosen


def _chosen(node: Any, part: str) -> Any:
    if not isinstance(node, dict):
        return node
    return node[part] if set(node) == {"train", "held_out"} else {key: _chosen(one, part) for key, one in node.items()}
