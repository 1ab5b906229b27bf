"""Weights: found, read, compared with the model, loaded."""
