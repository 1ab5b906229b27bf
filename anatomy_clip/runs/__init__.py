"""Runs: their stages, folders, and the wires between config groups."""
