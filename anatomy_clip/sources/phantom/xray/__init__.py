"""Simulated radiographs of the phantom's bodies."""
