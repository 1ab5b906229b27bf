"""Panels, a module an evaluator, found by its name: what is shown of the rows that it left.

`summary` and `claims` take the cells of all evaluators together.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any


def panel_class(evaluator: str) -> Any:
    """The class `Panel` of `results/panels/<evaluator>.py`; None where an evaluator has no such module."""
    module = f"{__name__}.{evaluator}"
    return import_module(module).Panel if evaluator.isidentifier() and find_spec(module) else None
