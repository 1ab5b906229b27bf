"""Findings on simulated films: what is planned, what it does to the rays, and the truth about it."""
