"""Slice stores: made of sources, opened, looked into, and guarded against leakage."""
