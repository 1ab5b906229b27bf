"""Losses and the objectives that join them to a model."""
