"""Fine-tune CLIP to name body stations and organs in single CT and MR slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anatomy_clip.describe.predictor import Describer

__version__ = "0.7.0"
__all__ = ["Describer", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Describer":  # on first use: it imports what reads files
        from anatomy_clip.describe.predictor import Describer

        return Describer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
