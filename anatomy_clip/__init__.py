"""Fine-tune CLIP to name body stations and organs in single CT and MR slices."""

__version__ = "0.1.0"
