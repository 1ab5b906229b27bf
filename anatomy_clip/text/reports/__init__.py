"""Radiology reports: their sections and sentences, and the findings that they state."""
